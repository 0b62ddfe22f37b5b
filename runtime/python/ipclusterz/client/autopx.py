"""``%autopx``: whole cells become one magic call, before IPython looks into them.

So names that are not defined here, functions, loops and magics inside of a cell go to the engines untouched.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

__all__ = ["AutoCells"]

# Who wants to leave IPython, or to look at an error here, does not mean the engines.
_LEAVE = frozenset({"exit", "quit", "exit()", "quit()", "%debug", "debug"})

_MAGIC = re.compile(r"\s*%{1,2}(\w+)")


class AutoCells:
    """An input transformer of an IPython shell, while it is on.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        Where cells are typed.
    magic : str
        The cell magic that they become.
    ours : callable
        Gives the magics that stay here: cells that begin with one of them are left alone.
    """

    # IPython skips such transformers when it looks whether a cell is complete: that is to be seen in the cell itself.
    has_side_effects = True

    def __init__(self, shell: Any, magic: str, ours: Callable[[], Collection[str]]) -> None:
        self._transformers: list[Any] = shell.input_transformers_cleanup
        self._magic = magic
        self._ours = ours
        self._paused = False

    @property
    def on(self) -> bool:
        """Whether cells go to the engines."""
        return self in self._transformers

    def start(self) -> None:
        # The first of all, so that it sees cells as they were typed: also a cell magic is the engines'.
        self._transformers.insert(0, self)

    def stop(self) -> None:
        self._transformers.remove(self)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block in which cells stay here."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def __call__(self, lines: list[str]) -> list[str]:
        cell = "".join(lines)
        if self._paused or not cell.strip() or self._stays(cell):
            return lines
        return [f"get_ipython().run_cell_magic({self._magic!r}, '', {cell!r})\n"]

    def _stays(self, cell: str) -> bool:
        # The bare word is what IPython calls automagic; other words may be names on the engines.
        if cell.strip() in _LEAVE:
            return True
        magic = _MAGIC.match(cell)
        return cell.strip() == self._magic if magic is None else magic[1] in self._ours()
