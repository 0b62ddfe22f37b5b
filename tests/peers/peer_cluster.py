"""A cluster of simulated engines, and what its controller uses: memory, time of the processor, space on the disk.

The controller and the launcher are real; the launcher starts one process that plays all engines, in the place of its
only one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sysconfig.get_path("scripts")) / "ipclusterz"
PEERS = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "ipclusterz-peers"
READY_SECONDS = 60.0
"""How long a start, and a controller that is started again, may take."""

Value = TypeVar("Value")


class PeersError(Exception):
    """What was to be measured could not be."""


def until(condition: Callable[[], Value | None], seconds: float, what: str) -> Value:
    """Wait until `condition` gives something, and return that."""
    deadline = time.monotonic() + seconds
    pause = Event()
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise PeersError(f"not within {seconds:g} s: {what}")
        pause.wait(0.01)
    return value


class PeerCluster:
    """A cluster of `engines` simulated engines: a context manager, which stops it.

    `options` are further ones of `ipclusterz-peers engines`, and `settings` are `KEY=VALUE` of the profile.
    """

    def __init__(
        self, engines: int, options: Sequence[str] = (), settings: Sequence[str] = (), profile: str = ""
    ) -> None:
        if not PEERS.exists():
            raise PeersError(f"there is no {PEERS}\nhint: `make peers` builds it")
        self.name = f"peers-{os.getpid()}"
        self._engines = engines
        self._scratch = tempfile.TemporaryDirectory(prefix="ipclusterz-peers-")
        self.executions = Path(self._scratch.name) / "executions"
        wrap = [str(PEERS), "engines", "-n", str(engines), "--executions", str(self.executions), *options, "--"]
        self._start = [PROGRAM, "start", "-n", "1", "--cluster", self.name, "--daemonize", "--json"]
        self._start += ["--profile", profile] if profile else []
        for setting in (f"engines.wrap={json.dumps(wrap)}", *settings):
            self._start += ["--set", setting]

    def __enter__(self) -> PeerCluster:
        try:
            started = self._run(self._start)
            self.folder = Path(started["client_file"]).parent
            until(lambda: present(self.status()) == self._engines, READY_SECONDS, f"{self._engines} engines")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        subprocess.run(
            [PROGRAM, "stop", "--cluster", self.name, "--quiet"], check=False, capture_output=True, timeout=60
        )
        self._scratch.cleanup()

    @staticmethod
    def _run(command: Sequence[str | Path]) -> dict[str, Any]:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=READY_SECONDS)
        if done.returncode:
            raise PeersError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def _look(self) -> dict[str, Any]:
        status = self._run([PROGRAM, "status", "--cluster", self.name, "--json"])
        return status["controller"]

    def status(self) -> dict[str, Any] | None:
        """What the controller says of itself; none while there is no controller."""
        try:
            return self._look()
        except PeersError:
            return None

    def controller(self) -> Controller:
        """The controller's process."""
        return Controller(until(self.status, READY_SECONDS, "an answer of the controller")["pid"])

    def kill_controller(self) -> tuple[float, float]:
        """Kill it, and return how many seconds it took until another one answered, and until that had all engines."""
        killed = self.controller().pid
        began = time.monotonic()
        os.kill(killed, signal.SIGKILL)

        def another() -> dict[str, Any] | None:
            status = self.status()
            return status if status and status["pid"] != killed else None

        until(another, READY_SECONDS, f"another controller instead of process {killed}")
        answered = time.monotonic() - began
        what = f"all {self._engines} engines at another controller"
        until(lambda: present(another()) == self._engines, READY_SECONDS, what)
        return answered, time.monotonic() - began

    @contextmanager
    def clients(self, number: int, tasks: int, options: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
        """A process of simulated clients, whose report is its output; it is ended."""
        command = [PEERS, "clients", "--connection", self.folder / "client.json", "-n", str(number)]
        command += ["--tasks", str(tasks), *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()

    def report_of(self, number: int, tasks: int, seconds: float, options: Sequence[str] = ()) -> dict[str, Any]:
        """Run clients to their end, and return their report."""
        with self.clients(number, tasks, options) as process:
            return report(process, seconds)

    def journal_bytes(self) -> int:
        """Bytes in the folder of the journal."""
        files = (self.folder / "journal").glob("*")
        return sum(file.stat().st_size for file in files if file.is_file())

    def executed(self) -> int:
        """How many tasks have begun."""
        return self.executions.stat().st_size // 8


class Controller:
    """A controller's process, as the kernel accounts for it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_seconds(self) -> float:
        """User and system time of all its threads."""
        # Behind the name, which may have anything in it.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, of: str = "VmRSS") -> int:
        """Its resident memory in bytes: at present, or `VmHWM`, the most up to now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{of}:"))


def present(status: dict[str, Any] | None) -> int:
    """How many engines have a connection."""
    return sum(1 for engine in (status or {"engines": []})["engines"] if engine["state"] != "away")


def report(process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    """What the process of clients says at its end."""
    output, _ = process.communicate(timeout=seconds)
    if not output:
        raise PeersError(f"the clients ended with {process.returncode} and said nothing")
    return json.loads(output)


def count_executions(path: Path) -> Counter[int]:
    """How often each task was executed, by its key."""
    keys = array("Q")
    keys.frombytes(path.read_bytes())
    return Counter(keys)
