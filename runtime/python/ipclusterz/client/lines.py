"""Lines of several engines on the standard streams of this process, so that they do not mix."""

from __future__ import annotations

import sys

from ..words import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Lines"]


class Lines:
    """Lines on the standard streams, each behind the name of its source.

    The text of a line that was begun waits until the line is complete, unless it is shown by `show_unfinished`.

    Parameters
    ----------
    one_source : bool
        Nothing can get mixed up: unfinished lines are shown at once.
    """

    def __init__(self, one_source: bool) -> None:
        self._one_source = one_source
        # By stream and engine: the part of a line that is not shown yet.
        self._waiting: dict[tuple[str, int], str] = {}
        # The source whose line is on the screen without a line end.
        self._open: tuple[str, int] | None = None
        self._written: Any = sys.stdout

    @property
    def unfinished(self) -> bool:
        """Whether there is text that `show_unfinished` would show."""
        return any(map(self._presentable, self._waiting.values()))

    def begin(self, one_source: bool) -> None:
        """Go on after a while, in which the standard streams may have been replaced."""
        self._one_source = one_source
        self._written = sys.stdout

    def add(self, stream: str, engine_id: int, text: str) -> None:
        """An engine wrote something."""
        source = (stream, engine_id)
        *complete, rest = (self._waiting.pop(source, "") + text).split("\n")
        for line in complete:
            self._show(source, line, "\n")
        if rest:
            self._waiting[source] = rest
            if self._one_source:
                self.show_unfinished()

    def show_unfinished(self) -> None:
        """Show what waits for the end of its line."""
        for source, text in list(self._waiting.items()):
            if self._presentable(text):
                del self._waiting[source]
                self._show(source, text, "")
        self.flush()

    def complete(self, engine_id: int) -> None:
        """An engine writes no more: show what waits of it."""
        for source in [source for source in self._waiting if source[1] == engine_id]:
            self._show(source, self._waiting.pop(source), "\n")
        if self._open is not None and self._open[1] == engine_id:
            self._end_open()

    def end_of(self, engine_id: int) -> None:
        """Something else of an engine is shown next: show what waits of it, and end the line on the screen."""
        self.complete(engine_id)
        self._end_open()
        self.flush()

    def pause(self) -> None:
        """Something else is shown next: end the line on the screen, if there is one."""
        if self._open is not None:
            self._end_open()
            self.flush()

    def end(self) -> None:
        """No more text comes: show what waits, and end its lines."""
        for source, text in self._waiting.items():
            self._show(source, text, "\n")
        self._waiting.clear()
        self._end_open()
        self.flush()

    def note(self, text: str) -> None:
        """Show a line of our own, on standard error."""
        self._end_open()
        self._write(("stderr", -1), f"{text}\n")

    def flush(self) -> None:
        """Let what was written appear. Not for each line: in a notebook that takes its time."""
        if self._written is not None:
            self._written.flush()

    def _end_open(self) -> None:
        if self._open is not None:
            self._write(self._open, "\n")
            self._open = None

    def _presentable(self, text: str) -> bool:
        # Progress bars rewrite their line. With several engines they are shown when they are complete.
        return self._one_source or "\r" not in text

    def _show(self, source: tuple[str, int], text: str, end: str) -> None:
        stream, engine_id = source
        prefix = f"[{stream}:{engine_id if engine_id >= 0 else '?'}] "
        # What a terminal would show of a line that was rewritten.
        rewritten, _, visible = text.rstrip("\r").rpartition("\r")
        visible = printable(visible, colours=True)
        if self._open != source:
            self._end_open()
            visible = prefix + visible
        elif rewritten or text.startswith("\r"):
            visible = f"\r{prefix}{visible}"
        self._write(source, visible + end)
        self._open = None if end else source

    def _write(self, source: tuple[str, int], text: str) -> None:
        file: Any = sys.stderr if source[0] == "stderr" else sys.stdout
        if file is not self._written:
            # Both streams may go to one screen.
            self.flush()
            self._written = file
        # A program without a terminal may have no standard streams.
        if file is not None:
            try:
                file.write(text)
            except UnicodeEncodeError:
                file.write(text.encode(file.encoding, "backslashreplace").decode(file.encoding))
