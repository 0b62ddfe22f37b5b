"""What the last cells of this engine gave, for a client that asks later.

`engine.history` records it. Clients call `get_result` by reference.
"""

from __future__ import annotations

from .namespace import current
from .reply import ExecuteReply, remote_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["KEPT", "Cell", "get_result", "keep"]

KEPT = 100
"""Cells that are kept. The oldest goes first."""


class Cell:
    """One executed cell; `error` is the error reply of one that failed."""

    __slots__ = ("code", "count", "error", "stderr", "stdout", "text")

    def __init__(
        self, code: str, count: int, text: str | None, stdout: str, stderr: str, error: dict[str, Any] | None
    ) -> None:
        self.code = code
        self.count = count
        self.text = text
        self.stdout = stdout
        self.stderr = stderr
        self.error = error


# By number, in the order of execution.
_cells: dict[int, Cell] = {}


def keep(cell: Cell) -> None:
    """Record what a cell gave."""
    # IPython's %reset starts the numbers again.
    _cells.pop(cell.count, None)
    while len(_cells) >= KEPT:
        del _cells[next(iter(_cells))]
    _cells[cell.count] = cell


def get_result(count: int | None = None) -> ExecuteReply:
    """What a cell gave; clients call this on engines by reference.

    Parameters
    ----------
    count : int, optional
        The cell's number; the last cell when left out.

    Returns
    -------
    ExecuteReply
        With texts that `engine.history` has cut, and with the error of a cell that failed.

    Raises
    ------
    KeyError
        When there is no such cell; names the engine and the numbers that are kept.

    Examples
    --------
    >>> count = rc[0].execute("b = 10; print(b)", block=True).execution_count
    >>> rc[0].apply_sync(get_result, count)
    [0] In [7]: b = 10; print(b)
    [0] Out[7]: 10
    """
    engine_id = current().engine_id
    if not _cells:
        raise KeyError(f"engine {engine_id} has executed no cell")
    numbers = list(_cells)
    cell = _cells.get(numbers[-1] if count is None else count)
    if cell is None:
        raise KeyError(f"cell {count} is not kept on engine {engine_id}: there are {numbers[0]} to {numbers[-1]}")
    return ExecuteReply(
        engine_id=engine_id,
        execution_count=cell.count,
        code=cell.code,
        data={} if cell.text is None else {"text/plain": cell.text},
        stdout=cell.stdout,
        stderr=cell.stderr,
        error=None if cell.error is None else remote_error(cell.error, engine_id, "execute"),
    )
