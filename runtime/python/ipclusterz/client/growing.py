"""Answers of several submissions as those of one, which grows: what a map is that has not been sent as a whole."""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from threading import Condition
from time import monotonic, time
from typing import Any, NamedTuple

from .about import of_parts
from .deadlines import deadline_of, left_until
from .owned import own_condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    OnOutput = Callable[[], object] | None

__all__ = ["Growing", "NotSent"]

# How often a wait looks at answers and output of the other parts.
_LOOK_SECONDS = 0.02


class NoReply(NamedTuple):
    """A `_core.Reply` in the place of one that no engine gives."""

    status: str
    message: str
    submitted: float
    received: float
    engine_id: int = -1
    engine_uuid: str = ""
    frames: tuple[()] = ()
    started: float = 0.0
    completed: float = 0.0
    stdout: str = ""
    stderr: str = ""


class NotSent:
    """A `_core.Pending` with one answer: why the rest of a map was not sent.

    Parameters
    ----------
    status : {"aborted", "lost"}
        How it ended.
    message : str
        Why.
    """

    requests = (0, 0)
    again = None

    def __init__(self, status: str, message: str) -> None:
        self.submitted = time()
        self._reply = NoReply(status, message, self.submitted, self.submitted)

    def __len__(self) -> int:
        return 1

    def __getattr__(self, name: str) -> Any:
        # What else there is to be asked: it is done, and nothing was written.
        return lambda *_: _OF_NOTHING[name]

    def message_ids(self) -> list[str]:
        return []

    def statuses(self) -> list[str | None]:
        return [self._reply.status]

    def reply(self, _index: int) -> NoReply:
        return self._reply


_OF_NOTHING: dict[str, Any] = {
    "targets": [-1],
    "done": 1,
    "is_done": True,
    "wait": True,
    "wait_index": True,
    "wait_news": 1,
    "nth_done": 0,
    "has_news": False,
    "trouble": None,
    "is_taken": False,
    "take_output": [],
    "watch": False,
    "outputs": ("", ""),
    "published": [],
    "output_since": (0, []),
    "abort": None,
    "cancel": True,
}


class Growing:
    """A `_core.Pending` of parts, of which more may come.

    While it grows it has one answer more than its parts, which stands for what is to come.
    """

    def __init__(self) -> None:
        self._grown: Condition = own_condition()
        self._parts: list[Any] = []
        self._starts: list[int] = []
        self._length = 0
        self._whole = False
        self._watches: list[int] = []
        # Indexes in order of arrival, as far as somebody has looked; and for each part how many of them.
        self._arrived: list[int] = []
        self._seen: list[int] = []
        self.give_up: Callable[[], object] = _nothing
        """Called before the parts are aborted: nothing more is to come."""

    # -- growing ------------------------------------------------------------------------------------------------

    def add(self, part: Any, last: bool) -> list[int]:
        """Add a part; `last` if none follows. Gives the tokens of `watch` that nobody else will queue."""
        with self._grown:
            # In this order, for those who look without the lock.
            self._starts.append(self._length)
            self._seen.append(0)
            self._parts.append(part)
            self._length += len(part)
            self._whole = last
            for token in self._watches:
                part.watch(token)
            self._grown.notify_all()
            return list(self._watches) if last and self.done() == len(self) else []

    @property
    def whole(self) -> bool:
        """Whether nothing more is to come."""
        return self._whole

    def is_given_up(self) -> bool:
        """Whether somebody has aborted all that was not begun: as last in the queue, the last answer of a part."""
        return any(part.statuses()[-1] == "aborted" for part in list(self._parts))

    def wait_until_whole(self, timeout: float | None) -> bool:
        """Wait until nothing more is to come; False at the deadline."""
        with self._grown:
            return self._grown.wait_for(lambda: self._whole, timeout)

    def wait_for_part_of(self, index: int, timeout: float | None = None) -> bool:
        """Wait until there is this answer to be waited for; False at the deadline, or if there are not so many."""
        with self._grown:
            self._grown.wait_for(lambda: self._whole or index < self._length, timeout)
            return index < self._length

    # -- as the extension has it --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._length + (not self._whole)

    def message_ids(self) -> list[str]:
        return [message_id for part in list(self._parts) for message_id in part.message_ids()]

    @property
    def requests(self) -> tuple[int, int]:
        parts = list(self._parts)
        return parts[0].requests[0], sum(part.requests[1] for part in parts)

    @property
    def again(self) -> Any:
        """One submission of all of it, if that is kept."""
        made = [part.again for part in self._parts]
        if not self._whole or any(each is None for each in made):
            return None
        op, _, how = made[0]
        about = of_parts([each["about"] for _, _, each in made])
        return op, [item for _, items, _ in made for item in items], {**how, "about": about}

    def targets(self) -> list[int]:
        return [target for part in list(self._parts) for target in part.targets()]

    @property
    def submitted(self) -> float:
        submitted: float = self._parts[0].submitted
        return submitted

    def statuses(self) -> list[str | None]:
        whole = self._whole
        return [status for part in list(self._parts) for status in part.statuses()] + [None] * (not whole)

    def done(self) -> int:
        return sum(part.done() for part in list(self._parts))

    def is_done(self, index: int) -> bool:
        found = self._at(index)
        return found is not None and found[0].is_done(found[1])

    def wait(self, timeout: float | None, on_output: OnOutput = None) -> bool:
        deadline = deadline_of(timeout)
        place = 0
        while place < len(self._parts) or not self._whole:
            if place == len(self._parts):
                if not self._wait_to_grow(deadline):
                    return False
                continue
            if not self._sliced(partial(_wait_for, self._parts[place], on_output), deadline, on_output):
                return False
            place += 1
        return True

    def wait_index(self, index: int, timeout: float | None, on_output: OnOutput = None) -> bool:
        deadline = deadline_of(timeout)
        while (found := self._at(index)) is None:
            if self._whole or not self._wait_to_grow(deadline):
                return False
        part, place = found
        return self._sliced(lambda left: part.wait_index(place, left, on_output), deadline, on_output)

    def nth_done(self, n: int, timeout: float | None, on_output: OnOutput = None) -> int | None:
        deadline = deadline_of(timeout)
        while n >= self._look():
            if (self._whole and n >= self._length) or _is_over(deadline):
                return None
            self._wait_for_any(deadline, on_output)
        return self._arrived[n]

    def has_news(self) -> bool:
        return any(part.has_news() for part in list(self._parts))

    def trouble(self) -> str | None:
        return next((trouble for part in list(self._parts) if (trouble := part.trouble())), None)

    def is_taken(self) -> bool:
        return any(part.is_taken() for part in list(self._parts))

    def take_output(self) -> list[Any]:
        return [
            (start + index, *rest)
            for start, part in zip(self._starts, list(self._parts))
            for index, *rest in part.take_output()
        ]

    def wait_news(self, version: int, timeout: float | None) -> int:
        deadline = deadline_of(timeout)
        while (found := self.done()) <= version and found < len(self) and not _is_over(deadline):
            self._wait_for_any(deadline, None)
        return found

    def watch(self, token: int) -> bool:
        with self._grown:
            if self.done() == len(self):
                return False
            watched = [part.watch(token) for part in self._parts]
            if not self._whole:
                self._watches.append(token)
            return not self._whole or any(watched)

    def reply(self, index: int) -> Any:
        found = self._at(index)
        if found is None:
            raise ValueError(f"answer {index} is not there yet")
        return found[0].reply(found[1])

    def outputs(self, index: int) -> Any:
        found = self._at(index)
        return ("", "") if found is None else found[0].outputs(found[1])

    def published(self, index: int) -> list[tuple[str, str]]:
        found = self._at(index)
        return [] if found is None else found[0].published(found[1])

    def output_since(self, index: int, cursor: int) -> Any:
        found = self._at(index)
        return (0, []) if found is None else found[0].output_since(found[1], cursor)

    def abort(self) -> None:
        self.give_up()
        for part in list(self._parts):
            part.abort()

    def cancel(self, timeout: float | None) -> bool:
        deadline = deadline_of(timeout)
        self.give_up()
        # Each of them, whatever becomes of the others.
        verdicts = [part.cancel(left_until(deadline)) for part in list(self._parts)]
        return all(verdicts)

    # -- inside -------------------------------------------------------------------------------------------------

    def _at(self, index: int) -> tuple[Any, int] | None:
        """The part that has an answer, and which of its answers that is."""
        if not 0 <= index < self._length:
            return None
        place = bisect_right(self._starts, index, hi=len(self._parts)) - 1
        return self._parts[place], index - self._starts[place]

    def _wait_to_grow(self, deadline: float | None) -> bool:
        """Wait until there is more, or until nothing more is to come; False at the deadline."""
        length = self._length
        with self._grown:
            return self._grown.wait_for(lambda: self._whole or self._length > length, left_until(deadline))

    def _sliced(self, wait: Callable[[float | None], bool], deadline: float | None, on_output: OnOutput) -> bool:
        """Wait for a part, and show meanwhile what calls of the others write."""
        while True:
            if self._whole and len(self._parts) == 1:
                return wait(left_until(deadline))
            left = left_until(deadline)
            if wait(_LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS)):
                return True
            if on_output is not None and self.has_news():
                on_output()
            if _is_over(deadline):
                return False

    def _wait_for_any(self, deadline: float | None, on_output: OnOutput) -> None:
        """Wait a moment for answers: of the part that has most to give."""
        left = left_until(deadline)
        seconds = _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS)
        with self._grown:
            seen = list(self._seen)
        open_ones = [(len(part) - done, part, done) for part, done in zip(self._parts, seen) if done < len(part)]
        if open_ones:
            _, part, done = max(open_ones, key=lambda each: each[0])
            part.nth_done(done, seconds, on_output)
        else:
            self._wait_to_grow(monotonic() + seconds)
        if on_output is not None and self.has_news():
            on_output()

    def _look(self) -> int:
        """How many answers there are, in an order that is the same for everybody."""
        with self._grown:
            for place, part in enumerate(self._parts):
                for nth in range(self._seen[place], part.done()):
                    self._arrived.append(self._starts[place] + part.nth_done(nth, 0))
                    self._seen[place] = nth + 1
            return len(self._arrived)


def _wait_for(part: Any, on_output: OnOutput, left: float | None) -> bool:
    found: bool = part.wait(left, on_output)
    return found


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and monotonic() >= deadline


def _nothing() -> None:
    """Nothing is to come."""
