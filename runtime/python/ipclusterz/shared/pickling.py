"""What pickles for this process what plain pickle cannot: cloudpickle's ways, unless something else was chosen.

A client chooses for itself, and for engines (`client.pickling`). Whatever was chosen, plain pickle loads it.
"""

from __future__ import annotations

from _pickle import Pickler
from importlib import import_module
from types import CodeType, FunctionType

from .bound import BOUND, reduced
from .serialize import INSTEAD, KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["has_dill", "use"]


def has_dill() -> bool:
    """Whether dill can be imported here."""
    try:
        import_module("dill")
    except ImportError:
        return False
    return True


def use(name: str) -> None:
    """Have this process pickle by ``"cloudpickle"``, as at first, ``"dill"`` or ``"pickle"``.

    Raises
    ------
    ImportError
        When it is not installed.
    """
    made = {"cloudpickle": dict, "dill": _dill, "pickle": _pickle}[name]()
    INSTEAD.clear()
    INSTEAD.update(made)
    for packed in KEPT:
        packed.clear()


def _dill() -> dict[str, Any]:
    try:
        dill: Any = import_module("dill")
    except ImportError:
        raise ImportError("use_dill() needs the package dill: pip install dill") from None

    class Dill(dill.Pickler):  # type: ignore[misc]
        def __init__(self, file: Any, protocol: int, buffer_callback: Any = None) -> None:
            # Of the globals of a function, those that it uses.
            super().__init__(file, protocol, buffer_callback=buffer_callback, recurse=True)

        def reducer_override(self, obj: Any) -> Any:
            return reduced(obj) if type(obj) is FunctionType and BOUND in obj.__dict__ else NotImplemented

    return {"value": Dill, "function": Dill}


def _pickle() -> dict[str, Any]:
    from . import rebuild
    from .bytecode import PYTHON
    from .codes import lines_of, parts_of

    class Plain(Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is FunctionType and BOUND in obj.__dict__:
                return reduced(obj)
            if type(obj) is CodeType:
                return rebuild.make_code, (parts_of(obj), lines_of(obj), obj.co_name, PYTHON)
            return NotImplemented

    # It cannot do functions: those that are called travel as code all the same.
    return {"value": Plain}
