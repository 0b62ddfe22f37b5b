"""One step of the walk: which lines of the guide it covers, what is typed for them and what has to come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from guide import Example, example, in_python_3, plain
from template import mismatch

__all__ = ["Cell", "Status", "Step"]


class Status(Enum):
    """How an example of the guide stands today."""

    SAME = "as in the guide"
    PYTHON_3 = "as in the guide (Python 3)"
    MENDED = "mended"
    TODAY = "today's form"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Cell:
    """Something that is typed and what it has to print, beside the guide's own examples.

    A `typed` that ends in a tab is completed, not entered.
    """

    typed: str
    prints: str = ""


@dataclass(frozen=True)
class Step:
    """The guide's lines from `first` to `last`, counted from 1.

    Parameters
    ----------
    first, last : int
        All lines of one example, or of a note.
    typed, prints : str, optional
        Left out, they are the guide's own, in Python 3. See `template` for what can be left free.
    note : str
        For every step that is not the guide's: why.
    status : Status, optional
        Left out, what comparing with the guide's text says.
    before, after : tuple of Cell
        What is typed beside it.
    shown_at : tuple of int
        For a note: lines of the examples that show it.
    timeout : float
        Seconds that a cell may take.
    """

    first: int
    last: int
    typed: str | None = None
    prints: str | None = None
    note: str = ""
    status: Status | None = None
    before: tuple[Cell, ...] = ()
    after: tuple[Cell, ...] = ()
    shown_at: tuple[int, ...] = ()
    timeout: float = 20

    @cached_property
    def guide(self) -> Example:
        """What the guide has in these lines."""
        return example(self.first, self.last)

    @property
    def lines(self) -> range:
        """The numbers of the lines."""
        return range(self.first, self.last + 1)

    @property
    def is_example(self) -> bool:
        """Whether the guide types something here; notes do not."""
        return bool(self.guide.typed)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All that is typed at the IPython prompt, in order."""
        own = (self.own,) if self.is_example and self.guide.label != "$" else ()
        return self.before + own + self.after

    @property
    def own(self) -> Cell:
        """The example itself."""
        typed = in_python_3(self.guide.typed) if self.typed is None else self.typed
        if self.prints is not None:
            return Cell(typed, self.prints)
        return Cell(typed, in_python_3(_free_count(self.guide.printed)))

    @property
    def computed_status(self) -> Status:
        """What comparing this step with the guide's text says."""
        said = self.guide
        if not self.is_example:
            return Status.SAME
        for status, text in ((Status.SAME, str), (Status.PYTHON_3, in_python_3)):
            same_input = _squeezed(text(said.typed)) == _squeezed(self.own.typed)
            if same_input and not mismatch(self.own.prints, text(said.printed), {}):
                return status
        return Status.TODAY

    @property
    def stands(self) -> Status:
        """The status, as far as the step's own words go."""
        return self.status or self.computed_status


def _free_count(printed: str) -> str:
    return re.sub(r"^Out\[\d+\]", "Out[«number»]", printed, flags=re.MULTILINE)


def _squeezed(typed: str) -> str:
    return plain("\n".join(line for line in typed.split("\n") if line.strip()))
