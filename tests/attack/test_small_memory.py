"""On a host with little memory, nothing larger than half of it gets into the controller."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

# 64 MiB, as the kernel tells it.
LITTLE = "MemTotal:          65536 kB\n"

PROGRAM = """
import os, sys
import ipclusterz as ipz
sys.path[:0] = sys.argv[1:]
from rawpeer import RawPeer

LIMIT = 32 << 20
SAID = f"the limit is {LIMIT}"

def error_of(call):
    try:
        call()
    except ipz.IpclusterzError as error:
        return error

def large(size):
    return bytes(size)

with ipz.Cluster(n=1, cluster=f"little-{os.getpid()}") as rc:
    assert len(rc[0].apply_sync(large, LIMIT - 4096)) == LIMIT - 4096
    error = error_of(lambda: rc[0].apply_sync(large, LIMIT + 1))
    assert error.ename == "PayloadTooLarge" and SAID in error.evalue, error
    error = error_of(lambda: rc[0].apply_sync(len, bytes(LIMIT + 1)))
    assert isinstance(error, ipz.PayloadTooLarge) and SAID in str(error), error
    with RawPeer(rc._owner, "client", local=True) as peer:
        peer.join()
        common = {"op": "execute", "function": None, "carries_function": False, "segments": []}
        peer.tell("data", "request", {"id": 1, "placement": {"engines": [0]}, **common}, bytes(LIMIT + 1))
        rejected = peer.hear_of("data", "reply")["outcome"]["rejected"]
        assert rejected == f"it has {LIMIT + 1} bytes; {SAID}", rejected
    assert rc[0].apply_sync(abs, -1) == 1
print("survived")
"""


def test_payload_beyond_half_of_the_memory_is_refused(tmp_path: Path, faults: Any) -> None:
    told = tmp_path / "meminfo"
    told.write_text(LITTLE)
    here = Path(__file__).parent
    script = f'mount --bind "{told}" /proc/meminfo && exec "$0" -c "$1" "{here}" "{here.parent / "python"}"'
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable, PROGRAM]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout.endswith("survived\n"), ran.stdout + ran.stderr
    faults.survived("frames", "requests and results beyond half of the memory", 3, "refused with the limit")
