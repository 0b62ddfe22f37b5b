"""A start of many engines on many hosts whose Python is on a slow file system, with and without `engines.stage`:
`make bench-stage`, as root.

The hosts are namespaces of this machine (`tests/launchers/hosts.py`). They share a folder with an environment that has
NumPy, which engines import. The folder answers few opens at once, each after a while
(`tests/launchers/slow_folder.py`). A figure is a start, from the command to the last engine's registration, and what
was opened in that folder meanwhile. It asserts nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path[:0] = map(str, [TESTS, TESTS / "python", TESTS / "launchers"])

import sites  # noqa: E402
import small_environment  # noqa: E402
from helpers import until  # noqa: E402
from hosts import VirtualHosts  # noqa: E402
from slow_folder import Slow, slow_folder  # noqa: E402

# On each host's own disk.
CACHE = "/run/kept"
START_SECONDS = 1200.0


def site(hosts: VirtualHosts, slow: Slow, engines: int, more: str) -> sites.Site:
    """All hosts but the head, with as many engines each."""
    made = sites.ssh(hosts, "libssh2")
    each = engines // (hosts.count - 1)
    places = ", ".join(f'{{ host = "{name}", engines = {each} }}' for name in hosts.names[1:])
    profile = f"""
[engines]
python = "{slow.folder}/bin/python"
timeout = {START_SECONDS}
preload = ["numpy"]
{more}
[engines.env]
IPCLUSTERZ_STAGE_DIR = "{CACHE}"
PYTHONDONTWRITEBYTECODE = "1"
[ssh]
connect_timeout = 120
hosts = [{places}]
"""
    made.profile = sites.merged(made.profile, profile)
    return made


def start(hosts: VirtualHosts, slow: Slow, engines: int, more: str) -> tuple[float, int]:
    """Seconds of a start, and how many opens there were."""
    slow.forget()
    made = site(hosts, slow, engines, more)
    begin = time.monotonic()
    try:
        made.start(engines, timeout=START_SECONDS)
        return time.monotonic() - begin, slow.opened().total()
    finally:
        made.ipclusterz("stop", timeout=START_SECONDS)
        nodes = range(1, hosts.count)
        until(lambda: not any(hosts.processes(index) for index in nodes), START_SECONDS, "engines are still there")


def figures(hosts: VirtualHosts, slow: Slow, forked: int, interpreters: int) -> Iterator[str]:
    """Lines of the table."""
    yield "| engines | environment | seconds | opens of the shared folder |"
    yield "|---|---|---:|---:|"
    for way, fork, engines in (("forked", "true", forked), ("an interpreter each", "false", interpreters)):
        if not engines:
            continue
        for index in range(1, hosts.count):
            hosts.exec(index, "rm", "-rf", CACHE)
        for name, stage in (("where it is", "false"), ("staged, the first time", "true"), ("staged, again", "true")):
            seconds, opens = start(hosts, slow, engines, f"fork = {fork}\nstage = {stage}")
            yield f"| {engines} {way} | {name} | {seconds:.1f} | {opens:,} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forked", type=int, default=512, help="engines that are forked")
    parser.add_argument("--interpreters", type=int, default=512, help="engines that are an interpreter each")
    parser.add_argument("--hosts", type=int, default=16)
    parser.add_argument("--delay", type=float, default=5.0, help="milliseconds before each open")
    parser.add_argument("--at-once", type=int, default=8, help="opens that the folder answers at once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        source = Path(folder, "environment")
        small_environment.make(source, more=["numpy", "numpy.libs"])
        files = sum(1 for path in source.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
        print(f"{arguments.hosts} hosts; {arguments.delay:g} ms for each open, {arguments.at_once} at once;")
        print(f"the environment has {files} files, {size >> 20} MiB\n")
        with (
            slow_folder(source, Path(folder, "slow"), arguments.at_once) as slow,
            VirtualHosts(arguments.hosts, shared=False) as hosts,
        ):
            slow.wait(arguments.delay / 1000)
            for line in figures(hosts, slow, arguments.forked, arguments.interpreters):
                print(line, flush=True)


if __name__ == "__main__":
    main()
