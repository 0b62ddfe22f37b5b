"""The kinds of hostile code, as the modules beside this one enter them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Kind = Callable[[], Any]

PASSING: list[Kind] = []
"""What ends the task alone, or cannot be returned."""
LASTING: list[Kind] = []
"""What stays in the process."""
DEADLY: dict[Kind, str] = {}
"""What ends the process, and how that is told."""


def passing(kind: Kind) -> Kind:
    PASSING.append(kind)
    return kind


def lasting(kind: Kind) -> Kind:
    LASTING.append(kind)
    return kind


def deadly(how: str) -> Callable[[Kind], Kind]:
    def enter(kind: Kind) -> Kind:
        DEADLY[kind] = how
        return kind

    return enter
