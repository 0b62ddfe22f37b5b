"""Which modules belong to what is sent: those that are not installed, and those of these that they use in turn.

A client says which are installed; see `sources.LOCAL` and `sources.LOCATE`. Nothing here pickles: `travel` does.
"""

from __future__ import annotations

import functools
import sys
import types
from opcode import opmap
from types import FunctionType, ModuleType
from typing import NamedTuple

from .sources import LOCAL, LOCATE, file_stamp, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .sources import Stamps

__all__ = [
    "MOST_MODULES",
    "Memo",
    "absolute",
    "around",
    "imports_of",
    "is_local",
    "is_stamped",
    "large",
    "late_imports",
    "reached",
    "stamps_of",
    "where",
]

_IMPORT_NAME = opmap["IMPORT_NAME"]

# Modules that belong together and are sent with each function; a larger package has to be where the function runs.
MOST_MODULES = 100
# Such packages, which count as installed from then on.
large: set[str] = set()


def is_local(name: object) -> bool:
    """Whether a module travels."""
    return isinstance(name, str) and bool(LOCAL) and LOCAL[0](name) and name.partition(".")[0] not in large


class Memo(NamedTuple):
    """What was found of modules for one pickle, in which it does not change."""

    used: dict[str, list[str]]
    stamps: dict[str, bytes | None]


def stamps_of(modules: list[str], memo: Memo) -> Stamps | None:
    """The stamps of local modules and of those that they use; None when one has none, so that it has to travel."""
    found: list[tuple[str, bytes]] = []
    together = reached(modules, memo)
    if len(together) > MOST_MODULES:
        return None
    for name in together:
        if not is_stamped(name):
            continue
        if name not in memo.stamps:
            memo.stamps[name] = stamp(name) if name in sys.modules else file_stamp(where(name) or "")
        what = memo.stamps[name]
        if what is None:
            return None
        found.append((name, what))
    return tuple(found)


def is_stamped(name: str) -> bool:
    """Whether a module has a source at all: those in C and folders without ``__init__`` have none."""
    if name not in sys.modules:
        return True
    origin = getattr(getattr(sys.modules[name], "__spec__", None), "origin", None)
    return isinstance(origin, str) and origin.endswith(".py")


def reached(modules: list[str], memo: Memo) -> list[str]:
    """Local modules, those that they use, and the packages around them; a package is before what is in it."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting and len(found) <= MOST_MODULES:
        name = waiting.pop()
        if name in found or not (is_local(name) or (name not in sys.modules and where(name))):
            continue
        found.add(name)
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
        module = sys.modules.get(name)
        if isinstance(module, ModuleType):
            if name not in memo.used:
                memo.used[name] = list(dict.fromkeys(_used(module)))
            waiting += memo.used[name]
    return sorted(found)


def _used(module: ModuleType) -> Iterator[str]:
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType):
            yield value.__name__
            continue
        origin = getattr(value, "__module__", None) if callable(value) else type(value).__module__
        if isinstance(origin, str):
            yield origin
        if type(value) is FunctionType and origin == module.__name__:
            yield from imports_of(value.__code__, value.__globals__)
            yield from late_imports(value.__code__, value.__globals__)


def imports_of(code: types.CodeType, space: dict[str, Any]) -> Iterator[str]:
    """Local modules that code imports when it runs, of those that are imported here already."""
    for name in _named_imports(code, space.get("__package__") or ""):
        if name in sys.modules and is_local(name):
            yield name


def late_imports(code: types.CodeType, space: dict[str, Any]) -> dict[str, str]:
    """Local modules that code imports when it runs and that are not imported here yet, with their files."""
    if not LOCATE:
        return {}
    names = _named_imports(code, space.get("__package__") or "")
    return {name: path for name in names if (path := where(name))}


@functools.lru_cache(10_000)
def _named_imports(code: types.CodeType, package: str) -> tuple[str, ...]:
    """What code imports when it runs: modules, those around them, and names that may be modules."""
    found: list[str] = []
    # Most code imports nothing, and `dis` is slow.
    if _IMPORT_NAME in code.co_code[::2]:
        from dis import get_instructions

        level: Any = 0
        names: Any = ()
        before: list[Any] = [None, None]
        for instruction in get_instructions(code):
            if instruction.opname == "IMPORT_NAME":
                level, names = before
                base = absolute(instruction.argval, level or 0, package)
                found += [each for name in (base, *(f"{base}.{each}" for each in names or ())) for each in around(name)]
            before = [before[1], instruction.argval]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += _named_imports(constant, package)
    return tuple(dict.fromkeys(found))


def absolute(name: str, level: int, package: str) -> str:
    if not level:
        return name
    base = package.rsplit(".", level - 1)[0] if level > 1 else package
    return f"{base}.{name}" if name else base


def around(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def where(name: str) -> str | None:
    """The file of a local module that is not imported."""
    if not LOCATE or name in sys.modules or name.partition(".")[0] in large:
        return None
    return LOCATE[0](name)
