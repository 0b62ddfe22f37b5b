"""Results with ipyparallel's names and shapes.

Whatever the client of this face submits has a result of one of these classes, wherever it is made: see `Results`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

from .. import error as errors
from ..client import asyncresult as native
from ..client.answers import Elements, Failure, Record
from ..client.mapping import MapResult
from ..client.shapes import ExecuteResult, GatherResult
from ..shared import reply as native_reply
from .error import Several, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["AsyncHubResult", "AsyncMapResult", "AsyncResult", "Results"]


class AsyncResult(native.AsyncResult):
    """The result of a call that need not be there yet: values in a list, for several engines."""

    owner = True
    """The result is this client's to keep."""

    # -- waiting ------------------------------------------------------------------------------------------------

    def get(
        self, timeout: float | None = None, return_exceptions: bool | None = None, return_when: str | None = None
    ) -> Any:
        """Wait, and return the value of one engine, or the list of those of several.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; for ever when left out, or -1.
        return_exceptions : bool, optional
            Put errors in the places of values, and raise none.
        return_when : str, optional
            With ``FIRST_EXCEPTION``, what failed first is raised before the others are there.
        """
        if return_when is not None and return_when != "ALL_COMPLETED":
            ready = self.wait(timeout, return_when)
            failed = [] if ready or return_exceptions else self._failed_until_now()
            if failed:
                raise Several(f"one or more exceptions raised in: {self._method}", failed)
            timeout = timeout if ready or return_when == "FIRST_EXCEPTION" else 0
        return super().get(timeout, return_exceptions=return_exceptions)

    def wait(self, timeout: float | None = -1, return_when: str | None = None) -> bool:
        """Wait until all answers are there, and say whether they are."""
        return super().wait(timeout, return_when or "ALL_COMPLETED")

    def wait_for_output(self, timeout: float | None = -1) -> bool:
        """The same as `wait`: what the calls write is there before their answers."""
        return self.wait(timeout)

    def wait_for_send(self, timeout: float | None = -1) -> bool:
        """Returns at once: what is sent was copied."""
        return True

    @property
    def sent(self) -> bool:
        """Whether arguments may be changed: always, for they were copied."""
        return True

    def wait_interactive(
        self,
        interval: float = 0.1,
        timeout: float | None = -1,
        widget: bool | None = None,
        return_when: str = "ALL_COMPLETED",
    ) -> None:
        """Wait with a progress bar."""
        super().wait_interactive(interval, timeout)

    # -- values -------------------------------------------------------------------------------------------------

    def get_dict(self, timeout: float | None = -1) -> dict[int, Any]:
        """The values by engine id; of an engine with several calls, the list of theirs."""
        values = self.get(timeout)
        engines = self.engine_ids
        if self._single:
            return {engines[0]: values}
        found: dict[int, list[Any]] = {}
        for engine, value in zip(engines, self._values):
            found.setdefault(engine, []).append(value)
        one_each = all(len(several) == 1 for several in found.values())
        return {engine: several[0] for engine, several in found.items()} if one_each else found

    @property
    def result_dict(self) -> dict[int, Any]:
        """The same as ``get_dict()``."""
        return self.get_dict()

    def display_outputs(self, groupby: str = "type", result_only: bool = False) -> None:
        """Wait, and show what the calls wrote and displayed."""
        super().display_outputs(groupby)

    def timedelta(
        self,
        start: Any,
        end: Any,
        start_key: Callable[[Iterable[Any]], Any] = min,
        end_key: Callable[[Iterable[Any]], Any] = max,
    ) -> float:
        """Seconds between two times, or between the earliest of some and the latest of others.

        Parameters
        ----------
        start, end : datetime, or list of datetime
            As ``ar.submitted`` and ``ar.received``.
        start_key, end_key : callable
            Which one of a list counts.
        """
        first = start_key(start) if isinstance(start, list) else start
        last = end_key(end) if isinstance(end, list) else end
        seconds: float = (last - first).total_seconds()
        return seconds

    # -- inside -------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        return self._field(name) if name in _MORE else super().__getattr__(name)

    def _records(self) -> list[Any]:
        return [_Metadata(record, self, index) for index, record in enumerate(super()._records())]

    def _answer(self) -> Any:
        return self.get()

    def _raised(self, error: errors.IpclusterzError) -> BaseException:
        return error

    def _take(self) -> None:
        super()._take()
        self._values = [self._translate(index, value) for index, value in enumerate(self._values)]

    def _value(self, index: int) -> Any:
        return self._translate(index, super()._value(index))

    def _translate(self, index: int, value: Any) -> Any:
        uuid = self._pending.reply(index).engine_uuid if type(value) in (Failure, Elements) else None
        if type(value) is Failure:
            value.error = translated(value.error, uuid)
        elif type(value) is Elements:
            for position, failure in value.failed.items():
                value.failed[position] = value.values[position].error = translated(failure, uuid)
            if not isinstance(self, MapResult):
                return Failure(
                    Several(f"one or more exceptions from call to method: {self._method}", [*value.failed.values()])
                )
        return value

    def _failures_as_one(self) -> BaseException | None:
        error = super()._failures_as_one()
        if isinstance(error, errors.CompositeError):
            return Several(error.message, error.elist)
        return error

    def _failed_until_now(self) -> list[errors.IpclusterzError]:
        pending = self._pending
        statuses = enumerate(pending.statuses())
        values = [self._value(index) for index, status in statuses if status not in ("ok", None)]
        return [value.error for value in values if type(value) is Failure]


class AsyncMapResult(AsyncResult, MapResult):
    """The result of a map: a list once it is ready, and iterable as its parts arrive."""

    def get_dict(self, timeout: float | None = -1) -> dict[int, Any]:
        """The values by engine id, as lists."""
        self.get(timeout)
        found: dict[int, list[Any]] = {}
        for _, engine, value in self._listed():
            found.setdefault(engine, []).append(value)
        return found


class _Gathered(AsyncResult, GatherResult):
    """What `gather` gives: iterable over what was gathered."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get())

    def __getitem__(self, index: Any) -> Any:
        return self._field(index) if isinstance(index, str) else self.get()[index]


class ExecuteReply(native_reply.ExecuteReply):
    """What running a cell gave on one engine, also by ipyparallel's names."""

    __slots__ = ()

    @property
    def execute_input(self) -> str:
        """The cell."""
        return self.code

    @property
    def execute_result(self) -> dict[str, Any] | None:
        """The last value in all its forms; None when there was none."""
        if not self.data:
            return None
        return {"data": self.data, "metadata": self.metadata, "execution_count": self.execution_count}

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


class _Executed(AsyncResult, ExecuteResult):
    """What `execute` gives."""

    def _translate(self, index: int, value: Any) -> Any:
        if type(value) is native_reply.ExecuteReply:
            value.__class__ = ExecuteReply
        return super()._translate(index, value)


AsyncHubResult = AsyncResult
"""Results of other clients are as any other."""

_FACES: dict[type, type] = {
    native.AsyncResult: AsyncResult,
    MapResult: AsyncMapResult,
    GatherResult: _Gathered,
    ExecuteResult: _Executed,
}


def _face_of(kind: type) -> type:
    """The class of this face below a class of results."""
    if kind not in _FACES and not issubclass(kind, AsyncResult):
        face = AsyncMapResult if issubclass(kind, MapResult) else AsyncResult
        _FACES[kind] = type(face.__name__, (face, kind), {"__module__": __name__, "__doc__": kind.__doc__})
    return _FACES.get(kind, kind)


class Results(WeakSet[Any]):
    """The results of a client: each becomes one of this face when it is made, and stays until it is purged."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[int, Any] = {}

    def add(self, item: Any) -> None:
        item.__class__ = _face_of(type(item))
        self._kept[id(item)] = item
        super().add(item)

    def discard(self, item: Any) -> None:
        self._kept.pop(id(item), None)
        super().discard(item)


# Fields of metadata that are attributes of a result, too.
_MORE = frozenset({"after", "error", "execute_input", "execute_result", "follow", "outputs_ready"})


class _Metadata(Record):
    """What is known of a call, with the fields that are known by other names."""

    def __init__(self, record: Record, result: AsyncResult, index: int) -> None:
        super().__init__(record)
        published = getattr(result, "data", {})
        self.update(follow=[], after=[], data=published if result._single else (published or {index: {}})[index])
        self.update(outputs_ready=record["status"] is not None)
        self["outputs"] = result.outputs[index] if record["status"] else []
        self["error"] = self["execute_input"] = self["execute_result"] = None
        if record["status"] is None:
            return
        value = result._value(index)
        if type(value) is Failure:
            self["error"] = value.error
        elif result._method == "execute":
            self["execute_input"], self["execute_result"] = value.code, value.execute_result


class ByMessage(Mapping[str, Any]):
    """Something of each call whose result is still there, by message id."""

    def __init__(self, ids: Callable[[], Iterable[str]], of: Callable[[str], Any]) -> None:
        self._ids = ids
        self._of = of

    def __getitem__(self, message_id: str) -> Any:
        try:
            return self._of(message_id)
        except (errors.HistoryError, ValueError):
            raise KeyError(message_id) from None

    def __iter__(self) -> Any:
        return iter(list(self._ids()))

    def __len__(self) -> int:
        return len(list(self._ids()))
