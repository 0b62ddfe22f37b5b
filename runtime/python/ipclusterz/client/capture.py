"""What a function carries with it, and whether that can still be the same at the next call.

`functions` keeps the packed form of a function only as long as nothing that was packed can have changed. This file
answers two questions for it: which modules an engine cannot be expected to have (`local_modules`), and what a function
captures (`Capture`). It packs nothing.
"""

from __future__ import annotations

import os
import sys
from opcode import opmap
from types import CodeType, FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["MISSING", "ROOT", "Capture", "local_modules", "reference_of"]

MISSING = object()
"""Stands for a global name that does not exist."""
ROOT = object()
"""Stands for the packed function itself, so that a recursive function is not kept alive by its own record."""

_IMMUTABLE = frozenset({int, float, complex, bool, str, bytes, range, type(None), type(...), type(NotImplemented)})
_GLOBAL_WRITES = frozenset(opmap[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL"))
_CELL_WRITES = frozenset(opmap[name] for name in ("STORE_DEREF", "DELETE_DEREF"))

_local: tuple[tuple[int, int], dict[str, ModuleType]] = ((0, 0), {})


def local_modules() -> dict[str, ModuleType]:
    """Top-level modules that an engine may not be able to import, by name.

    These are the ones found beside the running script, in the current folder, or in a folder that was put in front of
    ``sys.path`` while the program ran. The standard library, site-packages and ``PYTHONPATH`` are taken to be the same
    for the engines.
    """
    global _local
    key = (len(sys.modules), len(sys.path))
    if _local[0] == key:
        return _local[1]
    shared = _shared_folders()
    # Compared by file too: frozen modules are not in the folder that their names suggest.
    library = os.path.join(os.path.dirname(os.path.abspath(os.__file__)), "")
    found: dict[str, ModuleType] = {}
    for name, module in list(sys.modules.items()):
        if "." in name or name in ("__main__", "__mp_main__", "ipclusterz"):
            continue
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not isinstance(module, ModuleType) or file.startswith(library):
            continue
        folder = os.path.dirname(os.path.abspath(file))
        root = os.path.dirname(folder) if hasattr(module, "__path__") else folder
        if root not in shared:
            found[name] = module
    _local = (key, found)
    return found


def _shared_folders() -> set[str]:
    library = os.path.dirname(os.path.abspath(os.__file__))
    entries = [os.path.abspath(entry) for entry in sys.path]
    first = entries.index(library) if library in entries else 0
    shared = set(entries[first:])
    shared.add(library)
    shared.update(os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry)
    return shared


def reference_of(value: object) -> tuple[dict[str, Any], str] | None:
    """Where an installed module holds a function or class: (the module's dict, first part of the qualified name).

    None when it can only travel by value.
    """
    try:
        module_name = getattr(value, "__module__", None)
        path = getattr(value, "__qualname__", None)
    except Exception:
        # A proxy without an object may raise anything.
        return None
    if not isinstance(module_name, str) or not isinstance(path, str) or module_name == "__main__":
        return None
    module = sys.modules.get(module_name)
    if module is None or module_name.partition(".")[0] in local_modules():
        return None
    found: object = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return (module.__dict__, path.partition(".")[0]) if found is value else None


class Capture:
    """All that one function carries: its code, defaults, closure and the globals it names, and theirs in turn.

    Attributes
    ----------
    stable : bool
        Everything carried is immutable, a module, importable, or a function of which the same holds. Then `names`,
        `cells` and `functions` are all that can change, and can be compared by identity.
    bare : bool
        There is nothing of that kind.
    fresh : bool
        A call can change what it carries, so that no call may see what another one left.
    """

    __slots__ = ("bare", "bound", "cells", "fresh", "functions", "modules", "names", "root", "seen", "sizes", "stable")

    def __init__(self, root: object, *, bound: bool) -> None:
        self.root: object = root
        self.bound = bound
        self.stable = True
        self.fresh = False
        self.modules = 0
        self.names: list[tuple[dict[str, Any], str, object]] = []
        self.cells: list[tuple[Any, object]] = []
        self.functions: list[tuple[FunctionType, CodeType, Any]] = []
        self.sizes: list[tuple[dict[str, Any], int]] = []
        self.seen: set[int] = set()
        self.visit(root)
        # A call can change a mutable value that the function carries.
        self.fresh = self.fresh or not self.stable
        # This is kept beside a weak reference to the root, and must not keep the root alive.
        self.root = None
        self.seen.clear()
        self.bare = not (self.names or self.cells or self.functions or self.modules)

    def visit(self, value: Any) -> None:
        kind = type(value)
        if kind in _IMMUTABLE or id(value) in self.seen:
            return
        self.seen.add(id(value))
        if isinstance(value, FunctionType):
            self._function(value)
        elif kind is tuple or kind is frozenset:
            for item in value:
                self.visit(item)
        elif isinstance(value, ModuleType):
            # Pickling by value includes submodules that were imported since: their number tells.
            if hasattr(value, "__path__"):
                self.modules = len(sys.modules)
        else:
            self._importable(value)

    def unchanged(self, root: object) -> bool:
        """Everything carried is what it was when this was made; only asked of a stable one."""
        if self.modules and self.modules != len(sys.modules):
            return False
        for attributes, size in self.sizes:
            if len(attributes) != size:
                return False
        for holder, name, value in self.names:
            found = holder.get(name, MISSING)
            if found is not value and not (value is ROOT and found is root):
                return False
        for cell, value in self.cells:
            try:
                found = cell.cell_contents
            except ValueError:
                return False
            if found is not value and not (value is ROOT and found is root):
                return False
        return all(
            function.__code__ is code and function.__defaults__ is defaults
            for function, code, defaults in self.functions
        )

    def _importable(self, value: object) -> None:
        place = reference_of(value)
        if place is None:
            self.stable = False
            return
        holder, name = place
        self.names.append((holder, name, self._mark(holder.get(name, MISSING))))

    def _mark(self, value: object) -> object:
        return ROOT if value is self.root else value

    def _function(self, function: FunctionType) -> None:
        if reference_of(function) is not None:
            self._importable(function)
            return
        if function is not self.root:
            self.functions.append((function, function.__code__, function.__defaults__))
        for attributes in (function.__dict__, function.__kwdefaults__ or {}):
            self.sizes.append((attributes, len(attributes)))
            self._names(attributes, attributes)
        self.visit(function.__defaults__)
        names = self._scan(function.__code__)
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:
                self.stable = False
                continue
            self.cells.append((cell, self._mark(value)))
            self.visit(value)
        if self.bound:
            return
        self._names(function.__globals__, names)

    def _names(self, space: dict[str, Any], names: Iterable[str]) -> None:
        for name in names:
            value = space.get(name, MISSING)
            self.names.append((space, name, self._mark(value)))
            if value is not MISSING:
                self.visit(value)

    def _scan(self, code: CodeType) -> set[str]:
        # Every name that the code mentions, attributes included: more than it reads, never less.
        operations = set(code.co_code[::2])
        if (operations & _GLOBAL_WRITES and not self.bound) or (code.co_freevars and operations & _CELL_WRITES):
            self.fresh = True
        names = set(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                names |= self._scan(constant)
        return names
