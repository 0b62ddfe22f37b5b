"""A client and engines on TCP, which is encrypted; prints what it found as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import ipclusterz as ipz


def total(numbers: bytes) -> int:
    """Of numbers from 0 up, as many as there are bytes."""
    return sum(range(len(numbers)))


profile = Path("tcp.toml")
profile.write_text("[controller]\nlocal = false\n")
cluster = ipz.Cluster(n=2, cluster="open", profile=str(profile)).start()
try:
    file = Path(cluster.report["client_file"])
    address = json.loads(file.read_text())["addresses"][-1]
    with ipz.Client(address, key=file) as rc:
        # Larger than what fits into the buffers of a socket.
        sums = rc[:].apply_sync(total, bytes(1_000_000))
    print(json.dumps({"address": address, "sum": sums[0], "engines": len(sums)}))
finally:
    cluster.stop()
