"""Functions as scripts define them, and one of a module, for the tests of `ipclusterz.ipyparallel`."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any


def from_main(code: str) -> Callable[..., Any]:
    """A function as a script defines it."""
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(code, space)
    return next(value for value in space.values() if isinstance(value, FunctionType))


def divided(x: float) -> float:
    return 1 / x
