"""Maps whose chunks are measured: each map has a thread that sends its next chunks while the first ones run.

The thread ends when everything is sent. `pace` says how large the chunks are, `snapshots` keeps what they are made of,
`growing` is their answers.
"""

from __future__ import annotations

from itertools import accumulate
from threading import Thread, current_thread
from time import monotonic

from ..shared import own
from .about import sizes_of
from .deadlines import deadline_of, left_until
from .growing import Growing, NotSent
from .mapping import Again, MapResult, chunk_of
from .owned import OwnLock
from .pace import CHUNKS_PER_ENGINE, SECONDS, Pace
from .snapshots import snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..shared.serialize import Frame
    from .future import Owner
    from .mapping import Part, Submit
    from .snapshots import Pieces, Slices

    # Sends chunks: their bounds, their arguments, and what is said of them. Gives what is pending.
    Send = Callable[[list[tuple[int, int]], list[list[Frame]], dict[str, Any]], Any]

__all__ = ["Feeders", "GrowingMap", "fed_map", "is_fed", "remade_map"]

# Most maps of a client that are measured at the same time.
_MAPS = 32
# Most parts of maps that a client remembers; older ones count as submissions of their own.
_HEADS = 1 << 16
# Seconds that the end of a client waits for their threads.
_SECONDS = 5.0


class Feeders:
    """The maps of a client that are being sent, and which submissions are parts of one map."""

    def __init__(self) -> None:
        self.live: set[Feeder] = set()
        # The first request of each part but the first one of its map, and that one's.
        self._heads: dict[int, int] = {}

    @property
    def has_parts(self) -> bool:
        """Whether some submission belongs to one before it."""
        return bool(self._heads)

    def is_part(self, first: int) -> bool:
        """Whether a submission belongs to one before it."""
        return first in self._heads

    def head_of(self, first: int) -> int:
        """The submission that one belongs to: mostly itself."""
        return self._heads.get(first, first)

    def parts_of(self, head: int) -> list[int]:
        """The other submissions of a map."""
        return [first for first, of in list(self._heads.items()) if of == head]

    def belongs(self, first: int, head: int) -> None:
        """Note that a submission is a part of a map."""
        self._heads[first] = head
        while len(self._heads) > _HEADS:
            self._heads.pop(next(iter(self._heads)), None)

    def give_up(self) -> None:
        """Send nothing more."""
        for feeder in list(self.live):
            feeder.give_up()

    def finish(self, send: bool) -> None:
        """Before the connection is closed: send all of the rest, or nothing."""
        for feeder in list(self.live):
            if send:
                feeder.send_rest()
            else:
                feeder.give_up("lost", "the client was closed before this element was sent")

    def wait(self, timeout: float | None) -> bool:
        """Wait until all is sent; False at the deadline."""
        deadline = deadline_of(timeout)
        # Not the threads, whose callbacks may take long.
        return all(feeder.pending.wait_until_whole(left_until(deadline)) for feeder in list(self.live))

    def join(self) -> None:
        """Wait until their threads have ended."""
        for feeder in list(self.live):
            if feeder.thread is not current_thread():
                feeder.thread.join(_SECONDS)


class Feeder:
    """Sends one map.

    Parameters
    ----------
    owner : Client
        Whose map it is.
    send : callable
        Submits chunks.
    kept : Slices or Pieces
        What is to be sent.
    length : int
        Elements.
    engines : callable
        How many engines there are.
    """

    def __init__(self, owner: Any, send: Send, kept: Slices | Pieces, length: int, engines: Callable[[], int]) -> None:
        self._feeders: Feeders = owner._feeders
        self._watcher = owner._watcher
        self._send = send
        self._kept: Any = kept
        self._length = length
        self._engines = engines
        self._pace = Pace(length, kept.grain, kept.first, whole=owner._named is not None)
        self._last: Any = None
        self._sent_at = 0.0
        self._bounds: list[tuple[int, int]] = []
        self._tokens: list[int] = []
        self._lock = OwnLock()
        self.sizes: list[int] = []
        self.starts = [0]
        self.pending = Growing()
        self.pending.give_up = self.give_up
        self.thread = Thread(target=self._run, name="ipclusterz-map", daemon=True)
        # What cannot be submitted at all is said to the caller.
        self._feed(everything=kept.heavy)

    def start(self) -> None:
        """Send the rest from a thread of its own; at once if there can be none."""
        if self.pending.whole:
            return
        self._feeders.live.add(self)
        try:
            self.thread.start()
        except RuntimeError:
            self._feeders.live.discard(self)
            self.send_rest()
        except KeyboardInterrupt:
            if not self.thread.is_alive():
                self.send_rest()
            raise

    def give_up(self, status: str = "aborted", message: str = "") -> None:
        """Send nothing more: the rest ends with this."""
        with self._lock:
            self._end(status, message)
        self._tell()

    def send_rest(self) -> None:
        """Send all of the rest."""
        with self._lock:
            self._feed_or_fail(everything=True)
        self._tell()

    # -- inside -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self.pending.whole:
                self._wait()
                with self._lock:
                    self._go_on()
                self._tell()
        except BaseException as error:
            self.give_up("lost", f"the rest of the map was not sent: {type(error).__name__}: {error}")
        finally:
            self._feeders.live.discard(self)

    def _wait(self) -> None:
        """Wait until the engines will soon have nothing to do."""
        last, version = self._last, 0
        if self._pace.learns:
            # The first ones that are done are the fastest ones, so all of them are given the time of a chunk. Of those
            # that take longer, no more needs to be known.
            last.wait(max(0.0, self._sent_at + SECONDS - monotonic()))
            return
        enough = max(1, len(last) - 2 * max(1, self._engines()))
        while last.done() < enough and not self.pending.whole:
            version = last.wait_news(version, None)

    def _go_on(self) -> None:
        if self.pending.whole:
            return
        last = self._last
        if self.pending.is_given_up():
            self._end("aborted", "")
            return
        # Those that are not done have taken as long at least, if the engines have nothing else to do.
        waited = monotonic() - self._sent_at if self._pace.learns else None
        self._pace.measured(*_measure(last, self._bounds, waited))
        self._feed_or_fail()

    def _feed_or_fail(self, everything: bool = False) -> None:
        try:
            if not self.pending.whole:
                self._feed(everything)
        except Exception as error:
            self._end("lost", f"it was not sent: {error}")

    def _end(self, status: str, message: str) -> None:
        if not self.pending.whole:
            self._add([(self._pace.position, self._length)], NotSent(status, message), last=True)

    def _feed(self, everything: bool = False) -> None:
        begin = self._pace.position
        try:
            bounds = self._pace.chunks(self._engines(), everything)
            frames = [self._kept.frames(start, stop) for start, stop in bounds]
            head = {"head": self.pending.requests[0]} if self.sizes else {}
            about = {"first": begin, "length": self._length, **head}
            self._sent_at = monotonic()
            part = self._send(bounds, frames, about)
        except BaseException:
            self._pace.position = begin
            raise
        if head:
            self._feeders.belongs(part.requests[0], head["head"])
        self._last, self._bounds = part, bounds
        self._add(bounds, part, last=bounds[-1][1] == self._length)

    def _add(self, bounds: list[tuple[int, int]], part: Any, last: bool) -> None:
        self.sizes += [stop - start for start, stop in bounds]
        self.starts += [stop for _, stop in bounds]
        self._tokens += self.pending.add(part, last)
        if last:
            # Nothing of it is needed any more.
            self._kept = None
            self._send = _refuse
            self.pending.give_up = _nothing

    def _tell(self) -> None:
        """Have settled what was done before it was known to be all: without the lock, for that calls what waits."""
        tokens, self._tokens = self._tokens, []
        for token in tokens:
            self._watcher.hear(token)


def _nothing() -> None:
    """Everything is sent."""


def _refuse(*_: object) -> None:
    raise AssertionError("everything is sent")


def _measure(part: Any, bounds: list[tuple[int, int]], waited: float | None) -> tuple[float, int]:
    """Seconds that engines have worked on chunks, and elements of these; what is not done counts as `waited`."""
    seconds, elements = 0.0, 0
    for index, (start, stop) in enumerate(bounds):
        took = waited
        if part.is_done(index):
            reply = part.reply(index)
            took = reply.completed - reply.started if reply.completed > 0 else None
        if took is not None:
            seconds += took
            elements += stop - start
    return seconds, elements


class _Parts:
    """The chunks of a map, cut out of its sequences when they are asked for."""

    def __init__(self, columns: list[Any], starts: list[int]) -> None:
        self._columns = columns
        self._starts = starts

    def __iter__(self) -> Iterator[Part]:
        return (chunk_of(self._columns, start, stop) for start, stop in zip(self._starts, self._starts[1:]))


class GrowingMap(MapResult):
    """A `MapResult` of a map that is being sent.

    Parameters
    ----------
    sizes, starts : list of int
        As `MapResult` has them; they grow with what is pending.
    length : int
        Elements of the map.
    """

    def __init__(
        self,
        client: Owner,
        pending: Growing,
        sizes: list[int],
        starts: list[int],
        length: int,
        ordered: bool,
        **options: Any,
    ) -> None:
        super().__init__(client, pending, sizes, ordered, indexes=range(length), **options)  # type: ignore[arg-type]
        self._grows = pending
        self._starts = starts

    # -- inside -------------------------------------------------------------------------------------------------

    def _at(self, position: int) -> Any:
        while self._starts[-1] <= position and self._is_sent(len(self._sizes)):
            pass
        return super()._at(position)

    def _is_sent(self, chunk: int) -> bool:
        """Wait until a chunk has been sent; False: there are not so many."""
        try:
            return self._grows.wait_for_part_of(chunk)
        except KeyboardInterrupt as error:
            self._leave(error)
            raise

    def _order(self) -> Iterator[int]:
        if not self._ordered:
            yield from self._as_they_arrive()
            return
        chunk = 0
        while self._is_sent(chunk):
            yield chunk
            chunk += 1


def fed_map(
    client: Any,
    columns: list[Any],
    length: int,
    engines: Callable[[], int],
    send: Send,
    again: Submit,
    **options: Any,
) -> MapResult | None:
    """Begin to send a map whose chunks are measured.

    Parameters
    ----------
    client : Client
        Whose it is.
    columns : list
        The sequences.
    length : int
        Their elements.
    engines : callable
        How many engines there are.
    send : callable
        Submits chunks.
    again : callable
        Submits what failed again.
    **options
        Of the `MapResult`.

    Returns
    -------
    MapResult or None
        None: there is nothing to be measured, and it is to be sent as a whole.
    """
    feeders: Feeders = client._feeders
    if length <= CHUNKS_PER_ENGINE * max(1, engines()) or len(feeders.live) >= _MAPS:
        return None
    if (here := own.here()) is not None and here.run_id == client._core.run_id:
        # In a task: what waits does the chunks itself, and knows them from the start on.
        return None
    # Of a list a copy, of an array a view: as slices of them are.
    columns = [column[:] for column in columns]
    kept = snapshot(columns, length, engines())
    feeder = Feeder(client, send, kept, length, engines)
    kept_again = Again(again, _Parts(columns, feeder.starts))  # type: ignore[arg-type]
    made = GrowingMap(client, feeder.pending, feeder.sizes, feeder.starts, length, again=kept_again, **options)
    try:
        feeder.start()
    except KeyboardInterrupt as error:
        made._leave(error)
        raise
    return made


def is_fed(about: dict[str, Any] | None) -> bool:
    """Whether it is said of a submission that it is a part of such a map."""
    return about is not None and "length" in about and "first" in about


def remade_map(client: Any, pieces: list[tuple[Any, dict[str, Any]]]) -> MapResult:
    """The result of a map that another client has called.

    Parameters
    ----------
    client : Client
        Whose it is to be.
    pieces : list of (Pending, dict)
        Its submissions, and what is said of them. What was not sent ends with an error.
    """
    pieces = sorted(pieces, key=lambda piece: piece[1]["first"])
    told = pieces[0][1]
    pending, sizes, starts, length = Growing(), list[int](), [0], told["length"]
    for part, of in [*pieces, (None, {"first": length})]:
        if (missing := of["first"] - starts[-1]) > 0:
            sizes.append(missing)
            pending.add(NotSent("aborted", _KILLED), last=part is None)
            starts.append(of["first"])
        if part is not None:
            sent = sizes_of(of["sizes"])[: len(part)]
            sizes += sent
            starts += list(accumulate(sent, initial=starts[-1]))[1:]
            pending.add(part, last=starts[-1] == length)
    returns = told.get("return_exceptions", False)
    return GrowingMap(client, pending, sizes, starts, length, told["ordered"], return_exceptions=returns)


_KILLED = "this element was not sent: the client that called map was killed before"
