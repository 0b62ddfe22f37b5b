"""Objects in slots of equal size, so that a collective of one step carries small ones.

A slot is 8 bytes with the length of the object's bytes, and then these where they fit. What does not fit is sent in a second
step.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["HEAD", "lengths", "pack", "slot_of"]

HEAD = 8
# Just below 4 KiB, where both libraries stop to send at once. All slots of one rank are to stay in its cache.
_LARGEST, _ALL = 3968, 64 << 10


def slot_of(ranks: int) -> int:
    """Bytes of a slot."""
    return max(256, min(_LARGEST, _ALL // ranks & -HEAD))


def pack(parts: Sequence[Any], slot: int) -> bytearray:
    """A slot for each."""
    whole = bytearray(slot * len(parts))
    place = 0
    for part in parts:
        length = len(part)
        whole[place : place + HEAD] = length.to_bytes(HEAD, "little")
        if length <= slot - HEAD:
            whole[place + HEAD : place + HEAD + length] = part
        place += slot
    return whole


def lengths(whole: bytearray, slot: int) -> list[int]:
    """The length in each slot."""
    from_bytes = int.from_bytes
    return [from_bytes(whole[place : place + HEAD], "little") for place in range(0, len(whole), slot)]
