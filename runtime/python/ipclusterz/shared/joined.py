"""Several pickled pieces of the sequences of a map as one chunk.

A client pickles sequences before it knows how large their chunks are to be. It sends the pieces as they are, and the
engine puts them together.
"""

from __future__ import annotations

from itertools import chain

from .serialize import OUT_OF_BAND, PROTOCOL, loads, plain_dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .serialize import Frame

__all__ = ["join_frames", "joined"]


class _Pieces:
    """Is what `joined` gives when it has been unpickled."""

    def __init__(self, pieces: Sequence[Sequence[Frame]]) -> None:
        self._pieces = pieces

    def __reduce__(self) -> Any:
        # Only there once something is sent.
        from pickle import PickleBuffer

        held = [
            [frame if len(frame) < OUT_OF_BAND else PickleBuffer(frame) for frame in piece] for piece in self._pieces
        ]
        return joined, (held,)


def join_frames(pieces: Sequence[Sequence[Frame]]) -> list[Frame]:
    """One chunk of what `dumps` gave for several.

    Parameters
    ----------
    pieces : sequence of list of buffers
        Each is of a tuple of sequences.

    Returns
    -------
    list of buffers
        Of a tuple of as many lists.

    Examples
    --------
    >>> from ipclusterz.shared.serialize import dumps
    >>> loads(join_frames([dumps(([1, 2], "ab")), dumps(([3], "c"))]))
    ([1, 2, 3], ['a', 'b', 'c'])
    """
    if len(pieces) == 1:
        return list(pieces[0])
    buffers: list[Frame] = []

    def collect(buffer: Any) -> None:
        buffers.append(buffer.raw())

    return [plain_dumps(_Pieces(pieces), PROTOCOL, buffer_callback=collect), *buffers]


def joined(pieces: list[list[Frame]]) -> tuple[list[Any], ...]:
    """The sequences of all pieces, one behind the other: what a chunk that `join_frames` made is unpickled with."""
    columns = zip(*map(loads, pieces))
    return tuple(list(chain.from_iterable(column)) for column in columns)
