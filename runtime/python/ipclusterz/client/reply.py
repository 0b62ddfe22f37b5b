"""One answer of an engine: to a value, to an error, to metadata.

The extension module hands out answers as frames and a status; what they mean in Python is decided here, once for all
kinds of results.
"""

from __future__ import annotations

from .. import error as errors
from ..error import (
    EngineError,
    IpclusterzError,
    RankLost,
    RejectedError,
    RemoteError,
    RemoteKeyError,
    SerializationError,
)
from ..serialize import loads
from .displays import settled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from .._core import Pending, Reply

__all__ = ["ExecuteReply", "Failure", "metadata_of", "remote_error", "value_at", "value_of"]

# Calls in which a KeyError is about a name or a number that the caller gave.
_LOOKUPS = frozenset({"pull", "zip_pull", "gather", "delete", "get_result"})


class Failure:
    """An error in the place of a value, so that a list of answers can hold both."""

    __slots__ = ("error",)

    def __init__(self, error: IpclusterzError) -> None:
        self.error = error


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
        from .results import entry_text

        return entry_text(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        from .results import entry_text, painter, pretty_print

        pretty_print(printer, entry_text(self, painter()))

    def _repr_html_(self) -> str:
        from .results import entry_html

        return entry_html(self)


def value_at(pending: Pending, index: int, method: str) -> Any:
    """The value of one of the answers that came, as `value_of`; what a cell displayed is a part of its reply."""
    value = value_of(pending.reply(index), method)
    if method == "execute" and type(value) is ExecuteReply:
        log = settled(pending.output_since(index, 0)[1])
        value.display = [content for stream, content in log if stream == "display"]
    return value


def value_of(reply: Reply, method: str) -> Any:
    """The value that a reply carries, or a `Failure`. Never raises an `Exception`."""
    if reply.status == "ok":
        try:
            value = loads(reply.frames)
        except Exception as error:
            return Failure(_cannot_rebuild(reply, method, error))
        if method == "execute":
            return _execute_reply(reply, value)
        return value
    return Failure(_error_of(reply, method))


def _execute_reply(reply: Reply, outcome: dict[str, Any]) -> ExecuteReply:
    return ExecuteReply(
        engine_id=reply.engine_id,
        execution_count=outcome["count"],
        code=outcome["code"],
        data=outcome["data"],
        metadata=outcome["metadata"],
        stdout=reply.stdout,
        stderr=reply.stderr,
    )


def remote_error(told: dict[str, Any], engine_id: int, method: str) -> RemoteError:
    """The error that an engine told of; see `engine.failure`."""
    kind = RemoteKeyError if told["ename"] == "KeyError" and method in _LOOKUPS else RemoteError
    return kind(
        told["ename"],
        told["evalue"],
        told["traceback"],
        engine_id,
        method,
        told.get("exception"),
        told.get("hint", ""),
    )


def _error_of(reply: Reply, method: str) -> IpclusterzError:
    if reply.status == "error":
        try:
            return remote_error(loads(reply.frames), reply.engine_id, method)
        except Exception as error:
            return _cannot_rebuild(reply, method, error)
    failure: IpclusterzError
    if reply.status == "lost":
        return EngineError(reply.message, engine_id=reply.engine_id, method=method)
    if reply.status == "rank_lost":
        failure = RankLost(reply.message)
    elif reply.status == "aborted":
        failure = errors.AbortedError(reply.message or "the call was aborted before an engine started it")
    else:
        failure = RejectedError(reply.message)
    failure.engine_id = reply.engine_id
    failure.method = method
    return failure


def _cannot_rebuild(reply: Reply, method: str, error: Exception) -> SerializationError:
    failure = SerializationError(
        f"the answer of engine {reply.engine_id} cannot be rebuilt here: {type(error).__name__}: {error}",
        hint="a class or module that the engine used is missing or different on the client",
    )
    failure.engine_id = reply.engine_id
    failure.method = method
    failure.__cause__ = error
    return failure


def metadata_of(pending: Pending, index: int, message_id: str) -> dict[str, Any]:
    """Where and when a call ran; times are aware `datetime` objects in UTC, None for what did not happen (yet)."""
    row: dict[str, Any] = {"msg_id": message_id, "status": None, "engine_id": None, "engine_uuid": None}
    row |= {"submitted": _time(pending.submitted), "started": None, "completed": None, "received": None}
    if pending.is_done(index):
        reply = pending.reply(index)
        row["status"] = reply.status
        row["engine_id"] = reply.engine_id if reply.engine_id >= 0 else None
        row["engine_uuid"] = reply.engine_uuid or None
        for name in ("started", "completed", "received"):
            row[name] = _time(getattr(reply, name))
    row["stdout"], row["stderr"] = pending.outputs(index)
    return row


def _time(seconds: float) -> datetime | None:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
