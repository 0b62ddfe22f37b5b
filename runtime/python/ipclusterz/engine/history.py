"""What the last cells of this engine gave, for a client that asks later.

`Recorder` stands around a shell and writes down what passes; `get_result` is what clients call. Values themselves and
what was displayed are not kept: they may be large, and a value has its name or ``Out``. Imported with the first cell.
"""

from __future__ import annotations

from io import StringIO

from ..serialize import loads
from .failure import error_frames
from .namespace import current
from .streams import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..client.reply import ExecuteReply
    from .shell import Outcome, Shell

__all__ = ["Recorder", "get_result"]

KEPT = 100
"""Cells that are kept. The oldest goes first."""

LONGEST = 64 * 1024
"""Characters that are kept of each text of a cell: 100 cells that say much are then some 25 MiB."""


class _Cell:
    """One executed cell."""

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


# By number, the latest last.
_cells: dict[int, _Cell] = {}


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
            # The exception itself may be large, and nobody raises it again from here.
            error = told | {"exception": None} | {name: _cut(told[name]) for name in ("evalue", "traceback")}
            raise
        finally:
            installed["stdout"].copy = installed["stderr"].copy = None
            # IPython does not count a cell without code.
            if self.count != before:
                _keep(_Cell(_cut(code), self.count, text and _cut(text), printed.text(), warned.text(), error))

    def reset(self) -> None:
        self._shell.reset()


def get_result(count: int | None = None) -> ExecuteReply:
    """What a cell gave; a client calls this on engines.

    Parameters
    ----------
    count : int, optional
        The cell's number; the last cell when left out.

    Returns
    -------
    ExecuteReply
        With texts that were cut at `LONGEST`, and with the error of a cell that failed.

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
    # The class is the client's, and most engines never need it.
    from ..client.reply import ExecuteReply, remote_error

    return ExecuteReply(
        engine_id=engine_id,
        execution_count=cell.count,
        code=cell.code,
        data={} if cell.text is None else {"text/plain": cell.text},
        stdout=cell.stdout,
        stderr=cell.stderr,
        error=None if cell.error is None else remote_error(cell.error, engine_id, "execute"),
    )


def _keep(cell: _Cell) -> None:
    # A number comes twice after IPython's %reset.
    _cells.pop(cell.count, None)
    while len(_cells) >= KEPT:
        del _cells[next(iter(_cells))]
    _cells[cell.count] = cell


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
