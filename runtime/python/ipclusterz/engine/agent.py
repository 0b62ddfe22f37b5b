"""The agent of a host: the process through which its engines share one connection to a controller on another host.

What starts engines starts it beside them: the process that forks them, or each engine itself, where mpiexec or srun has
started that. They all get the same one (``ipclusterz agent``). It ends with the last engine. Without it each engine has
connections of its own: that is said in the log, and nothing else is different.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

from .words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .options import Options

__all__ = ["Agent", "of_this_host"]

_PROGRAM = "ipclusterz"
# Longer than any answer.
_ANSWER = 1 << 16
# Its part of the time that engines have to register in, and the most of that, seconds: without it they need the rest.
_PART = 0.3
_MOST = 10.0


class Agent:
    """The agent for engines of this host: one that is there already, or one that is started.

    Parameters
    ----------
    options : Options
        Of the process that forks them, or of an engine. What is left of its time is the engines'.
    log : str, optional
        Where it writes its log, if it is to outlive what started this process. Else this process is its parent.
    """

    def __init__(self, options: Options, log: str | None = None) -> None:
        self._options = options
        self._begun = time.monotonic()
        self._seconds = min(_PART * options.timeout, _MOST)
        self._leash: int | None = None
        self._answer: int | None = None
        # Of a process that ends as soon as it has started the agent.
        self._starter = 0
        program = _find()
        if program is None:
            self._is_without(f"there is no program {_PROGRAM} beside {sys.executable}")
        else:
            self._start(program, log)

    def _start(self, program: str, log: str | None) -> None:
        options = self._options
        arguments = ["agent", "--connection-file", options.connection_file]
        arguments += ["--timeout", repr(self._seconds), *(["--log", log] if log else [])]
        leash, self._leash = os.pipe()
        self._answer, answer = os.pipe()
        try:
            actions = [(os.POSIX_SPAWN_DUP2, leash, 0), (os.POSIX_SPAWN_DUP2, answer, 1)]
            pid = os.posix_spawn(program, [_PROGRAM, *arguments], os.environ, file_actions=actions)
            self._starter = pid if log else 0
        except OSError as error:
            self._is_without(f"{program} cannot be run: {error.strerror}")
            self.leave()
        os.close(leash)
        os.close(answer)

    def wait(self) -> None:
        """Wait until it is ready, and have the engines told where it is: they are given the options of their parent."""
        if self._answer is None:
            return
        options = self._options
        # A moment more than it has itself, so that its reason is heard.
        self._take(_read_line(self._answer, self._begun + 1.3 * self._seconds))
        if self._starter:
            os.waitpid(self._starter, 0)
        options.timeout = max(options.timeout - (time.monotonic() - self._begun), _PART * options.timeout)

    def _take(self, answer: bytes) -> None:
        found: dict[str, Any]
        found = json.loads(answer) if answer.endswith(b"\n") else {"error": {"message": "the agent does not answer"}}
        if "error" in found:
            self._is_without(found["error"]["message"])
        self._options.agent, self._options.agent_segments = found.get("socket"), found.get("segments")
        if self._options.agent is None:
            # Also where none is needed, because the controller is on this host.
            self.leave()

    def leave(self) -> None:
        """Let go of it: when everybody has who was forked from here, and no engine is left, it ends."""
        for descriptor in (self._leash, self._answer):
            if descriptor is not None:
                os.close(descriptor)
        self._leash = self._answer = None

    def _is_without(self, why: str) -> None:
        say(f"engines here share no connection, each has its own: {why}\n")


def of_this_host(options: Options) -> Agent | None:
    """The agent for an engine that nothing has forked; None where it is alone on its host.

    Raises
    ------
    ValueError
        When it is a rank, and the environment does not say which.
    """
    from ..shared.ranks import local_size

    if (options.host_engines if options.ranks is None else local_size(os.environ)) < 2:
        return None
    # Whatever started this engine may wait until nobody has its standard error open.
    folder = os.path.dirname(os.path.abspath(options.connection_file))
    return Agent(options, os.path.join(folder, "logs", f"agent-{os.uname().nodename}.log"))


def _find() -> str | None:
    """Find the program that is installed with this Python."""
    for folder in [os.path.dirname(sys.executable), *os.get_exec_path()]:
        path = os.path.join(folder, _PROGRAM)
        if os.access(path, os.X_OK):
            return path
    return None


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
