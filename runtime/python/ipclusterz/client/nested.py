"""Clients in tasks: what a task waits for must not wait for the engine that the task keeps busy.

While a task waits for calls that its client has made, its engine does some of them itself: those that no engine has
begun. Each is taken back exactly (`Pending.claim`) and run in the thread that waits. So every load-balanced call is
begun sooner or later, on one engine as on many, and when the tasks of all engines wait. The same goes for calls on the
task's own engine, in the order in which they were made. A call on another engine cannot be taken back; when that engine
waits in the same way, the two might wait for each other, and the wait ends with an error. `later` has those calls that
the controller is to begin.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic, sleep, time
from weakref import WeakSet, ref

from ..error import RejectedError
from ..shared import own
from .deadlines import deadline_of, left_until
from .later import Later, is_later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .._core import Client as Core
    from .._core import Pending
    from ..shared.own import Here
    from ..shared.serialize import Frame

    Function = tuple[bytes, bytes] | None
    OnOutput = Callable[[], object] | None

__all__ = ["nested"]

# How often a wait for other engines looks what they are doing, and how long it waits for their answer.
_LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 0.5
# Who asks again after so long whether calls are done, waits for them in a loop.
_POLL_SECONDS = 0.1
# How soon the controller is asked again about calls that it is to begin: later and later.
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.5


def nested(core: Core) -> Core:
    """The connection, as tasks use it if it leads to the cluster whose engine this process is."""
    here = own.here()
    if here is None or here.run_id != core.run_id:
        return core
    return NestedCore(core, here)  # type: ignore[return-value]


class NestedCore:
    """A `_core.Client` in a task.

    Parameters
    ----------
    core : ipclusterz._core.Client
        The connection.
    here : Here
        This engine.
    """

    def __init__(self, core: Core, here: Here) -> None:
        self._core = core
        self.here = here
        self._submitted: WeakSet[NestedPending] = WeakSet()
        # Calls on this engine that are not done, in order.
        self.for_here: deque[Call] = deque()
        self._helper: SimpleQueue[ref[NestedPending]] | None = None
        self._kept: list[NestedPending] = []
        self._later = Later(core, here, NestedPending._help_and_wait.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def submit(
        self,
        op: Any,
        items: Sequence[tuple[list[int] | None, Sequence[Frame]]],
        *,
        function: Function = None,
        **how: Any,
    ) -> Any:
        pending = self._core.submit(op, items, function=function, **how)
        if how.get("collective"):
            return pending
        engines = how.get("engines")
        terms = json.loads(how["terms"]) if how.get("terms") else {}
        needs = json.dumps(terms["needs"]) if "needs" in terms else None
        balanced, for_here = deque[Call](), deque[Call]()
        index = 0
        for targets, frames in items:
            if targets is None:
                if is_later(terms) or engines is None or self.here.id in engines:
                    balanced.append(Call(pending, index, op, function, frames, needs))
            elif self.here.id in targets and not self.here.forked:
                for_here.append(Call(pending, index + targets.index(self.here.id), op, function, frames))
            index += 1 if targets is None else len(targets)
        while self.for_here and self.for_here[0].is_done():
            self.for_here.popleft()
        self.for_here.extend(for_here)
        later = list(balanced) if is_later(terms) else []
        if later:
            self._later.add(later, pending.message_ids(), terms)
            # They may wait for these, of which perhaps nobody else knows any more.
            self._kept = [former for former in self._submitted if former.has_calls()]
        result = NestedPending(self, pending, deque() if later else balanced, len(for_here), later)
        self._submitted.add(result)
        return result

    def wait_requests(self, message_ids: list[str] | None, timeout: float | None) -> bool:
        deadline = deadline_of(timeout)
        for pending in list(self._submitted):
            pending.wait(left_until(deadline))
        return self._core.wait_requests(message_ids, left_until(deadline))

    def help_any(self) -> bool:
        """Do a call for which one may wait that the controller is to begin, or such a one; False: there is none."""
        return any(pending.help_once() for pending in list(self._submitted)) or self._later.help_once()

    def help_later(self, pending: NestedPending) -> None:
        """Do calls in a thread of their own, for somebody who waits in a way that is not seen here."""
        if self._helper is None:
            self._helper = SimpleQueue()
            threading.Thread(target=_help, args=(self._helper,), name="ipclusterz-nested", daemon=True).start()
        self._helper.put(ref(pending))


class Call:
    """One call of a submission, with what is needed to do it here."""

    __slots__ = ("frames", "function", "index", "needs", "op", "pending")

    def __init__(
        self,
        pending: Pending,
        index: int,
        op: Any,
        function: Function,
        frames: Sequence[Frame],
        needs: str | None = None,
    ) -> None:
        self.pending = pending
        self.index = index
        self.op = op
        self.function = function
        self.needs = needs
        # As they are now, and as they would arrive: arrays are made over buffers that can be written to.
        self.frames = [frame if type(frame) is bytes else bytearray(frame) for frame in frames]

    def is_done(self) -> bool:
        return self.pending.is_done(self.index)

    def do(self, here: Here) -> None:
        """Do it, unless an engine has begun it."""
        if not self.pending.claim(self.index):
            return
        started = time()
        outcome, frames, interrupted = here.run(self.op, self.function, self.frames, self.needs)
        self.pending.fulfil(self.index, outcome, frames, (here.id, here.uuid), started, time())
        if interrupted:
            # It was meant for the task.
            raise KeyboardInterrupt


class NestedPending:
    """A `_core.Pending` in a task, whose waits do what no other engine has begun."""

    def __init__(
        self, core: NestedCore, pending: Pending, balanced: deque[Call], for_here: int, later: list[Call]
    ) -> None:
        self._core = core
        self._pending = pending
        self._balanced = balanced
        self._for_here = for_here
        self._later = later
        self._look = _FIRST_LOOK
        self._polled: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pending, name)

    def __len__(self) -> int:
        return len(self._pending)

    def wait(self, timeout: float | None, on_output: OnOutput = None) -> bool:
        found: bool = self._help_and_wait(lambda left: self._pending.wait(left, on_output), bool, timeout)
        return found

    def wait_index(self, index: int, timeout: float | None, on_output: OnOutput = None) -> bool:
        found: bool = self._help_and_wait(lambda left: self._pending.wait_index(index, left, on_output), bool, timeout)
        return found

    def nth_done(self, n: int, timeout: float | None, on_output: OnOutput = None) -> int | None:
        found: int | None = self._help_and_wait(
            lambda left: self._pending.nth_done(n, left, on_output),
            lambda found: found is not None or n >= len(self),
            timeout,
        )
        return found

    def wait_news(self, version: int, timeout: float | None) -> int:
        found: int = self._help_and_wait(
            lambda left: self._pending.wait_news(version, left),
            lambda found: found != version or self._pending.done() == len(self),
            timeout,
        )
        return found

    def done(self) -> int:
        done = self._pending.done()
        if done < len(self) and self._core.here.busy:
            now = monotonic()
            if self._polled is None:
                self._polled = now
            elif now - self._polled > _POLL_SECONDS:
                self._polled = now
                self._core.help_later(self)
        return done

    def watch(self, token: int) -> bool:
        watched = self._pending.watch(token)
        if watched and self._core.here.busy:
            self._core.help_later(self)
        return watched

    def has_calls(self) -> bool:
        """Whether there are calls that may be done here."""
        return bool(self._balanced or self._for_here or self._later)

    def help_once(self) -> bool:
        """Do a call that no engine has begun; False: there is none."""
        call = self._next()
        if call is not None:
            call.do(self._core.here)
        return call is not None

    def waits_for_later(self) -> bool:
        """Whether there are calls that the controller is to begin, and that are not done."""
        self._later = [call for call in self._later if not call.is_done()] if self._later else self._later
        return bool(self._later)

    def next_look(self, left: float | None) -> float:
        """Seconds until such calls are looked at again."""
        look, self._look = self._look, min(self._look * 2, _LAST_LOOK)
        return look if left is None else min(look, left)

    def help_any(self) -> None:
        """See to it that they are done."""
        if self._core.help_any():
            self._look = _FIRST_LOOK

    def _next(self) -> Call | None:
        # Another thread of the task may take the last one in between.
        with suppress(IndexError):
            if self._for_here and self._core.for_here:
                call = self._core.for_here.popleft()
                self._for_here -= call.pending is self._pending
                return call
            while self._balanced:
                # From the end: other engines begin at the front.
                call = self._balanced.pop()
                if self._core.here.takes(call.function):
                    return call
        return None

    def _help_and_wait(
        self, look: Callable[[float | None], Any], enough: Callable[[Any], bool], timeout: float | None
    ) -> Any:
        if not self._core.here.busy:
            return look(timeout)
        deadline = deadline_of(timeout)
        found = look(0)
        while not enough(found) and (deadline is None or monotonic() < deadline) and self.help_once():
            found = look(0)
        while not enough(found) and (deadline is None or monotonic() < deadline):
            others = self._undone_elsewhere()
            if others:
                found = wait_for_engines(self._core, others, look, enough, deadline)
            elif self.waits_for_later():
                found = look(self.next_look(left_until(deadline)))
                if not enough(found):
                    self.help_any()
            else:
                found = look(left_until(deadline))
        return found

    def _undone_elsewhere(self) -> list[int]:
        """The other engines that were chosen for calls which are not done."""
        pending, me = self._pending, self._core.here.id
        return [
            engine
            for index, engine in enumerate(pending.targets())
            if engine >= 0 and engine != me and not pending.is_done(index)
        ]


def wait_for_engines(
    core: NestedCore,
    engines: list[int],
    look: Callable[[float | None], Any],
    enough: Callable[[Any], bool],
    deadline: float | None,
) -> Any:
    """Wait a while for engines that were chosen, and see that none of them waits in the same way.

    Raises
    ------
    RejectedError
        When one of them does: its main thread is in this function.
    """
    left = left_until(deadline)
    found = look(_LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS))
    if enough(found):
        return found
    for engine, told in core.inspect(engines, _ANSWER_SECONDS).items():
        if told is not None and told[0] and f" in {wait_for_engines.__name__}\n" in told[1]:
            raise RejectedError(
                f"this task of engine {core.here.id} waits for engine {engine}, whose task waits for a chosen engine "
                "too: each might wait for the other for ever",
                hint="in tasks, use the load-balanced view: rc[None].map_sync(f, xs)",
            )
    return found


def _help(waiting: SimpleQueue[ref[NestedPending]]) -> None:
    while True:
        pending = waiting.get()()
        while pending is not None and pending._core.here.busy and (pending.help_once() or pending.waits_for_later()):
            if pending.waits_for_later():
                sleep(pending.next_look(None))
                pending.help_any()
        del pending
