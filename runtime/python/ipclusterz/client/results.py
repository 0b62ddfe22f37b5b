"""The replies of several engines in one value, which is shown as the Results List."""

from __future__ import annotations

from ..shared.entries import list_html, list_text, painter, pretty_print
from ..shared.reply import ExecuteReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ResultsDict", "ResultsList"]


class ResultsList(list[ExecuteReply]):
    """The replies of several engines, in their order.

    Examples
    --------
    >>> rc.execute("b = 10; print(b)", targets=[0, 2]).get()
    <Results List>
    [0] In [7]: b = 10; print(b)
    [0] Out[7]: 10
    <BLANKLINE>
    [2] In [7]: b = 10; print(b)
    [2] Out[7]: 10
    """

    def __repr__(self) -> str:
        return list_text(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        pretty_print(printer, list_text(self, painter()))

    def _repr_html_(self) -> str:
        return list_html(self)


class ResultsDict(dict[int, ExecuteReply]):
    """The replies of several engines, by engine id. They are shown like a `ResultsList`."""

    def __repr__(self) -> str:
        return list_text(self.values())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        pretty_print(printer, list_text(self.values(), painter()))

    def _repr_html_(self) -> str:
        return list_html(self.values())
