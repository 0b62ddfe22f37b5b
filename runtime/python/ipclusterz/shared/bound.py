"""Bound functions: code from the client, globals from the engine.

A client pickles a bound function as calls of `rebuild` and `restore` (see `client.functions`). Only what these two need
is here, because the client imports this file as well.
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

__all__ = ["rebuild", "restore"]


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
