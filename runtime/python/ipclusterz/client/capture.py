"""What a function carries with it, and whether that can still be the same at the next call.

`functions` keeps the packed form of a function only as long as nothing that was packed can have changed. This file
answers two questions for it: which modules an engine cannot be expected to have (`local_modules`), and what a function
captures (`Capture`). It packs nothing.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from opcode import opmap
from types import CodeType, FunctionType, ModuleType

from ..compat import stdlib_module_names
from ..shared.serialize import NAMES_LOCAL
from ..shared.sources import LOCAL, LOCATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["MISSING", "ROOT", "Capture", "is_installed", "is_local", "local_modules", "reference_of"]

MISSING = object()
"""Stands for a global name that does not exist."""
ROOT = object()
"""Stands for the packed function itself, so that a recursive function is not kept alive by its own record."""

_IMMUTABLE = frozenset({int, float, complex, bool, str, bytes, range, type(None), type(...), type(NotImplemented)})
_GLOBAL_WRITES = frozenset(opmap[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL"))
_CELL_WRITES = frozenset(opmap[name] for name in ("STORE_DEREF", "DELETE_DEREF"))

_LRU: Any = type(lru_cache(len))
_NEVER = ("__main__", "__mp_main__", "ipclusterz", "cloudpickle")
_IMPORT_NAME = opmap["IMPORT_NAME"]
_PYTHON = (".py", ".pyc", ".pyw")

# By name of a top-level module: the module, and whether it is local.
_verdicts: dict[str, tuple[object, bool]] = {}
_installed: list[str] = []
_places: tuple[object, set[str]] = (None, set())
_found: tuple[object, dict[str, ModuleType], tuple[bytes, ...]] = (None, {}, ())


def is_local(name: str) -> bool:
    """Whether the module of a name is one that an engine may not have, or have with another content.

    These are all but what is installed: the standard library, folders called ``site-packages`` or ``dist-packages``,
    and ``PYTHONPATH``, which whoever sets it is taken to set for the engines, too. Where a folder stands on
    ``sys.path`` says nothing. Modules that are installed in editable mode are local: the engine takes its own if that
    has the same content. What is not written in Python cannot travel, and is none.
    """
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    verdict = _verdicts.get(top)
    if verdict is None or verdict[0] is not module:
        verdict = _verdicts[top] = (module, _is_outside(top, module))
    if not verdict[1] or top == name:
        return verdict[1]
    return _is_python(sys.modules.get(name))


def local_modules() -> dict[str, ModuleType]:
    """Top-level modules that are local, by name."""
    return _local()[1]


def _newest() -> tuple[int, str]:
    """Changes when a module is imported, or replaced by another one, which is behind it."""
    try:
        return len(sys.modules), next(reversed(sys.modules))
    except RuntimeError:
        # Another thread is importing.
        return 0, ""


def names_local(data: bytes) -> bool:
    """Whether a pickle names a local module; asked for each call with arguments that are no plain numbers or texts."""
    marks = _found[2] if _found[0] == _newest() else _local()[2]
    return bool(marks) and any(mark in data for mark in marks)


def _local() -> tuple[object, dict[str, ModuleType], tuple[bytes, ...]]:
    global _found
    key = _newest()
    if _found[0] == key and key[0]:
        return _found
    names = [name for name in list(sys.modules) if is_local(name)]
    tops = {name: sys.modules[name] for name in names if "." not in name}
    # As protocol 5 of pickle writes the names.
    marks = tuple(b"\x8c" + bytes((len(text),)) + text for name in names if len(text := name.encode()) < 256)
    _found = (key, tops, marks)
    return _found


def locate(name: str) -> str | None:
    """The file of a module that `is_local` would be true of if it were imported; None when there is none."""
    # Start-up: few functions import what this session has not imported.
    from importlib.machinery import PathFinder

    top = name.partition(".")[0]
    if top in stdlib_module_names() or top in _NEVER or (top in sys.modules and not is_local(top)):
        return None
    if top in _elsewhere():
        return None
    search: Any = None
    spec: Any = None
    path = ""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:length]), search)
        if spec is None or not isinstance(spec.origin, str):
            return None
        path = os.path.abspath(spec.origin)
        search = spec.submodule_search_locations
        folder = os.path.dirname(path if search is None else os.path.dirname(path))
        if length == 1 and (is_installed(spec.origin) or folder in _shared_folders()):
            _elsewhere().add(top)
            return None
        if not path.endswith(".py"):
            return None
    return path


def _elsewhere() -> set[str]:
    """Top-level modules that are installed though not imported: where `sys.path` is what it was, so are they."""
    global _places
    places = (tuple(sys.path), os.environ.get("PYTHONPATH"))
    if _places[0] != places:
        _places = (places, set())
    return _places[1]


LOCAL.append(is_local)
LOCATE.append(locate)
NAMES_LOCAL.append(names_local)


def _is_outside(name: str, module: object) -> bool:
    if name in _NEVER or not _is_python(module):
        return False
    file = getattr(module, "__file__", None)
    places = [file] if isinstance(file, str) else [os.path.join(each, "") for each in getattr(module, "__path__", ())]
    if not places:
        return False
    for place in places:
        path = os.path.abspath(place)
        folder = os.path.dirname(path) if place.endswith(_PYTHON) else path
        root = os.path.dirname(folder) if hasattr(module, "__path__") else folder
        if is_installed(path) or root in _shared_folders():
            return False
    return True


def _is_python(module: object) -> bool:
    """Whether it is a module with a source, or a package without an ``__init__``."""
    if not isinstance(module, ModuleType):
        return False
    file = getattr(module, "__file__", None)
    return file.endswith(_PYTHON) if isinstance(file, str) else hasattr(module, "__path__")


def is_installed(path: str) -> bool:
    """Whether a file is in a folder into which Python or pip installs."""
    if not _installed:
        # Start-up: only what sends modules asks.
        import site
        import sysconfig

        folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
        folders += [*site.getsitepackages(), site.getusersitepackages(), os.path.dirname(os.path.abspath(os.__file__))]
        known = {folder for each in folders if each for folder in (os.path.abspath(each), os.path.realpath(each))}
        _installed.extend(os.path.join(folder, "") for folder in known)
    parts = path.split(os.sep)
    return "site-packages" in parts or "dist-packages" in parts or path.startswith(tuple(_installed))


def _shared_folders() -> set[str]:
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {os.path.abspath(entry) for entry in entries if entry}


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
    if module is None or is_local(module_name):
        return None
    found: object = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return (module.__dict__, path.partition(".")[0]) if found is value else None


def _imports(code: CodeType) -> bool:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return _IMPORT_NAME in code.co_code[::2] or any(map(_imports, inner))


def _state_of(path: str) -> tuple[str, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return path, -1, -1
    return path, found.st_size, found.st_mtime_ns


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

    __slots__ = (
        "bare",
        "bound",
        "cells",
        "files",
        "fresh",
        "functions",
        "modules",
        "names",
        "root",
        "seen",
        "sizes",
        "stable",
    )

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
        self.files: list[tuple[str, int, int]] = []
        self.seen: set[int] = set()
        self.visit(root)
        # A call can change a mutable value that the function carries.
        self.fresh = self.fresh or not self.stable
        # This is kept beside a weak reference to the root, and must not keep the root alive.
        self.root = None
        self.seen.clear()
        self.bare = not (self.names or self.cells or self.functions or self.modules or self.files)

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
        elif kind is _LRU:
            # Its cache is its own; what it calls is all that can change.
            self.visit(value.__wrapped__)
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
        for path, size, changed in self.files:
            if _state_of(path) != (path, size, changed):
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
        # What it imports when it runs, from here or from files.
        if _imports(function.__code__):
            from ..shared.reach import late_imports

            self.files += [_state_of(path) for path in late_imports(function.__code__, function.__globals__).values()]
        imported = [name for name in names if name in sys.modules and is_local(name)]
        self._names(sys.modules, imported)
        reached = [function.__globals__[name] for name in names if name in function.__globals__]
        reached += [sys.modules[name] for name in imported]
        self._attributes([value for value in reached if isinstance(value, ModuleType)], names)

    def _names(self, space: dict[str, Any], names: Iterable[str]) -> None:
        for name in names:
            value = space.get(name, MISSING)
            self.names.append((space, name, self._mark(value)))
            if value is not MISSING:
                self.visit(value)

    def _attributes(self, modules: list[ModuleType], names: set[str]) -> None:
        """What a function takes from local modules: attributes that its code mentions."""
        done: set[int] = set()
        while modules:
            module = modules.pop()
            if id(module) in done or not is_local(module.__name__):
                continue
            done.add(id(module))
            space = vars(module)
            mentioned = [name for name in names if name in space]
            if not mentioned:
                # Any of them, for all that can be said.
                self.stable = False
            # A reload gives it a new one.
            self.names.append((space, "__spec__", space.get("__spec__", MISSING)))
            self._names(space, mentioned)
            modules += [value for name in mentioned if isinstance(value := space[name], ModuleType)]

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
