"""Operators of reductions: MPI's by name, and any Python function of two arguments."""

from __future__ import annotations

import operator
from functools import reduce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["OPERATORS", "checked", "fold"]


def _minloc(left: Any, right: Any) -> Any:
    # MPI 3.1, section 5.9.4: the smaller index where the values are equal.
    return min(left, right, key=lambda pair: (pair[0], pair[1]))


def _maxloc(left: Any, right: Any) -> Any:
    if left[0] == right[0]:
        return left if left[1] <= right[1] else right
    return left if left[0] > right[0] else right


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": operator.add,
    "prod": operator.mul,
    "min": lambda left, right: left if left <= right else right,
    "max": lambda left, right: left if left >= right else right,
    "land": lambda left, right: bool(left) and bool(right),
    "lor": lambda left, right: bool(left) or bool(right),
    "lxor": lambda left, right: bool(left) != bool(right),
    "band": operator.and_,
    "bor": operator.or_,
    "bxor": operator.xor,
    "minloc": _minloc,
    "maxloc": _maxloc,
}


def checked(op: str | Callable[[Any, Any], Any]) -> str | Callable[[Any, Any], Any]:
    """An operator as it was given.

    Raises
    ------
    ValueError
        When there is no operator of that name.
    TypeError
        When it is neither a name nor a function.
    """
    if isinstance(op, str):
        if op not in OPERATORS:
            raise ValueError(f"op: there is no operator {op!r}; there are {', '.join(OPERATORS)}, and any function")
        return op
    if not callable(op):
        raise TypeError(f"op: {op!r} is neither the name of an operator nor a function of two arguments")
    return op


def fold(op: str | Callable[[Any, Any], Any], values: Iterable[Any]) -> Any:
    """`((a op b) op c) op …`, in the order of ranks, so that it need not be commutative."""
    return reduce(OPERATORS[op] if isinstance(op, str) else op, values)
