"""One answer of an engine: to a value, to an error, to metadata.

The extension module hands out answers as frames and a status; what they mean in Python is decided here, once for all
kinds of results.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import error as errors
from ..compat import missing_attribute
from ..error import (
    EngineError,
    IpclusterzError,
    RankLost,
    RejectedError,
    SerializationError,
    SessionTaken,
    VersionError,
)
from ..shared.reply import ExecuteReply, remote_error
from ..shared.serialize import loads
from .displays import settled
from .missing import with_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .._core import Pending, Reply

__all__ = [
    "METADATA",
    "Elements",
    "Failed",
    "Failure",
    "Record",
    "Succeeded",
    "metadata_of",
    "value_at",
    "value_of",
]

METADATA = (
    *("msg_id", "status", "engine_id", "engine_uuid", "submitted", "started", "completed", "received"),
    *("stdout", "stderr"),
)
"""What is known of a call."""


class Record(dict[str, Any]):
    """What is known of one call: a dictionary, whose items are attributes, too.

    Examples
    --------
    >>> ar = rc[0].apply_async(abs, -1)
    >>> ar.get()
    1
    >>> ar.metadata["status"], ar.metadata.engine_id
    ('ok', 0)
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise missing_attribute(
                f"what is known of a call are {', '.join(self)}, not {name!r}", name, self
            ) from None


class Succeeded(NamedTuple):
    """One of the calls of a submission that gave a value."""

    index: int  # type: ignore[assignment]
    value: Any
    engine: int


class Failed(NamedTuple):
    """One of the calls of a submission that failed."""

    index: int  # type: ignore[assignment]
    error: IpclusterzError
    engine: int


class Failure:
    """An error in the place of a value, so that a list of answers can hold both."""

    __slots__ = ("error",)

    def __init__(self, error: IpclusterzError) -> None:
        self.error = error


class Elements:
    """A chunk of a map of which some elements failed: the results, with a `Failure` in the place of each of these."""

    __slots__ = ("failed", "values")

    def __init__(self, values: list[Any], failed: dict[int, IpclusterzError]) -> None:
        self.values = values
        self.failed = failed
        for position, error in failed.items():
            values[position] = Failure(error)

    def numbered(self, indexes: Sequence[int]) -> list[Any]:
        """The values, once the errors know which elements of the map they are from."""
        for position, error in self.failed.items():
            error.index = indexes[position]  # type: ignore[attr-defined]
        return self.values


def value_at(pending: Pending, index: int, method: str) -> Any:
    """The value of one of the answers that came, as `value_of`; what a cell displayed is a part of its reply."""
    value = value_of(pending.reply(index), method)
    if method == "execute" and type(value) is ExecuteReply:
        log = settled(pending.output_since(index, 0)[1])
        value.display = [content for stream, content in log if stream == "display"]
    return value


def value_of(reply: Reply, method: str) -> Any:
    """The value that a reply carries, a `Failure`, or `Elements` of both. Never raises an `Exception`."""
    if reply.status == "ok":
        try:
            value = loads(reply.frames)
        except Exception as error:
            return Failure(_cannot_rebuild(reply, method, error))
        if method == "execute":
            return _execute_reply(reply, value)
        return value
    if reply.status == "error":
        try:
            return _told(loads(reply.frames), reply.engine_id, method)
        except Exception as error:
            return Failure(_cannot_rebuild(reply, method, error))
    return Failure(_error_of(reply, method))


def _told(told: dict[str, Any], engine_id: int, method: str) -> Failure | Elements:
    if "failed" not in told:
        return Failure(remote_error(with_hint(told), engine_id, method))
    failed: dict[int, IpclusterzError] = {}
    for position, of_element, arguments in told["failed"]:
        failed[position] = remote_error({**with_hint(of_element), "arguments": arguments}, engine_id, method)
    return Elements(told["values"], failed)


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


def _error_of(reply: Reply, method: str) -> IpclusterzError:
    failure: IpclusterzError
    if reply.status == "lost":
        return EngineError(reply.message, engine_id=reply.engine_id, method=method)
    if reply.status == "taken":
        failure = SessionTaken(reply.message)
    elif reply.status == "rank_lost":
        failure = RankLost(reply.message)
    elif reply.status == "impossible":
        failure = errors.ImpossibleDependency(reply.message)
    elif reply.status == "timed_out":
        failure = errors.TaskTimeout(reply.message)
        failure.__cause__ = _interrupted(reply, method)
    elif reply.status == "aborted":
        failure = errors.AbortedError(reply.message or "the call was aborted before an engine started it")
    else:
        failure = RejectedError(reply.message)
    failure.engine_id = reply.engine_id
    failure.method = method
    return failure


def _interrupted(reply: Reply, method: str) -> IpclusterzError | None:
    """Where a call was when it was interrupted, because it had run for too long."""
    if not reply.frames:
        return None
    told = _told(loads(reply.frames), reply.engine_id, method)
    return told.error if isinstance(told, Failure) else None


# Whether it was not found here.
_REBUILD_HINTS = {
    True: "a class or module that the engine used is missing or different on the client",
    False: "its class cannot make it again of its pickle: see its __init__, __reduce__ or __setstate__",
}


def _cannot_rebuild(reply: Reply, method: str, error: Exception) -> SerializationError:
    hint = _REBUILD_HINTS[isinstance(error, (ImportError, AttributeError))]
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, VersionError):
        told, hint = error.message, error.hint
    failure = SerializationError(f"the answer of engine {reply.engine_id} cannot be rebuilt here: {told}", hint=hint)
    failure.engine_id = reply.engine_id
    failure.method = method
    failure.__cause__ = error
    return failure


def metadata_of(pending: Pending, index: int, message_id: str) -> Record:
    """Where and when a call ran; times are aware `datetime` objects in UTC, None for what did not happen (yet)."""
    row = Record(dict.fromkeys(METADATA))
    row["msg_id"], row["submitted"] = message_id, _time(pending.submitted)
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
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc) if seconds > 0 else None
