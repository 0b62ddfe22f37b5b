"""How many elements the chunks of a map are to have: pure.

The first chunks have few elements. How long they took says how many the next ones are to have, so that each takes about
50 ms: long enough for the cost of a task not to matter, short enough for engines to be done at the same time.
"""

from __future__ import annotations

__all__ = ["CHUNKS_PER_ENGINE", "GROWTH", "SECONDS", "Pace"]

# Seconds that a chunk is to take.
SECONDS = 0.05
# No element takes less than this, by whatever clock.
_SHORTEST = 1e-9
# A chunk has at most so many times the elements of those that were measured.
GROWTH = 256
# There are at least so many chunks for each engine, unless there are fewer elements: enough for a fast engine to take
# work from a slow one, few enough for the cost of a task not to matter.
CHUNKS_PER_ENGINE = 4
# Most chunks that are sent at once: half of what the controller takes of a client.
_MOST = 4096


class Pace:
    """The next chunks of a map.

    Parameters
    ----------
    length : int
        Elements of the map.
    grain : int
        Chunks begin at multiples of this.
    first : int
        Elements of the first chunks.
    whole : bool
        Send everything once chunks are as long as they ought to be.

    Examples
    --------
    >>> pace = Pace(1000, grain=1, first=1)
    >>> pace.chunks(engines=2)
    [(0, 1), (1, 2), (2, 3), (3, 4)]
    >>> pace.measured(seconds=0.04, elements=4)
    >>> pace.chunks(engines=2)[0]
    (4, 9)
    """

    def __init__(self, length: int, grain: int, first: int, whole: bool = False) -> None:
        self._length = length
        self._grain = grain
        self._size = first
        self._whole = whole
        self._each: float | None = None
        self._sent = 0
        self.position = 0
        self.learns = True
        """Chunks are smaller than they ought to be as far as is known."""

    def measured(self, seconds: float, elements: int) -> None:
        """So many elements took so long on their engines."""
        if elements:
            self._each = max(seconds / elements, _SHORTEST)

    def chunks(self, engines: int, everything: bool = False) -> list[tuple[int, int]]:
        """The bounds of the next chunks: a few for each engine, and as many as there were before.

        So the engines have as much before them as they have behind them, whatever becomes of the client meanwhile.
        """
        engines = max(1, engines)
        most = -(-self._length // (CHUNKS_PER_ENGINE * engines))
        if self._each is None:
            wanted = self._size
        else:
            wanted = min(most, int(SECONDS / self._each))
            self.learns = wanted > self._size * GROWTH
            wanted = min(wanted, self._size * GROWTH)
        if everything:
            wanted = max(wanted, -(-(self._length - self.position) // _MOST))
        self._size = max(1, wanted // self._grain) * self._grain
        count = max(engines, CHUNKS_PER_ENGINE)
        if not self.learns:
            count = _MOST if self._whole else min(max(CHUNKS_PER_ENGINE * engines, self._sent), _MOST)
        stop = self._length if everything else self.position + count * self._size
        starts = range(self.position, min(self._length, stop), self._size)
        bounds = [(start, min(start + self._size, self._length)) for start in starts]
        self.position = bounds[-1][1]
        self._sent += len(bounds)
        return bounds
