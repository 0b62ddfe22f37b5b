"""What an engine says of itself on standard error, before it has streams of its own."""

from __future__ import annotations

import os

__all__ = ["say"]


def say(text: str) -> None:
    """Write to standard error. A disk that is full, or a descriptor that is closed, is no reason to end."""
    try:  # noqa: SIM105 - contextlib would be imported at each start
        os.write(2, text.encode("utf-8", "replace"))
    except OSError:
        pass
