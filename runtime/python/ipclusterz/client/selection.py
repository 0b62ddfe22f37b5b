"""Some of the answers of submissions, as if they were one submission."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, wait

from .deadlines import deadline_of, left_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .asyncresult import AsyncResult

    OnOutput = Callable[[], object] | None

__all__ = ["Selection"]

# How often a wait for the next answer of any looks.
_LOOK_SECONDS = 0.05


class Selection:
    """A `_core.Pending` of chosen answers.

    Parameters
    ----------
    chosen : sequence of (AsyncResult, int)
        Results, and the index of an answer in each.
    """

    def __init__(self, chosen: Sequence[tuple[AsyncResult, int]]) -> None:
        # The results are held: their answers would be dropped without them.
        self._results = [result for result, _ in chosen]
        self._chosen: list[tuple[Any, int]] = [(result._pending, index) for result, index in chosen]
        self._taken: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._chosen)

    def message_ids(self) -> list[str]:
        return [pending.message_ids()[index] for pending, index in self._chosen]

    def targets(self) -> list[int]:
        return [pending.targets()[index] for pending, index in self._chosen]

    @property
    def requests(self) -> tuple[int, int]:
        # It has no number of its own.
        return 0, 0

    @property
    def again(self) -> None:
        return None

    @property
    def submitted(self) -> float:
        return min((pending.submitted for pending, _ in self._chosen), default=0.0)

    def statuses(self) -> list[str | None]:
        return [pending.statuses()[index] for pending, index in self._chosen]

    def done(self) -> int:
        return sum(pending.is_done(index) for pending, index in self._chosen)

    def is_done(self, index: int) -> bool:
        pending, place = self._chosen[index]
        done: bool = pending.is_done(place)
        return done

    def wait(self, timeout: float | None, on_output: OnOutput = None) -> bool:
        deadline = deadline_of(timeout)
        return all(self.wait_index(index, left_until(deadline), on_output) for index in range(len(self)))

    def wait_index(self, index: int, timeout: float | None, on_output: OnOutput = None) -> bool:
        pending, place = self._chosen[index]
        done: bool = pending.wait_index(place, timeout, on_output)
        return done

    def nth_done(self, n: int, timeout: float | None, on_output: OnOutput = None) -> int | None:
        deadline = deadline_of(timeout)
        while n < len(self):
            done = [index for index in range(len(self)) if self.is_done(index)]
            if n < len(done):
                return done[n]
            left = left_until(deadline)
            if left == 0:
                return None
            self.wait_news(0, _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS))
        return None

    def has_news(self) -> bool:
        return any(pending.has_news() for pending, _ in self._chosen)

    def trouble(self) -> str | None:
        return next((trouble for pending, _ in self._chosen if (trouble := pending.trouble())), None)

    def is_taken(self) -> bool:
        return any(pending.is_taken() for pending, _ in self._chosen)

    def take_output(self) -> list[tuple[int, int, list[tuple[str, str]], bool]]:
        found = []
        for index, (pending, place) in enumerate(self._chosen):
            cursor, pieces = pending.output_since(place, self._taken.get((index, place), 0))
            self._taken[index, place] = cursor
            if pieces:
                engine = pending.reply(place).engine_id if pending.is_done(place) else pending.targets()[place]
                found.append((index, engine, pieces, pending.is_done(place)))
        return found

    def wait_news(self, version: int, timeout: float | None) -> int:
        wait(self._results, timeout, return_when=FIRST_COMPLETED)
        return self.done()

    def watch(self, token: int) -> bool:
        missing = [pending for pending, index in self._chosen if not pending.is_done(index)]
        return any(pending.watch(token) for pending in missing)

    def reply(self, index: int) -> Any:
        pending, place = self._chosen[index]
        return pending.reply(place)

    def outputs(self, index: int) -> tuple[str, str]:
        pending, place = self._chosen[index]
        texts: tuple[str, str] = pending.outputs(place)
        return texts

    def published(self, index: int) -> list[tuple[str, str]]:
        pending, place = self._chosen[index]
        found: list[tuple[str, str]] = pending.published(place)
        return found

    def output_since(self, index: int, cursor: int) -> Any:
        pending, place = self._chosen[index]
        return pending.output_since(place, cursor)

    def abort(self) -> None:
        for result in self._results:
            result.abort()

    def cancel(self, timeout: float | None) -> bool:
        deadline = deadline_of(timeout)
        return all(result._pending.cancel(left_until(deadline)) for result in self._results)
