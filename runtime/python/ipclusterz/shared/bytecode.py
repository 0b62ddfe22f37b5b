"""Code that goes by value is bytecode, which one version of Python understands: another runs it wrongly, or crashes.

So code says which Python it is of. Where it arrives in another one, a `ForeignCode` takes its place, and the function
that is to be made of it is refused. A function that the other side has itself, in a module with the same source, is
used there.
"""

from __future__ import annotations

import sys

from ..compat import missing_attribute
from ..error import VersionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, NoReturn

__all__ = ["PYTHON", "ForeignCode", "is_own", "own"]

PYTHON = ".".join(map(str, sys.version_info[:3]))
"""This Python. Its first two numbers say which bytecode it understands."""

_HINT = (
    "use Python of the same 3.x on both sides; or put the function into a module that is installed on both or was sent "
    "by upload(), or send source with execute() or %px; data may go either way"
)


def is_own(python: str) -> bool:
    """Whether code of a Python can be run here."""
    return python == PYTHON or python.split(".")[:2] == PYTHON.split(".")[:2]


def own(code: CodeType | ForeignCode) -> CodeType:
    """The code, if it can be run here.

    Parameters
    ----------
    code : code or ForeignCode
        What came.

    Raises
    ------
    VersionError
        When it is of another Python; names both.
    """
    if isinstance(code, ForeignCode):
        code.refuse()
    return code


class ForeignCode:
    """Stands for code of another Python; whatever is asked of it is refused.

    Parameters
    ----------
    name : str
        Of the function.
    python : str
        Where it comes from, as 3.11.2.
    """

    __slots__ = ("_name", "_python")

    def __init__(self, name: str, python: str) -> None:
        self._name = name
        self._python = python

    def refuse(self) -> NoReturn:
        """Say why.

        Raises
        ------
        VersionError
            Always.
        """
        raise VersionError(
            f"the function {self._name!r} came by value, as bytecode of Python {self._python}, which this Python "
            f"{PYTHON} cannot run ({sys.executable})",
            hint=_HINT,
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("co_"):
            self.refuse()
        raise missing_attribute(f"{type(self).__name__!r} object has no attribute {name!r}", name, self)
