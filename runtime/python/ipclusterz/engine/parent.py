"""The parent of several engines on one host: starts them, passes signals on, says how each ended.

It knows no controller: what is asked of the engines is asked of them directly.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from .words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Options

__all__ = ["run"]

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# As the variable that the launcher sets, which this process has taken out of its environment.
_SAFE_PATH = ["-P"] if sys.version_info >= (3, 11) else []
# After a SIGTERM, until those that are still there are killed.
_GRACE = 5.0


def run(options: Options) -> int:
    """Start the engines and wait until all have ended.

    Returns
    -------
    int
        The worst exit status: 128 plus the signal's number for one that a signal ended, as in a shell.
    """
    waited = {signal.SIGCHLD, *_PASSED_ON}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    engines = {}
    for index in range(options.engines or 0):
        first = options.first_engine_id
        engine_id = None if first is None else first + index
        name = f"engine {index} of {options.engines}" if engine_id is None else f"engine {engine_id}"
        engines[_start(options, engine_id)] = name
    worst, kill_at = 0, None
    while engines:
        patience = 3600.0 if kill_at is None else max(0.0, kill_at - time.monotonic())
        received = signal.sigtimedwait(waited, patience)
        if received is None and kill_at is not None:
            _send(engines, signal.SIGKILL)
            kill_at = None
        elif received is not None and received.si_signo != signal.SIGCHLD:
            _send(engines, received.si_signo)
            if received.si_signo == signal.SIGTERM and kill_at is None:
                kill_at = time.monotonic() + _GRACE
        for pid, status in _ended():
            if pid in engines:
                worst = max(worst, _report(engines.pop(pid), pid, status))
    return worst


def _start(options: Options, engine_id: int | None) -> int:
    command = [sys.executable, *_SAFE_PATH, "-m", "ipclusterz.engine", *options.arguments(engine_id, os.getpid())]
    # A group of its own: an engine that is ended takes with it what user code has started, and nothing else.
    return os.posix_spawn(sys.executable, command, os.environ, setpgroup=0, setsigmask=[], setsigdef=_PASSED_ON)


def _send(engines: dict[int, str], number: int) -> None:
    for pid in engines:
        # It is not reaped yet, so the number is its own.
        if number == signal.SIGKILL:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


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


def _report(name: str, pid: int, code: int) -> int:
    how = f"with status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
    say(f"{name} (pid {pid}) ended {how}\n")
    return code if code >= 0 else 128 - code
