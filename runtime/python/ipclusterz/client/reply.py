"""One answer of an engine: to a value, to an error, to metadata.

The extension module hands out answers as frames and a status; what they mean in Python is decided here, once for all
kinds of results.
"""

from __future__ import annotations

from ..error import AbortedError, EngineError, IpclusterzError, RejectedError, RemoteError, SerializationError
from ..serialize import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from .._core import Reply

__all__ = ["ExecuteReply", "Failure", "metadata_of", "value_of"]


class Failure:
    """An error in the place of a value, so that a list of answers can hold both."""

    __slots__ = ("error",)

    def __init__(self, error: IpclusterzError) -> None:
        self.error = error


class ExecuteReply:
    """What running a cell of code gave on one engine.

    Attributes
    ----------
    execution_count : int
        The number of the cell on that engine.
    result : str or None
        Text of the last expression's value; None when there was no value.
    stdout, stderr : str
        What the cell wrote.
    engine_id : int
        The engine.
    """

    __slots__ = ("engine_id", "execution_count", "result", "stderr", "stdout")

    def __init__(self, execution_count: int, result: str | None, stdout: str, stderr: str, engine_id: int) -> None:
        self.execution_count = execution_count
        self.result = result
        self.stdout = stdout
        self.stderr = stderr
        self.engine_id = engine_id

    @property
    def r(self) -> str | None:
        """Short for `result`."""
        return self.result

    def __repr__(self) -> str:
        where = f"[{self.engine_id}] "
        lines = [f"{where}{line}" for line in (self.stdout + self.stderr).splitlines()]
        if self.result is not None:
            lines.append(f"{where}Out[{self.execution_count}]: {self.result}")
        return "\n".join(lines) or f"<ExecuteReply [{self.execution_count}] of engine {self.engine_id}>"


def value_of(reply: Reply, method: str) -> Any:
    """The value that a reply carries, or a `Failure`. Never raises an `Exception`."""
    if reply.status == "ok":
        try:
            value = loads(reply.frames)
        except Exception as error:
            return Failure(_cannot_rebuild(reply, method, error))
        if method == "execute":
            return ExecuteReply(value[0], value[1], reply.stdout, reply.stderr, reply.engine_id)
        return value
    return Failure(_error_of(reply, method))


def _error_of(reply: Reply, method: str) -> IpclusterzError:
    if reply.status == "error":
        try:
            told = loads(reply.frames)
            return RemoteError(
                told["ename"],
                told["evalue"],
                told["traceback"],
                reply.engine_id,
                method,
                told.get("exception"),
                told.get("hint", ""),
            )
        except Exception as error:
            return _cannot_rebuild(reply, method, error)
    failure: IpclusterzError
    if reply.status == "lost":
        return EngineError(reply.message, engine_id=reply.engine_id, method=method)
    if reply.status == "aborted":
        failure = AbortedError(reply.message or "the call was aborted before an engine started it")
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


def metadata_of(reply: Reply | None, message_id: str, outputs: tuple[str, str]) -> dict[str, Any]:
    """Where and when a call ran; times are aware `datetime` objects in UTC, None for what did not happen (yet)."""
    row: dict[str, Any] = {"msg_id": message_id, "status": None, "engine_id": None, "engine_uuid": None}
    if reply is not None:
        row["status"] = reply.status
        row["engine_id"] = reply.engine_id if reply.engine_id >= 0 else None
        row["engine_uuid"] = reply.engine_uuid or None
    for name in ("submitted", "started", "completed", "received"):
        row[name] = None if reply is None else _time(getattr(reply, name))
    row["stdout"], row["stderr"] = outputs
    return row


def _time(seconds: float) -> datetime | None:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
