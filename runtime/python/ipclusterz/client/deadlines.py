"""Until when a call waits."""

from __future__ import annotations

from time import monotonic

__all__ = ["deadline_of", "left_until"]


def deadline_of(timeout: float | None) -> float | None:
    """When a wait of so many seconds that begins now is over; None: it has no end.

    None and -1 are for ever. Any other number below 0 is over at once, as what is left of a time that is over.

    Examples
    --------
    >>> deadline_of(-1) is None, deadline_of(-0.5) < deadline_of(0.5)
    (True, True)
    """
    return None if timeout is None or timeout == -1 else monotonic() + timeout


def left_until(deadline: float | None) -> float | None:
    """Seconds until a wait is over, 0 once it is; None: it has no end.

    Examples
    --------
    >>> left_until(None) is None, left_until(deadline_of(0))
    (True, 0.0)
    """
    return None if deadline is None else max(0.0, deadline - monotonic())
