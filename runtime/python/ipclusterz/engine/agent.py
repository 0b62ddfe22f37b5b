"""The agent of a host: the process through which its engines share one connection to a controller on another host.

It is started by what forks the engines, and ends with that and the last engine. Without it each engine has connections
of its own: that is said in the log, and nothing else is different.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from fcntl import LOCK_EX, LOCK_NB, flock

from .words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .options import Options

__all__ = ["Agent"]

_PROGRAM = "ipclusterz"
# Longer than any answer.
_ANSWER = 1 << 16
# How often is looked whether another process has started one.
_LOOK = 0.01


class Agent:
    """The agent for engines that are about to be forked: one that is there already, or one that is started.

    Parameters
    ----------
    options : Options
        Of the process that forks them.
    folder : str, optional
        Where others of this host find it, and where theirs is found.
    """

    def __init__(self, options: Options, folder: str | None = None) -> None:
        self._options = options
        self._deadline = time.monotonic() + options.timeout
        self._place = folder and os.path.join(folder, "agent.json")
        self._lock = _open(f"{self._place}.lock") if self._place else None
        self._leash: int | None = None
        self._answer: int | None = None
        if self._is_mine() and not self._is_there():
            self._start()

    def _start(self) -> None:
        program, options = _find(), self._options
        if program is None:
            return self._is_without(f"there is no program {_PROGRAM} beside {sys.executable}")
        arguments = ["agent", "--connection-file", options.connection_file, "--timeout", repr(options.timeout)]
        leash, self._leash = os.pipe()
        self._answer, answer = os.pipe()
        try:
            actions = [(os.POSIX_SPAWN_DUP2, leash, 0), (os.POSIX_SPAWN_DUP2, answer, 1)]
            os.posix_spawn(program, [_PROGRAM, *arguments], os.environ, file_actions=actions)
        except OSError as error:
            self._is_without(f"{program} cannot be run: {error.strerror}")
            self.leave()
        os.close(leash)
        os.close(answer)

    def wait(self) -> None:
        """Wait until it is ready, and have the engines told where it is: they are given the options of their parent."""
        while self._lock is not None and not self._is_mine() and time.monotonic() < self._deadline:
            # Another process is starting it.
            time.sleep(_LOOK)
        if self._answer is not None:
            self._take(_read_line(self._answer, self._deadline))
        elif self._place and self._options.agent is None:
            self._is_there()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self, answer: bytes) -> None:
        """Take what it has said, and leave word for others."""
        found = json.loads(answer) if answer.endswith(b"\n") else {"error": {"message": "the agent does not answer"}}
        if "error" in found:
            self._is_without(found["error"]["message"])
        self._use(found)
        if self._options.agent is None:
            # Also where none is needed, because the controller is on this host.
            self.leave()
        elif self._place:
            _write(self._place, answer)

    def _use(self, found: dict[str, Any]) -> None:
        self._options.agent, self._options.agent_segments = found.get("socket"), found.get("segments")

    def _is_mine(self) -> bool:
        """Whether no other process of this host is starting an agent."""
        try:
            if self._lock is not None:
                flock(self._lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # A file system without locks: then there may be one agent more.
            pass
        return True

    def _is_there(self) -> bool:
        """Use the agent that another process has left word of, if it listens."""
        try:
            with open(self._place or "", "rb") as file:
                found = json.loads(file.read())
            with socket.socket(socket.AF_UNIX) as tried:
                tried.settimeout(1)
                tried.connect(found["socket"])
        except (OSError, ValueError):
            return False
        self._use(found)
        return True

    def leave(self) -> None:
        """Let go of it: when everybody has who was forked from here, and no engine is left, it ends."""
        for descriptor in (self._leash, self._answer, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._leash = self._answer = self._lock = None

    def _is_without(self, why: str) -> None:
        say(f"engines here share no connection, each has its own: {why}\n")


def _find() -> str | None:
    """Find the program that is installed with this Python."""
    for folder in [os.path.dirname(sys.executable), *os.get_exec_path()]:
        path = os.path.join(folder, _PROGRAM)
        if os.access(path, os.X_OK):
            return path
    return None


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _write(path: str, content: bytes) -> None:
    """Write a file that others read whole or not at all. If that cannot be, they do without."""
    try:
        new = _open(f"{path}.new")
        if new is not None:
            os.write(new, content)
            os.close(new)
            os.replace(f"{path}.new", path)
    except OSError:
        pass


def _read_line(descriptor: int, deadline: float) -> bytes:
    """Read a line; what there is of it where its writer ends, or takes too long."""
    waiting, text = select.poll(), b""
    waiting.register(descriptor, select.POLLIN)
    while not text.endswith(b"\n") and len(text) < _ANSWER:
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            break
        more = os.read(descriptor, _ANSWER)
        if not more:
            break
        text += more
    return text
