"""``sys.stdout`` and ``sys.stderr`` of an engine, and its third stream: what the code displays.

What code of the running task writes, in whichever thread, goes to the task's client. All else goes to the process's own
stream, a log file that is kept within a bound: what is written between tasks, and what threads of a task write when it
has ended. What cells of a frontend write goes to that (`cells`), which takes it in `Stream.cells`. Whose code it is, is
decided in `origin`; batching, sending and limits are the extension module's, which also reads what does not come
through here, but through descriptors 1 and 2. What is written to the stream of displays is decided in `ipython`.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

from .origin import follow_threads, task_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, NoReturn, TextIO

    from .._core import Engine
    from .state import State

__all__ = ["Stream", "end_fork", "install", "installed"]

_NEWLINES = (None, "", "\n", "\r", "\r\n")


class Stream(io.TextIOBase):
    """A text stream that writes to the client of the task whose code writes.

    It has all of `io.TextIOWrapper` that code expects of ``sys.stdout``. It cannot be closed or detached: the next task
    needs it.

    Attributes
    ----------
    copy : callable or None
        Is given all text that goes to the client too.
    cells : callable or None
        Takes what cells of a frontend write: the number of the cell, which is negative, the stream and the text. Gives
        whether there is still somebody to show it to.
    """

    mode = "w"
    newlines = None

    def __init__(self, core: Engine, state: State, name: Literal["stdout", "stderr", "display"], own: TextIO) -> None:
        super().__init__()
        self._send = core.write
        self._log = core.log
        self._state = state
        self._stream: Literal["stdout", "stderr", "display"] = name
        self._own = own
        self._encoding, self._errors = "utf-8", "replace"
        self._line_buffering = self._write_through = False
        self._begun = ""
        self.copy: Callable[[str], object] | None = None
        self.cells: Callable[[int, str, str], bool] | None = None
        self.name = f"<{name}>"
        self.buffer = _Bytes(self)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What `buffer` takes bytes for, and what text must be made of; UTF-8 unless `reconfigure` was called."""
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        return self._errors

    @property
    def line_buffering(self) -> bool:
        return self._line_buffering

    @property
    def write_through(self) -> bool:
        return self._write_through

    def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """As `io.TextIOWrapper.reconfigure`. Ends of lines are the client's, and what is written is sent soon."""
        if newline not in _NEWLINES:
            raise ValueError(f"illegal newline value: {newline!r}")
        if encoding is not None:
            if encoding == "locale":
                encoding = "utf-8"
            # LookupError: there is no such encoding.
            codecs.lookup(encoding)
            self._encoding, self._errors = encoding, errors or "strict"
        elif errors is not None:
            codecs.lookup_error(errors)
            self._errors = errors
        if line_buffering is not None:
            self._line_buffering = bool(line_buffering)
        if write_through is not None:
            self._write_through = bool(write_through)
        self.buffer.restart()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        # What a child process writes that is given this stream comes through the descriptor.
        return self._own.fileno()

    # -- writing ------------------------------------------------------------------------------------------------

    def write(self, text: str) -> int:
        if type(text) is not str:
            if not isinstance(text, str):
                raise TypeError(f"write() argument must be str, not {type(text).__name__}")
            text = str(text)
        length = len(text)
        if self._encoding != "utf-8":
            text = self._encodable(text)
        if not self._sent(text):
            self.log(text)
        return length

    def writelines(self, lines: Iterable[Any]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: the I/O thread sends what there is within milliseconds. In a child, write what is gathered."""
        if self._state.forked:
            self._write_own("", True)

    def close(self) -> None:
        """Do nothing: code that closes the standard output of a task must not close the next one's."""

    def detach(self) -> Any:
        """The stream of bytes. This one stays as it is, for the next task."""
        return self.buffer

    def log(self, text: str) -> None:
        """Write to the process's own stream. That it cannot take more is no reason to end what writes."""
        try:
            logged = self._log(self._stream == "stderr", text)
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
            logged = self._log(self._stream == "stderr", text)
        if not logged:
            # In a child the lock of the log is its parent's.
            self._write_own(text, "\n" in text)

    def _write_own(self, text: str, at_once: bool) -> None:
        """Write in a child that user code forked off: lines of several stay whole."""
        text, self._begun = self._begun + text, ""
        if not at_once and len(text) < io.DEFAULT_BUFFER_SIZE:
            self._begun = text
            return
        try:
            self._own.write(text)
            self._own.flush()
        except (OSError, ValueError):
            # Nobody reads it.
            pass

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Whether the code that asks has a client to write to, or a frontend."""
        return self.task is not None or (not self._state.forked and self._of_cell() is not None)

    @property
    def task(self) -> int | None:
        """The task that the code which asks is of; None: it has ended, or this is a child that user code forked off.

        It is None for a cell of a frontend, too.
        """
        state = self._state
        runs = state.busy and not state.forked and state.task >= 0
        return state.task if runs and task_here() in (None, state.task) else None

    def _of_cell(self) -> int | None:
        """The cell of a frontend that the code which asks is of; it may have ended."""
        number = task_here()
        if number is None and self._state.busy:
            number = self._state.task
        return number if number is not None and number < 0 else None

    def _sent(self, text: str) -> bool:
        """Whether there was a client, or a frontend, to send it to."""
        state = self._state
        if state.forked:
            return False
        task = task_here()
        if not state.busy and (task is None or task >= 0):
            return False
        if task is None:
            task = state.task
        try:
            sent = self._send_to(task, text)
        except UnicodeEncodeError:
            # A lone surrogate, from a file name for instance, has no place in UTF-8.
            text = self._encodable(text)
            sent = self._send_to(task, text)
        copy = self.copy
        if sent and copy is not None:
            copy(text)
        return sent

    def _send_to(self, task: int, text: str) -> bool:
        if task >= 0:
            return self._send(task, self._stream, text)
        return self.cells is not None and self.cells(task, self._stream, text)

    def _encodable(self, text: str) -> str:
        """What a reader of the stream's bytes would see.

        Raises
        ------
        UnicodeEncodeError
            When there are no such bytes, and `errors` is strict.
        """
        return text.encode(self._encoding, self._errors).decode(self._encoding, "replace")


class _Bytes(io.RawIOBase):
    """``sys.stdout.buffer``: bytes are shown as text of the stream's encoding, a character in two writes included."""

    mode = "wb"

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._decoder: Any = None
        self.name = stream.name

    @property
    def raw(self) -> _Bytes:
        """There is no buffer before it."""
        return self

    def restart(self) -> None:
        """Bytes are of another encoding from here on."""
        self._decoder = None

    def write(self, data: Any) -> int:
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder(self._stream.encoding)("replace")
        content = bytes(memoryview(data))
        self._stream.write(self._decoder.decode(content))
        return len(content)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def detach(self) -> _Bytes:
        return self

    def close(self) -> None:
        """Do nothing, as for the text stream."""


installed: dict[str, Stream] = {}
"""The streams of this engine by name; empty in every other process."""


def install(core: Engine, state: State) -> None:
    """Replace ``sys.stdout`` and ``sys.stderr``, and open the stream of displays."""
    follow_threads()
    installed["display"] = Stream(core, state, "display", sys.stdout)
    installed["stdout"] = sys.stdout = Stream(core, state, "stdout", sys.stdout)
    installed["stderr"] = sys.stderr = Stream(core, state, "stderr", sys.stderr)


def end_fork(status: int) -> NoReturn:
    """End a child that user code forked off, and that has returned from it."""
    for stream in installed.values():
        stream.flush()
    os._exit(status)
