"""What an engine says of a cell: the reply to one that ran, and the error of one that failed."""

from __future__ import annotations

from ..error import RemoteError, RemoteKeyError
from .entries import entry_html, entry_text, painter, pretty_print

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ExecuteReply", "remote_error"]

# Calls in which a KeyError is about a name or a number that the caller gave.
_LOOKUPS = frozenset({"pull", "zip_pull", "gather", "delete", "get_result", "send"})
# The same for calls in which all ranks of a group look the name up.
_LOOKUPS |= {"allgather", "allreduce", "alltoall", "bcast", "reduce", "scan", "scatter"}

# Calls of a user's function: its arguments are shown.
_CALLS = frozenset({"apply", "map", "parallel"})


class ExecuteReply:
    """What running a cell of code gave on one engine. It is shown like an entry of the Results List.

    Made by `execute`, `run` and `get_result`.

    Attributes
    ----------
    engine_id : int
        The engine.
    execution_count : int
        The number of the cell on that engine.
    code : str
        The cell.
    data, metadata : dict
        The last expression's value in the forms that it can be shown in, by mime type, as in Jupyter's messages; empty
        when there was no value.
    stdout, stderr : str
        What the cell wrote.
    display : list of dict
        What the cell displayed: figures, tables and so on, each with its ``data`` and ``metadata``.
    error : RemoteError or None
        What a cell of the engine's history raised. A cell that fails when it is run has no reply, it raises.

    Examples
    --------
    >>> rc[0].execute("x = 6\\nx * 7", block=True)
    [0] In [1]: x = 6
           ...: x * 7
    [0] Out[1]: 42
    """

    __slots__ = (
        "code",
        "data",
        "display",
        "engine_id",
        "error",
        "execution_count",
        "metadata",
        "stderr",
        "stdout",
    )

    def __init__(
        self,
        *,
        engine_id: int,
        execution_count: int,
        code: str,
        data: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        stdout: str = "",
        stderr: str = "",
        display: list[dict[str, Any]] | None = None,
        error: RemoteError | None = None,
    ) -> None:
        self.engine_id = engine_id
        self.execution_count = execution_count
        self.code = code
        self.data = data or {}
        self.metadata = metadata or {}
        self.stdout = stdout
        self.stderr = stderr
        self.display = display or []
        self.error = error

    @property
    def result(self) -> str | None:
        """Text of the last expression's value; None when there was no value."""
        return self.data.get("text/plain")

    @property
    def r(self) -> str | None:
        """Short for `result`."""
        return self.result

    def __repr__(self) -> str:
        return entry_text(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        pretty_print(printer, entry_text(self, painter()))

    def _repr_html_(self) -> str:
        return entry_html(self)


def remote_error(told: dict[str, Any], engine_id: int, method: str) -> RemoteError:
    """The error that an engine reported; `engine.failure` says what is in the report."""
    kind = RemoteKeyError if told["ename"] == "KeyError" and method in _LOOKUPS else RemoteError
    error = kind(
        told["ename"],
        told["evalue"],
        told["traceback"],
        engine_id,
        method,
        told.get("exception"),
        told.get("hint", ""),
    )
    if method in _CALLS:
        error.arguments = told.get("arguments", "")
    return error
