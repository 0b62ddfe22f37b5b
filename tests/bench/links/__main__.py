"""Data to eight engines on four hosts and back, beside Dask, Ray and ipyparallel: `make bench-hosts`, as root.

The hosts are namespaces of this machine (`tests/launchers/hosts.py`), whose links are as fast as they can be or limited
as a network would limit them. Controllers and clients are on the head, two engines on each of the other hosts. It
asserts nothing; `clients.py` says what a figure is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
sys.path[:0] = map(str, [TESTS, TESTS / "python", TESTS / "launchers"])

import sites  # noqa: E402
from helpers import until  # noqa: E402
from hosts import VirtualHosts  # noqa: E402

HOSTS, ENGINES = 4, 8
RATES = ["", "10gbit", "1gbit"]
MEBIBYTES = 64
# For one measurement, with starts and ends.
SECONDS = 300
# Of each of Ray's stores: the array, and copies of it from every engine.
STORE_BYTES = 1 << 30
BENCH = TESTS.parent / ".venv-bench/bin"

Figures = dict[str, float]


class Work(NamedTuple):
    """What every system is given."""

    rounds: int
    data: str


def measured(hosts: VirtualHosts, python: str | Path, system: str, place: str, work: Work) -> Figures:
    """What a client on the head measures."""
    command = [str(python), str(HERE / "clients.py"), system, place, str(MEBIBYTES), str(work.rounds), work.data]
    done = hosts.run(0, command, timeout=SECONDS)
    if done.returncode != 0:
        raise SystemExit(f"error: {system} failed:\n{done.stderr[-2000:]}")
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def with_ipclusterz(hosts: VirtualHosts, work: Work, more: str = "") -> Figures:
    """By its own launcher for SSH."""
    places = ", ".join(f'{{ host = "{name}", engines = {ENGINES // HOSTS} }}' for name in hosts.names[1:])
    site = sites.ssh(hosts, "openssh")
    site.profile = sites.merged(site.profile, f"[ssh]\nhosts = [{places}]\n{more}")
    with site.stopped_at_the_end():
        site.start(ENGINES)
        return measured(hosts, sys.executable, "ipclusterz", site.cluster, work)


def uncompressed(hosts: VirtualHosts, work: Work) -> Figures:
    """The same, whatever the data and the links are like."""
    return with_ipclusterz(hosts, work, "[controller]\ncompress = false\n")


def in_plain(hosts: VirtualHosts, work: Work) -> Figures:
    """The same on a network that is trusted."""
    return with_ipclusterz(hosts, work, "[controller]\nencrypt = false\n")


@contextlib.contextmanager
def running(hosts: VirtualHosts, commands: list[tuple[int, list[str]]]) -> Iterator[None]:
    """Processes on hosts, while the block runs."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [hosts.popen(index, command, **quiet) for index, command in commands]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.wait(60)


def with_dask(hosts: VirtualHosts, work: Work) -> Figures:
    """A scheduler on the head, and as many workers as engines, each of one thread. Nothing is encrypted."""
    address = f"tcp://{hosts.address(0)}:8786"
    scheduler = [str(BENCH / "dask"), "scheduler", "--host", hosts.address(0), "--port", "8786", "--no-dashboard"]
    worker = [str(BENCH / "dask"), "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    workers = [(index, worker) for index in range(1, HOSTS + 1)]
    with running(hosts, [(0, scheduler), *workers]):
        return measured(hosts, BENCH / "python", "dask", address, work)


def with_ray(hosts: VirtualHosts, work: Work) -> Figures:
    """A head that runs no actor, and two actors on each other host. Nothing is encrypted."""
    address = f"{hosts.address(0)}:6379"
    common = ["--block", "--disable-usage-stats", f"--object-store-memory={STORE_BYTES}"]
    start = [str(BENCH / "ray"), "start", *common]
    head = [*start, "--head", "--port=6379", "--num-cpus=0", "--include-dashboard=false"]
    with running(hosts, [(0, [*head, f"--node-ip-address={hosts.address(0)}"])]):
        nodes = [[*start, f"--address={address}", "--num-cpus=2", f"--node-ip-address={hosts.address(index)}"]
                 for index in range(1, HOSTS + 1)]  # fmt: skip
        with running(hosts, list(enumerate(nodes, 1))):
            return measured(hosts, BENCH / "python", "ray", address, work)


def with_ipyparallel(hosts: VirtualHosts, work: Work, curve: bool = False) -> Figures:
    """A controller on the head, and engines that read its file in the home that all share."""
    folder = hosts.home / ".ipython/profile_default/security"
    program = [str(BENCH / "python"), "-m", "ipyparallel.controller", f"--ip={hosts.address(0)}"]
    secure = ["--IPController.enable_curve=True"] if curve else []
    engine = [str(BENCH / "python"), "-m", "ipyparallel.engine", f"--file={folder / 'ipcontroller-engine.json'}"]
    for name in ("ipcontroller-engine.json", "ipcontroller-client.json"):
        (folder / name).unlink(missing_ok=True)
    with running(hosts, [(0, [*program, *secure])]):
        until((folder / "ipcontroller-client.json").exists, 60, "ipyparallel's controller does not start")
        engines = [(index, engine) for index in range(1, HOSTS + 1) for _ in range(ENGINES // HOSTS)]
        with running(hosts, engines):
            return measured(hosts, BENCH / "python", "ipyparallel", str(folder / "ipcontroller-client.json"), work)


def with_curve(hosts: VirtualHosts, work: Work) -> Figures:
    """The same, encrypted."""
    return with_ipyparallel(hosts, work, curve=True)


SYSTEMS = {
    "ipclusterz": with_ipclusterz,
    "ipclusterz, encrypt = false": in_plain,
    "ipclusterz, compress = false": uncompressed,
    "Dask": with_dask,
    "Ray": with_ray,
    "ipyparallel": with_ipyparallel,
    "ipyparallel, --enable-curve": with_curve,
}


def table(figures: list[dict[str, Any]]) -> str:
    lines = ["| links | system | push | pull | gather |", "|---|---|---:|---:|---:|"]
    for each in figures:
        times = " | ".join(f"{each['seconds'][call]:.2f}" for call in ("push", "pull", "gather"))
        lines.append(f"| {each['rate'] or 'not limited'} | {each['system']} | {times} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-hosts", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", choices=list(SYSTEMS), action="append", help="these systems alone")
    parser.add_argument("--rates", nargs="*", default=RATES, help="of the links; '' for as fast as they can be")
    parser.add_argument("--data", choices=["random", "counts"], default="random", help="counts can be compressed")
    parser.add_argument("--rounds", type=int, default=3, help="of each call (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    figures = []
    with VirtualHosts(HOSTS) as hosts:
        for rate in options.rates:
            for index in range(HOSTS + 1) if rate else ():
                hosts.limit(index, rate)
            for system in options.only or SYSTEMS:
                seconds = SYSTEMS[system](hosts, Work(options.rounds, options.data))
                figures.append({"rate": rate, "system": system, "seconds": seconds})
                print(system, rate, seconds, file=sys.stderr, flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    print(table(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
