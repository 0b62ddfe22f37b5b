"""The parent of engines on one host: starts them, passes signals on, says how each ended, starts them again.

It knows no controller: what is asked of the engines is asked of them directly. Whether an engine that has died is
started again is said by the launcher, in a file (``--again``) to which it adds a line ``engine 3: why``.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from .options import PROGRAM
from .words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .agent import Agent
    from .forks import Forks
    from .options import Options

__all__ = ["run"]

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_SIGNALS = {signal.SIGCHLD, *_PASSED_ON}
# As the variable that the launcher sets, which this process has taken out of its environment.
_SAFE_PATH = ["-P"] if sys.version_info >= (3, 11) else []
# After a SIGTERM, until those that are still there are killed.
_GRACE = 5.0
# How long the launcher may take to have an engine started again, and how often is looked whether it has.
_PATIENCE = 60.0
_LOOK = 1.0


def run(options: Options) -> int | Options:
    """Start the engines and wait until all have ended.

    Returns
    -------
    int or Options
        The worst exit status: 128 plus the signal's number for one that a signal ended, as in a shell. In an engine
        that was forked, its options.

    Raises
    ------
    ValueError
        When the id of the engine follows from a rank, and the environment gives none.
    PreloadError
        When engines are to be forked, and a module cannot be imported.
    """
    parent = _Parent(options)
    if options.with_agent and len(parent.names) > 1:
        from .agent import Agent

        parent.agent = Agent(options)
    # What starts a rank may have prepared its process, and no other.
    if options.fork and options.ranks is None:
        from .forks import Forks

        # As each of them is told.
        options.host_engines = options.engines or options.host_engines
        parent.forks = Forks(options)
    if parent.agent is not None:
        parent.agent.wait()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    return parent.run()


class _Parent:
    """Engines that run, those that have died and may be started again, and the worst exit status so far."""

    def __init__(self, options: Options) -> None:
        self.options = options
        # Makes engines of forks; without it, each is an interpreter that is started.
        self.forks: Forks | None = None
        self.agent: Agent | None = None
        self.words = options.again
        self.names = [options.name(index, os.environ) for index in range(options.engines or 1)]
        # By pid, the numbers of the engines among those of this parent.
        self.running: dict[int, int] = {}
        # By number, until when one that has died may be started again.
        self.dead: dict[int, float] = {}
        # By number, how often one was.
        self.again: dict[int, int] = {}
        self.worst = 0
        self.kill_at: float | None = None

    def run(self) -> int | Options:
        starting = list(range(len(self.names)))
        while starting or self.running or self.dead:
            for index in starting:
                options = self.start(index)
                if options is not None:
                    return options
            received = signal.sigtimedwait(_SIGNALS, self.patience())
            if received is not None and received.si_signo != signal.SIGCHLD:
                self.pass_on(received.si_signo)
            elif received is None and self.kill_at is not None and time.monotonic() >= self.kill_at:
                self.send(signal.SIGKILL)
                self.kill_at = None
            for pid, code in _ended():
                if pid in self.running:
                    self.ended(self.running.pop(pid), pid, code)
            starting = self.look()
        return self.worst

    def patience(self) -> float:
        if self.dead:
            return _LOOK
        return 3600.0 if self.kill_at is None else max(0.0, self.kill_at - time.monotonic())

    def start(self, index: int) -> Options | None:
        """Start an engine. Returns its options in that engine, if it is a fork."""
        arguments = self.options.arguments(index, os.getpid())
        if self.forks is None:
            self.running[_spawn(arguments)] = index
            return None
        pid, _ = self.forks.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            if self.agent is not None:
                self.agent.leave()
            return self.forks.become(arguments)
        self.running[pid] = index
        return None

    def pass_on(self, number: int) -> None:
        self.send(number)
        if number == signal.SIGTERM:
            self.dead.clear()
            self.words = None
            self.kill_at = self.kill_at or time.monotonic() + _GRACE

    def send(self, number: int) -> None:
        for pid in self.running:
            # It is not reaped yet, so the number is its own.
            if number == signal.SIGKILL:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)

    def ended(self, index: int, pid: int, code: int) -> None:
        how = f"with status {code}" if code >= 0 else f"by signal {-code} ({signal.Signals(-code).name})"
        say(f"{self.names[index]} (pid {pid}) ended {how}\n")
        self.worst = max(self.worst, code if code >= 0 else 128 - code)
        # One that ended with 0 was told to.
        if code != 0 and self.words is not None:
            self.dead[index] = time.monotonic() + _PATIENCE

    def look(self) -> list[int]:
        """Those that the launcher has started again; gives up those that it has left alone for too long."""
        again = []
        for index, until in list(self.dead.items()):
            times = self.again.get(index, 0)
            if self.asked_for(index) > times:
                self.again[index] = times + 1
                del self.dead[index]
                again.append(index)
            elif time.monotonic() >= until:
                del self.dead[index]
        return again

    def asked_for(self, index: int) -> int:
        """How often the launcher has asked for an engine.

        The file is opened anew each time: only then does a network file system look whether it has changed.
        """
        if self.words is None:
            return 0
        try:
            with open(self.words, encoding="utf-8", errors="replace") as file:
                return sum(line.startswith(f"{self.names[index]}: ") for line in file)
        except OSError:
            return 0


def _spawn(arguments: list[str]) -> int:
    command = [sys.executable, *_SAFE_PATH, "-m", PROGRAM, *arguments]
    # A group of its own, as for forks.
    return os.posix_spawn(sys.executable, command, os.environ, setpgroup=0, setsigmask=[], setsigdef=_PASSED_ON)


def _ended() -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))
