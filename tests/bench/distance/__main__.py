"""Large data over a long line: `make bench-distance`, as root.

A client and its controller are on one host, an engine on another (`tests/launchers/hosts.py`), and between them is a
line with a rate and a delay (`line.py`). A figure is the best of some rounds: how many bytes a second a push or a pull
of one array moved, and what part of the line's rate that is. All share the cores of this machine, the line too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
sys.path[:0] = map(str, [TESTS, TESTS / "python", TESTS / "launchers"])

import sites  # noqa: E402
from hosts import VirtualHosts  # noqa: E402

HEAD, FAR = "10.99.0.1", "10.99.0.2"
# Of a line in one direction: 20 ms there and back.
DELAY = 0.010
RATES = {"1 Gbit/s": 1e9 / 8, "2.5 Gbit/s": 2.5e9 / 8, "5 Gbit/s": 5e9 / 8, "10 Gbit/s": 10e9 / 8}
SECONDS = 300


@contextlib.contextmanager
def line(hosts: VirtualHosts, rate: float) -> Iterator[None]:
    """A line between the head and the other host, while the block runs."""
    ends = [hosts.root(0).parent.name, HEAD, hosts.root(1).parent.name, FAR]
    command = [sys.executable, str(HERE / "line.py"), *ends, repr(rate), repr(DELAY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("error: there is no line")
        yield


def client(cluster: str, mebibytes: str, rounds: str) -> None:
    """On the head: seconds of each push, and of each pull."""
    import numpy as np

    import ipclusterz

    rc = ipclusterz.Client(cluster=cluster)
    array = np.random.default_rng(0).random((int(mebibytes) << 20) // 8)
    calls = {"push": lambda: rc[0].push({"x": array}, block=True), "pull": lambda: rc[0].pull("x", block=True)}
    found: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        for _ in range(int(rounds)):
            began = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - began)
    print(json.dumps(found))


def measured(hosts: VirtualHosts, mebibytes: int, rounds: int, more: str = "") -> dict[str, float]:
    """Bytes a second, at best."""
    site = sites.ssh(hosts, "openssh")
    places = f'[ssh]\nhosts = [{{ host = "n1", engines = 1 }}]\n[controller]\nlisten = "{HEAD}:0"\n'
    site.profile = sites.merged(site.profile, places + more)
    with site.stopped_at_the_end():
        site.start(1)
        command = [sys.executable, str(HERE), "--client", site.cluster, str(mebibytes), str(rounds)]
        done = hosts.run(0, command, timeout=SECONDS)
    if done.returncode != 0:
        raise SystemExit(f"error: the client failed:\n{done.stderr[-2000:]}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return {name: (mebibytes << 20) / min(seconds) for name, seconds in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-distance", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rates", nargs="*", choices=list(RATES), default=list(RATES), help="of the line")
    parser.add_argument("--mebibytes", type=int, default=256, help="of the array (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="of each call (default: %(default)s)")
    options = parser.parse_args()
    print("| line, 20 ms there and back | push MB/s | of the line | pull MB/s | of the line |")
    print("|---|---:|---:|---:|---:|")
    with VirtualHosts(1) as hosts:
        for name in options.rates:
            with line(hosts, RATES[name]):
                found = measured(hosts, options.mebibytes, options.rounds)
            cells = [f"{found[call] / 1e6:.0f} | {100 * found[call] / RATES[name]:.0f} %" for call in ("push", "pull")]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(*sys.argv[2:])
    else:
        raise SystemExit(main())
