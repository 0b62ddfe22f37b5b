"""Bound functions: code from the client, globals from the engine.

A bound function is pickled as calls of `rebuild` and `restore`: one that `interactive` has made wherever it is in what
is sent, and every one of a call that is bound (see `client.functions`).
"""

from __future__ import annotations

import sys

from ..compat import zip_equal
from .bytecode import own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FunctionType
    from typing import Any

    from .bytecode import ForeignCode

__all__ = ["BOUND", "rebuild", "reduced", "restore"]

BOUND = "_ipclusterz_bound"
"""Attribute of functions that always run in the engine's namespace."""


def _here() -> None:
    pass


_Function: Any = type(_here)


def _empty_cell() -> Any:
    content = None

    def reader() -> object:
        return content

    cell = reader.__closure__[0]  # type: ignore[index]
    del cell.cell_contents
    return cell


def reduced(function: FunctionType) -> tuple[Any, ...]:
    """What a pickler's `reducer_override` returns for a bound function."""
    cells = function.__closure__ or ()
    state = {
        "defaults": function.__defaults__,
        "keyword_defaults": function.__kwdefaults__,
        "qualified_name": function.__qualname__,
        "module": function.__module__,
        "doc": function.__doc__,
        "attributes": function.__dict__,
        "cells": [_content(cell) for cell in cells],
    }
    return rebuild, (function.__code__, function.__name__, len(cells)), state, None, None, restore


def _content(cell: Any) -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def rebuild(code: CodeType | ForeignCode, name: str, cells: int) -> FunctionType:
    """Make a function whose globals are the namespace of ``__main__``; `restore` gives it the rest.

    Raises
    ------
    VersionError
        When the code is of another Python.
    """
    code = own(code)
    space = sys.modules["__main__"].__dict__
    function: FunctionType = _Function(code, space, name, None, tuple(_empty_cell() for _ in range(cells)))
    return function


def restore(function: FunctionType, state: dict[str, Any]) -> None:
    """Give a rebuilt function its defaults, its closure and its names."""
    function.__defaults__ = state["defaults"]
    function.__kwdefaults__ = state["keyword_defaults"]
    function.__qualname__ = state["qualified_name"]
    function.__module__ = state["module"]
    function.__doc__ = state["doc"]
    function.__dict__.update(state["attributes"])
    for cell, content in zip_equal(function.__closure__ or (), state["cells"]):
        if content:
            cell.cell_contents = content[0]
