"""Two engines by `ipclusterz -n 2`, as it is typed; then Ctrl-C."""

from __future__ import annotations

import signal
import subprocess

import ipclusterz as ipz

cluster = subprocess.Popen(["ipclusterz", "-n", "2"], stdin=subprocess.DEVNULL)
try:
    subprocess.run(["ipclusterz", "wait", "-n", "2"], check=True)
    with ipz.Client() as rc:
        assert rc.ids == {0, 1}
        rc[:]["a"] = 5
        assert rc[:]["a"] == {0: 5, 1: 5}
        assert rc.map(lambda x: x * x, range(4)) == [0, 1, 4, 9]
finally:
    cluster.send_signal(signal.SIGINT)
    status = cluster.wait(timeout=30)
assert status in (0, 130), status
