"""What was submitted in a client's session, by message ids and by numbers of requests.

Numbers up to a certain one are those of clients before this one, which the controller remembers (`records`). Those
behind it are this client's own, which the extension module counts.
"""

from __future__ import annotations

from typing import Any
from warnings import warn

from ..error import HistoryError
from .asyncresult import AsyncResult
from .feeding import Feeders, is_fed, remade_map
from .records import Submission, ask, number_of, recorded, requests_of, tasks_of
from .remake import remake, resubmitted, selected

__all__ = ["Submissions"]

# Most requests that one question names.
_ASKED_MAX = 4096


class Submissions:
    """What was submitted in the session of a client.

    Parameters
    ----------
    client : Past
        The client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def prefix(self) -> str:
        """What message ids begin with."""
        of = self._client._core.session
        begins: str = self._client._core.uuid[:8] if of is None else of[1]
        return begins

    def last_before(self) -> int:
        """The number of the last request before this client came."""
        of = self._client._core.session
        runs = self._runs()
        last: int = 0 if of is None else of[2]
        return min(last, runs[0][0] - 1) if runs else last

    def _runs(self) -> list[tuple[int, int, int, int]]:
        """What this client has submitted; see `_core.Client.submitted`."""
        runs: list[tuple[int, int, int, int]] = self._client._core.submitted()
        return runs

    @property
    def _feeders(self) -> Feeders:
        feeders: Feeders = self._client._feeders
        return feeders

    def before(self, anew: bool = False) -> list[Submission]:
        """What was submitted before this client came; `anew`: asked again, for what was under way may have ended."""
        client = self._client
        if client._before is None or anew:
            last = self.last_before()
            client._before = recorded(client._core, client.session, last) if last else []
        before: list[Submission] = client._before
        return before

    def is_own(self, number: int) -> bool:
        """Whether this client has submitted it."""
        return number > self.last_before()

    def owner_of(self, number: int) -> int:
        """The first request of the submission that a request belongs to."""
        for first, requests, _, times in self._runs():
            if first <= number < first + requests * times:
                return self._feeders.head_of(first + (number - first) // requests * requests)
        for submission in self.before():
            if submission.has(number):
                return submission.head
        raise HistoryError(
            f"{self.prefix()}-{number}-0 has never reached the controller, or is not remembered any more",
            hint="see keep_results of the profile's [controller]",
        )

    def nth_last(self, index: int) -> int:
        """The first request of the n-th last submission, for -n."""
        wanted, own = -index, self._runs()
        for first, requests, _, times in reversed(own):
            if not self._feeders.has_parts and wanted > times:
                wanted -= times
                continue
            for number in reversed(range(first, first + requests * times, requests)):
                wanted -= not self._feeders.is_part(number)
                if not wanted:
                    return number
        before = [submission for submission in self.before() if submission.head == submission.first]
        if wanted > len(before):
            there = len(before) - index - wanted
            raise IndexError(f"there is no submission {index}: there were {there} in session {self._client.session!r}")
        return before[-wanted].first

    def known(self, first: int) -> AsyncResult | None:
        """The result of a submission, if somebody here has it."""
        while True:
            try:
                found = [result for result in self._client._results if result._pending.requests[0] == first]
                break
            except RuntimeError:
                # Another thread has submitted something.
                continue
        return found[0] if found else None

    def result_of(self, number: int) -> AsyncResult:
        """The result of the submission that a request belongs to."""
        first = self.owner_of(number)
        with self._client._remaking:
            known = self.known(first)
            return self._remade(first) if known is None else known

    def _remade(self, first: int) -> AsyncResult:
        if self.is_own(first):
            if self._client._named is None:
                raise HistoryError(
                    f"nobody has the result of {self.prefix()}-{first}-0 any more",
                    hint="keep results that you want, or give the session a name: Client(session='NAME')",
                )
            every = recorded(self._client._core, self._client.session)
        else:
            every = self.before()
        found = next((submission for submission in every if submission.first == first), None)
        if found is None:
            raise HistoryError(f"{self.prefix()}-{first}-0 is not remembered any more")
        if (missing := requests_of(found.about) - len(found.targets)) > 0:
            warn(
                f"{self.prefix()}-{first}-0 was submitted in part: its client was killed before it had sent the last "
                f"{missing} of its {missing + len(found.targets)} parts",
                RuntimeWarning,
                stacklevel=2,
            )
        pieces = [each for each in every if each.head == found.head]
        if len(pieces) > 1 or is_fed(found.about):
            adopt = self._client._core.adopt
            told: Any = [(adopt(each.first, each.targets, each.submitted), each.about) for each in pieces]
            return remade_map(self._client, told)
        pending = self._client._core.adopt(first, found.targets, found.submitted)
        return remake(self._client, pending, found.op, found.about)

    def answers(self, jobs: Any) -> list[tuple[int, int]]:
        """The answers that are meant: each as the number of its request, and the position in that."""
        ids = self.named(jobs)
        # Refuses those that are none.
        self._client._core.wait_requests(ids, 0)
        return [number_of(message_id) for message_id in ids]

    def named(self, jobs: Any) -> list[str]:
        """The message ids of what is meant, whoever has submitted it."""
        if isinstance(jobs, (AsyncResult, str)) or not hasattr(jobs, "__iter__"):
            jobs = (jobs,)
        ids: list[str] = []
        for job in jobs:
            if isinstance(job, AsyncResult):
                ids += job.msg_ids
            elif isinstance(job, str):
                ids.append(job)
            elif isinstance(job, int) and not isinstance(job, bool):
                if job >= 0:
                    raise TypeError(f"submissions are counted from the last: -1, not {job}")
                ids += self.result_of(self.nth_last(job)).msg_ids
            else:
                raise TypeError(f"results, message ids or -1, -2 … are needed, not {type(job).__name__}: {job!r:.80}")
        if not ids:
            raise ValueError("there is no message id in an empty list")
        return ids

    def result(self, jobs: Any) -> AsyncResult:
        """The result that is meant."""
        answers = self.answers(jobs)
        firsts = list(dict.fromkeys(self.owner_of(number) for number, _ in answers))
        results = {first: self.result_of(first) for first in firsts}
        only = results[firsts[0]]
        names = [f"{self.prefix()}-{number}-{position}" for number, position in answers]
        if len(firsts) == 1 and set(names) == set(only.msg_ids):
            return only
        places = {first: {name: index for index, name in enumerate(results[first].msg_ids)} for first in firsts}
        chosen = []
        for name, (number, _) in zip(names, answers):
            first = self.owner_of(number)
            if name not in places[first]:
                raise ValueError(f"message id {name!r} was never submitted in session {self._client.session!r}")
            chosen.append((results[first], places[first][name]))
        return self.selected(chosen, isinstance(jobs, str))

    def selected(self, chosen: list[tuple[AsyncResult, int]], single: bool) -> AsyncResult:
        """A result of chosen answers; `single`: the only one gives its bare value."""
        return selected(self._client, chosen, single)

    def again(self, first: int) -> AsyncResult:
        """Submit something again."""
        result = self.known(first)
        if result is None:
            raise HistoryError(
                f"nobody has the result of {self.prefix()}-{first}-0 any more, with which its function and arguments "
                "have gone",
                hint="call the function again",
            )
        return resubmitted(self._client, result)

    def done_by(self, engines: set[int]) -> set[int]:
        """The requests whose tasks have all been done by these engines."""
        by_request: dict[int, set[int | None]] = {}
        for task in tasks_of(self._client._core, session=self._client.session):
            by_request.setdefault(number_of(task["id"])[0], set()).add(task["engine"])
        return {number for number, of in by_request.items() if of <= engines}

    def purge(self, numbers: set[int] | None) -> None:
        """Drop what is kept of the submissions that these requests belong to, here too; None: of all."""
        if numbers is not None:
            firsts = {self.owner_of(number) for number in numbers}
            numbers = {number for first in firsts for each in self.numbers_of(first) for number in each}
        for result in list(self._client._results):
            first, _ = result._pending.requests
            if result.ready() and (numbers is None or first in numbers):
                self._client._results.discard(result)
        self._client._left[:] = [result for result in self._client._left if result in self._client._results]
        of_session = {"session": self._client.session}
        if numbers is None:
            ask(self._client._core, {"purge": of_session})
            return
        several = sorted(numbers)
        for begin in range(0, len(several), _ASKED_MAX):
            some = several[begin : begin + _ASKED_MAX]
            ask(self._client._core, {"purge": {**of_session, "requests": some}})

    def numbers_of(self, first: int) -> list[range]:
        """The requests of a submission."""
        for start, requests, _, times in self._runs():
            if start <= first < start + requests * times:
                own = [range(first, first + requests)]
                own += [numbers for part in self._feeders.parts_of(first) for numbers in self.numbers_of(part)]
                return own
        found = [each for each in self.before() if each.head == first]
        return [range(each.first, each.first + len(each.targets)) for each in found] or [range(first, first + 1)]
