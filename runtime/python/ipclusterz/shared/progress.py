"""How far a call has come that has dependencies: `dependency` sets it, the engine's loop reads it."""

from __future__ import annotations

__all__ = ["progress"]


class _Progress:
    begun = True
    """False while the dependencies are checked: nothing of the call was run, so another engine may do it."""


progress = _Progress()
