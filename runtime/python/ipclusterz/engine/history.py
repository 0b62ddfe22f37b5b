"""Records what cells gave, for clients that ask later.

`Recorder` stands around a shell; what it keeps is in `shared.cells`. Values themselves and what was displayed are not
kept: they may be large, and a value has its name or ``Out``. Imported with the first cell.
"""

from __future__ import annotations

from io import StringIO

from ..shared.cells import Cell, keep
from ..shared.namespace import current
from ..shared.serialize import loads
from .failure import error_frames
from .streams import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .outcome import Outcome, Shell

__all__ = ["Recorder"]

LONGEST = 64 * 1024
"""Characters that are kept of each text of a cell: 100 cells that say much are then some 25 MiB."""


class Recorder:
    """A shell that keeps what its cells gave, unless they were silent.

    Parameters
    ----------
    shell : Shell
        Runs the cells.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    @property
    def count(self) -> int:
        return self._shell.count

    def run(self, code: str, silent: bool) -> Outcome:
        if silent:
            return self._shell.run(code, True)
        before = self.count
        printed, warned = _Head(), _Head()
        installed["stdout"].copy, installed["stderr"].copy = printed.add, warned.add
        text = error = None
        try:
            outcome = self._shell.run(code, False)
            text = outcome["data"].get("text/plain")
            return outcome
        except BaseException as raised:
            told = loads(error_frames(raised, "execute", current().engine_id))
            # Without the exception itself: it may be large, and is not raised from here.
            error = told | {"exception": None} | {name: _cut(told[name]) for name in ("evalue", "traceback")}
            raise
        finally:
            installed["stdout"].copy = installed["stderr"].copy = None
            # IPython does not count a cell without code.
            if self.count != before:
                keep(Cell(_cut(code), self.count, text and _cut(text), printed.text(), warned.text(), error))

    def reset(self) -> None:
        self._shell.reset()


def _cut(text: str) -> str:
    head = _Head()
    head.add(text)
    return head.text()


class _Head:
    """The beginning of a text that comes in pieces."""

    __slots__ = ("_dropped", "_kept", "_room")

    def __init__(self) -> None:
        self._kept = StringIO()
        self._room = LONGEST
        self._dropped = 0

    def add(self, piece: str) -> None:
        taken = piece[: self._room]
        self._kept.write(taken)
        self._room -= len(taken)
        self._dropped += len(piece) - len(taken)

    def text(self) -> str:
        kept = self._kept.getvalue()
        return f"{kept}\n… {self._dropped} more characters were not kept" if self._dropped else kept
