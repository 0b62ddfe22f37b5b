"""``sys.stdout`` and ``sys.stderr`` of an engine, and its third stream: what the code displays.

What is written while a task runs, from whichever thread, goes to the client; at any other time it goes to the process's
own stream, which the launcher keeps in a log file. Batching and sending are the extension module's. What is written to
the stream of displays is decided in `ipython`.
"""

from __future__ import annotations

import io
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, TextIO

    from .._core import Engine
    from .state import State

__all__ = ["Stream", "install", "installed"]


class Stream(io.TextIOBase):
    """A text stream that writes to the running task's client.

    Attributes
    ----------
    copy : callable or None
        Is given all text that goes to the client too.
    """

    def __init__(self, core: Engine, state: State, name: Literal["stdout", "stderr", "display"], own: TextIO) -> None:
        super().__init__()
        self._send = core.write
        self._state = state
        self._own = own
        self.copy: Callable[[str], object] | None = None
        self.name = name
        self.buffer = _Bytes(self)

    encoding = "utf-8"
    errors = "replace"
    newlines = None

    @property
    def live(self) -> bool:
        """Whether there is a client to write to."""
        return self._state.busy and not self._state.forked

    def write(self, text: str) -> int:
        if type(text) is not str:
            if not isinstance(text, str):
                raise TypeError(f"write() argument must be str, not {type(text).__name__}")
            text = str(text)
        if self.live:
            try:
                self._send(self.name, text)
            except UnicodeEncodeError:
                # A lone surrogate, from a file name for instance, has no place in UTF-8.
                text = text.encode("utf-8", "replace").decode()
                self._send(self.name, text)
            copy = self.copy
            if copy is not None:
                copy(text)
        else:
            self._own.write(text)
            self._own.flush()
        return len(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: the I/O thread sends what there is within milliseconds."""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        # A child process that is given this stream writes to the engine's log.
        return self._own.fileno()

    def close(self) -> None:
        """Do nothing: code that closes the standard output of a task must not close the next one's."""


class _Bytes(io.RawIOBase):
    """``sys.stdout.buffer``: bytes are shown as UTF-8, a sequence split over two writes included."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._decoder: Any = None

    def write(self, data: Any) -> int:
        if self._decoder is None:
            import codecs

            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        content = bytes(data)
        self._stream.write(self._decoder.decode(content))
        return len(content)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        """Do nothing, as for the text stream."""


installed: dict[str, Stream] = {}
"""The streams of this engine by name; empty in every other process."""


def install(core: Engine, state: State) -> None:
    """Replace ``sys.stdout`` and ``sys.stderr``, and open the stream of displays."""
    installed["display"] = Stream(core, state, "display", sys.stdout)
    installed["stdout"] = sys.stdout = Stream(core, state, "stdout", sys.stdout)
    installed["stderr"] = sys.stderr = Stream(core, state, "stderr", sys.stderr)
