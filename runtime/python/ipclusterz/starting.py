"""The command `ipclusterz start` as a child process: what it is told, what it says on the way, and its end.

Settings go through a pipe, because other users can read arguments, and a value of the environment may be a secret. What
is said on the way is shown once a start takes long; questions, as for a passphrase, are asked where the user is.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from numbers import Integral, Real

from .client.command import answer_to, other_release, program, send, send_answer, terminate
from .compat import OWN_PROCESS_GROUP
from .error import ClusterError, JournalLeft
from .words import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Start"]

# The command needs a few seconds at most to end its processes by force; only a hanging kernel takes longer, or what
# engines do at their end (engines.end_timeout of the profile).
_STOP_SECONDS = 20.0
_TAIL_LINES = 20
# The command's exit code for an earlier cluster that has left a journal.
_JOURNAL_LEFT = 8
# A start that takes no longer says nothing.
_QUIET_SECONDS = 2.0


class Start:
    """A start that is under way, and then the cluster's launcher.

    Parameters
    ----------
    name : str
        The cluster's name.
    options : list of str
        Further options of the command.
    settings : list of (str, object)
        Keys or tables of the profile and their values; later ones count.

    Attributes
    ----------
    process : subprocess.Popen
        The command, which ends what it started when it ends, and ends with this process.
    end : callable
        Ends it, and waits until it has ended. Called at the latest when this object is freed or the interpreter ends.

    Raises
    ------
    TypeError
        When a value cannot be in a profile.
    ClusterError
        When the command is not found.
    """

    def __init__(self, name: str, options: list[str], settings: list[tuple[str, Any]]) -> None:
        line = json.dumps([[key, _plain(key, value)] for key, value in settings if value is not None])
        self._name = name
        self._command = [program(), "start", "--cluster", name, "--talk-on-stdio", "--exit-with-parent", *options]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this object)
        self._output = b""
        self.end: Any = None
        # A group of its own: Ctrl-C at the prompt is for the prompt, not for the cluster.
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            **OWN_PROCESS_GROUP,
        )
        self._may_end_within(_STOP_SECONDS)
        send(self.process, f"{line}\n")

    def report(self) -> dict[str, Any]:
        """Wait until the engines are ready, and return what the command says of the cluster.

        The command keeps the deadlines: a job may wait in a queue for as long as the profile allows.

        Raises
        ------
        ClusterError
            When there will be no cluster; says why, with the end of what the command wrote.
        """
        shown_from = time.monotonic() + _QUIET_SECONDS
        said: list[str] = []
        while True:
            message = self._message(max(0.0, shown_from - time.monotonic()) if said else None)
            if "ready" in message:
                ready: dict[str, Any] = message["ready"]
                self._may_end_within(_STOP_SECONDS + ready["end_timeout"])
                return ready
            if "failed" in message:
                raise self._failure(message["failed"])
            if "ask" in message:
                send_answer(self.process, answer_to(str(message["ask"]["prompt"])))
            if "say" in message:
                said.append(str(message["say"]))
            if said and time.monotonic() >= shown_from:
                _show(said)
                said.clear()

    # -- inside -------------------------------------------------------------------------------------------------

    def _may_end_within(self, seconds: float) -> None:
        if self.end is not None:
            self.end.detach()
        self.end = weakref.finalize(self, _end, self.process, os.getpid(), seconds)

    def _message(self, timeout: float | None) -> dict[str, Any]:
        """The next message of the command; empty when none comes in time."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self._output:
            with selectors.DefaultSelector() as selector:
                selector.register(descriptor, selectors.EVENT_READ)
                if not selector.select(timeout):
                    return {}
            chunk = os.read(descriptor, 65536)
            if not chunk:
                raise self._failure({})
            self._output += chunk
        line, _, self._output = self._output.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _failure(self, told: dict[str, Any]) -> ClusterError:
        self.end()
        message = f"cluster {self._name!r} could not be started: {told.get('message') or 'the command ended'}"
        if not told.get("message"):
            message += f"\n  {' '.join(self._command)}\n  ended with status {self.process.returncode}"
            message += other_release(self._command[0])
        tail = self._error_tail()
        if tail and tail.strip() not in message:
            message += f"\n{tail}"
        kind = JournalLeft if told.get("exit_code") == _JOURNAL_LEFT else ClusterError
        return kind(message, hint=told.get("hint") or "")

    def _error_tail(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        # The command says its error on stderr too, where the report has it already.
        return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:] if not line.startswith(("error: ", "hint: ")))


def _plain(key: str, value: object) -> Any:
    """A value as JSON has it.

    Raises
    ------
    TypeError
        When a profile has no such values.
    """
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        # JSON has no infinity; the command says what it wants instead.
        number = float(value)
        return number if number - number == 0 else str(number)
    if isinstance(value, Mapping):
        return {str(name): _plain(f"{key}.{name}", item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(key, item) for item in value]
    raise TypeError(f"{key}: a profile has text, numbers, true and false, lists and tables, not {type(value).__name__}")


def _show(lines: list[str]) -> None:
    if sys.stderr is not None:
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
        sys.stderr.flush()


def _end(process: subprocess.Popen[bytes], owner: int, patience: float) -> None:
    """End the command, which ends what it started."""
    if not terminate(process, owner):
        return
    try:
        process.wait(patience)
    except BaseException as error:
        # It hangs, or Ctrl-C was pressed again. What a killed launcher has started ends with it, or its guard ends it.
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
