"""Forks the engines of this host that a launcher on another one has asked for at once, and leaves word how each ended.

The launcher runs a script here, and comes back later: so it finds in the folder of its run what it wants to know. It
may be gone by then, and the engines live on as long as there is a controller.

# Format

On standard output, whose end the script waits for, a line for each engine with what ``/proc/PID/stat`` says of it:
``@ipclusterz engine 3 PID ...``, or one that says why there is none: ``@ipclusterz failed TEXT``.

In the folder: ``engine-3.log``; ``status-3``, the exit status, or 128 plus the signal's number, once it has ended; and
``alive-3``, which the script makes and which is removed then.
"""

from __future__ import annotations

import os
from _signal import SIGKILL  # type: ignore[import-not-found]

from .agent import Agent
from .forks import Forks
from .preload import PreloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Options

__all__ = ["serve"]

_MARK = "@ipclusterz"


def serve(options: Options) -> Options:
    """Fork engines, and wait until all have ended.

    Returns
    -------
    Options
        In each engine, and there alone.
    """
    folder = options.fork_folder or "."
    names = options.fork_ids.split(",")
    # One engine gains nothing. Others of this host may be forked elsewhere.
    several = max(len(names), options.host_engines) > 1
    agent = Agent(options) if options.with_agent and several else None
    try:
        forks = Forks(options)
    except PreloadError as error:
        _tell(f"{_MARK} failed {error}\n")
        raise SystemExit(1) from None
    if agent is not None:
        agent.wait()
    running: dict[int, str] = {}
    seats = options.fork_seats.split(",")
    for place, name in enumerate(names):
        options.engine_id, options.host_index = int(name), int(seats[place])
        try:
            pid, _ = forks.fork()
        except OSError as error:
            _tell(f"{_MARK} failed engine {name} cannot be forked: {error.strerror}\n")
            continue
        if pid == 0:
            if agent is not None:
                agent.leave()
            arguments = options.arguments(0, os.getppid())
            return forks.become(arguments, f"{folder}/engine-{name}.log")
        running[pid] = name
        with open(f"/proc/{pid}/stat", "rb") as file:
            _tell(f"{_MARK} engine {name} ", file.read())
    _close_output()
    while running:
        _wait(folder, running)
    if agent is not None:
        agent.leave()
    if options.fork_end:
        os.execv("/bin/sh", ["sh", "-c", options.fork_end, "sh", folder])
    raise SystemExit(0)


def _wait(folder: str, running: dict[int, str]) -> None:
    """Wait for the end of a process."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    if ended is None:
        return
    name = running.pop(ended.si_pid, None)
    if name is not None:
        try:  # noqa: SIM105 - as in `forks`
            os.killpg(ended.si_pid, SIGKILL)
        except OSError:
            pass
        code = ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status
        # Before its process is gone, so that whoever does not see it any more finds how it ended.
        _leave_word(folder, name, code)
    os.waitpid(ended.si_pid, 0)


def _leave_word(folder: str, name: str, code: int) -> None:
    try:
        with open(f"{folder}/status-{name}", "w") as file:
            file.write(f"{code}\n")
        os.unlink(f"{folder}/alive-{name}")
    except OSError:
        # The launcher has removed the folder, or the disk is full.
        pass


def _tell(text: str, more: bytes = b"") -> None:
    try:  # noqa: SIM105 - as in `forks`
        os.write(1, text.encode("utf-8", "replace") + more)
    except OSError:
        # The connection is gone. The launcher asks anew when it has another one.
        pass


def _close_output() -> None:
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)
