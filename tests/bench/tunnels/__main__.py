"""Bytes a second through SSH tunnels, beside `scp`: `make bench-tunnels`, as root.

A private sshd of this machine (`tests/launchers/sshd.py`), a file that `scp` copies to it and back, and as many bytes
through a forward of each backend: `there` leads to a port of the other host, as a client's tunnel does, and `back` from
a port of it, as that of engines. All of it over the loopback, and over a relay that is as slow and late as a network.
It asserts nothing. Figures are MB/s, the best of some rounds, in brackets what of `scp` that is, and how many seconds
of a core one gigabyte takes on this side, which other work of the machine changes less.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
sys.path[:0] = map(str, [TESTS, TESTS / "python", TESTS / "launchers"])

import psutil  # noqa: E402
from helpers import until  # noqa: E402
from sshd import ALIAS, Sshd  # noqa: E402

# Names of lines: bytes a second, and seconds from one end to the other.
LINES = {"loopback": None, "1 Gbit/s, 10 ms": (125e6, 0.005)}
WAYS = ("to", "from")
SECONDS = 300

# MB/s, and seconds of a core for a gigabyte.
Rates = tuple[float, float]
# By who moves the bytes and where to.
Figures = dict[str, dict[str, Rates]]


@contextlib.contextmanager
def running(*command: str) -> Iterator[tuple[str, int]]:
    """A process that prints a line when it is ready, and ends with its input or a signal. The line, and its id."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            if not line:
                raise SystemExit(f"error: {command} has ended with {process.wait()}")
            yield line, process.pid
        finally:
            process.stdin.close()
            if command[0] == sys.executable:
                process.terminate()


def helper(*arguments: str) -> list[str]:
    return [sys.executable, str(HERE / "move.py"), *arguments]


def seconds(*arguments: str) -> float:
    """What `move.py` says."""
    done = subprocess.run(helper(*arguments), capture_output=True, text=True, timeout=SECONDS, check=True)
    return float(done.stdout)


def of_cores(pid: int) -> float:
    """Seconds of cores that a process and its children have used."""
    first = psutil.Process(pid)
    times = [each.cpu_times() for each in (first, *first.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def of_those_that_ended() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rates(count: int, rounds: int, move: Callable[[], float], cores: Callable[[], float]) -> Rates:
    """Of some rounds of `move`, which says how many seconds it took."""
    before = cores()
    best = min(move() for _ in range(rounds))
    return count / best / 1e6, (cores() - before) / rounds / count * 1e9


def with_scp(server: Sshd, folder: Path, count: int, rounds: int) -> dict[str, Rates]:
    """A file in memory, over a connection that stands."""
    control = ["-F", str(server.config), "-o", f"ControlPath={folder / 'control'}"]
    here, there = folder / "here", folder / "there"
    here.write_bytes(bytes(range(256)) * (count // 256))
    copies = {"to": [str(here), f"{ALIAS}:{there}"], "from": [f"{ALIAS}:{there}", str(here)]}
    with subprocess.Popen(["ssh", *control, "-NM", ALIAS], stdin=subprocess.DEVNULL) as master:
        try:
            until((folder / "control").exists, 30, "ssh does not connect")
            # What encrypts is the master; scp and what it starts have ended when it is asked.
            cores = partial(lambda pid: of_cores(pid) + of_those_that_ended(), master.pid)
            return {
                way: rates(count, rounds, partial(timed, ["scp", "-q", *control, *copies[way]]), cores) for way in WAYS
            }
        finally:
            master.terminate()
            here.unlink()
            there.unlink(missing_ok=True)


def timed(command: list[str]) -> float:
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode != 0:
        raise SystemExit(f"error: {command} failed: {done.stderr[-500:]}")
    return time.monotonic() - began


def with_forward(program: str, server: Sshd, backend: str, direction: str, count: int, rounds: int) -> dict[str, Rates]:
    """The process that serves is at the far end; for `back` that is this host, and who asks is on the other."""
    with running(*helper("serve")) as (port, _):
        command = [program, backend, direction, port, f"root@127.0.0.1:{server.port}", str(server.config.parent)]
        with running(*command) as (address, pid):
            near = address.rpartition(":")[2]
            calls = {"to": "put", "from": "get"} if direction == "there" else {"to": "get", "from": "put"}
            move = {way: partial(seconds, calls[way], near, str(count)) for way in WAYS}
            return {way: rates(count, rounds, move[way], partial(of_cores, pid)) for way in WAYS}


@contextlib.contextmanager
def over(server: Sshd, line: tuple[float, float] | None) -> Iterator[None]:
    """The server, as it is reached over a line."""
    if line is None:
        yield
        return
    with running(*helper("slow", str(server.port), *map(str, line))) as (port, _):
        before, server.port = server.port, int(port)
        texts = {file: file.read_text() for file in (server.config, server.known_hosts)}
        for file, text in texts.items():
            file.write_text(text.replace(str(before), port))
        try:
            yield
        finally:
            server.port = before
            for file, text in texts.items():
                file.write_text(text)


def measured(program: str, backends: list[str], line: str, count: int, rounds: int) -> Figures:
    found: Figures = {}
    with (
        tempfile.TemporaryDirectory(prefix="izt", dir="/dev/shm") as folder,
        Sshd() as server,
        over(server, LINES[line]),
    ):
        found["scp"] = with_scp(server, Path(folder), count, rounds)
        for backend in backends:
            for direction in ("there", "back"):
                name = f"{backend}, {direction}"
                found[name] = with_forward(program, server, backend, direction, count, rounds)
                print(line, name, found[name], file=sys.stderr, flush=True)
    return found


def table(figures: dict[str, Figures]) -> str:
    lines = ["| line | what | to the other host | from it | core, to | core, from |", "|---|---|---:|---:|---:|---:|"]
    for line, found in figures.items():
        for name, by_way in found.items():
            cells = [f"{by_way[way][0]:.0f} ({by_way[way][0] / found['scp'][way][0]:.2f})" for way in WAYS]
            cells += [f"{by_way[way][1]:.2f} s" for way in WAYS]
            lines.append(f"| {line} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-tunnels", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--program", default="target/release/examples/forward", help="what forwards")
    parser.add_argument("--backends", nargs="*", default=["libssh2", "openssh"])
    parser.add_argument("--lines", nargs="*", choices=list(LINES), default=list(LINES))
    parser.add_argument("--mebibytes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3, help="of each way (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    count = options.mebibytes << 20
    figures = {
        line: measured(
            options.program, options.backends, line, count if line == "loopback" else count // 4, options.rounds
        )
        for line in options.lines
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    print(table(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
