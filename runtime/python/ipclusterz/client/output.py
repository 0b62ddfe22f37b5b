"""What tasks write, shown on the standard streams of this process while somebody waits for them.

Each piece is shown once, by whichever thread takes it first. A flood is cut: the screen takes so many characters at
once, and so many more each second. What a result keeps is not touched by that.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import RLock
from time import monotonic

from .displays import cell_number, entries, show_entry
from .lines import Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._core import Pending

__all__ = ["Output"]

# Characters that are shown at once, and how many more each second. After a cut, so many have to be allowed again.
_BURST = 1024 * 1024
_EACH_SECOND = 256 * 1024
_AGAIN = 64 * 1024


class Output:
    """What the calls of one result write.

    Parameters
    ----------
    pending : ipclusterz._core.Pending
        Has it.
    """

    def __init__(self, pending: Pending) -> None:
        self._pending = pending
        self._lines = Lines(one_source=False)
        self._left_out = 0
        # The cell in which something was shown last; None: nothing was.
        self._cell: int | None = None

    def show(self, at_once: bool, displays: bool) -> None:
        """Show what has come since this was called last.

        Parameters
        ----------
        at_once : bool
            The caller waits for this result alone: what a single call writes is shown before its line is complete.
        displays : bool
            Show figures and the like, too.
        """
        with _screen.lock:
            news = self._pending.take_output()
            if not news:
                return
            lines = self._lines
            lines.begin(one_source=at_once and len(self._pending) == 1)
            _screen.turn_to(lines)
            self._cell = cell_number()
            # A standard stream that is closed is no reason to lose results.
            with suppress(OSError, ValueError):
                for _, engine_id, pieces, done in news:
                    for stream, text in pieces:
                        if stream != "display":
                            self._add(stream, engine_id, text)
                        elif displays:
                            self._display(engine_id, text)
                    if done:
                        lines.complete(engine_id)
                if self._pending.done() == len(self._pending):
                    self._say_what_is_missing()
                lines.flush()

    def pause(self) -> None:
        """The wait is over, and the calls go on: what others write begins on a line of its own."""
        with _screen.lock, suppress(OSError, ValueError):
            self._lines.pause()

    def was_shown_here(self) -> bool:
        """Whether the cell that runs now has shown it, or a script has; asked again, no: so that it can be repeated."""
        cell, self._cell = self._cell, None
        return cell is not None and cell == cell_number()

    def _add(self, stream: str, engine_id: int, text: str) -> None:
        room = _screen.room(len(text), self._left_out > 0)
        if room and self._left_out:
            self._say_what_is_missing()
        self._left_out += len(text) - room
        if room:
            self._lines.add(stream, engine_id, text[:room])

    def _display(self, engine_id: int, text: str) -> None:
        for entry in entries(text):
            self._lines.end_of(engine_id)
            if "clear" not in entry:
                show_entry(engine_id, entry)

    def _say_what_is_missing(self) -> None:
        if self._left_out:
            self._lines.note(f"[{self._left_out} characters of output are not shown: they came too fast]")
            self._left_out = 0


class _Screen:
    """The standard streams of this process, which the results of all clients share."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._lines: Lines | None = None
        self._room = float(_BURST)
        self._at = monotonic()

    def turn_to(self, lines: Lines) -> None:
        """Another result may have left a line without its end."""
        if self._lines is not None and self._lines is not lines:
            with suppress(OSError, ValueError):
                self._lines.pause()
        self._lines = lines

    def room(self, wanted: int, was_cut: bool) -> int:
        """How many characters may be shown of so many."""
        now = monotonic()
        self._room = min(_BURST, self._room + (now - self._at) * _EACH_SECOND)
        self._at = now
        if was_cut and self._room < min(_BURST, max(_AGAIN, wanted)):
            return 0
        given = min(wanted, int(self._room))
        self._room -= given
        return given

    def after_fork(self) -> None:
        """Fork hook of the child: another thread may have held the lock."""
        self.lock = RLock()


_screen = _Screen()
os.register_at_fork(after_in_child=_screen.after_fork)
