"""Which source a module runs, and whether the module of that name here runs the same.

A module that is not installed may be edited, so its name does not say which code it is. Its *stamp* does: a hash of the
source from which the module in memory was made. The sender puts the stamps of a module, and of all modules like it
which that one uses, into a pickle; the receiver takes its own module only if all stamps are the same. Nothing here
pickles: `travel` does.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from hashlib import blake2b
from types import CodeType, FunctionType, ModuleType

from ..compat import zip_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    # Names of modules, with what each of them runs.
    Stamps = tuple[tuple[str, bytes], ...]
    Pins = tuple[tuple[str, object, object], ...]

__all__ = [
    "LOCAL",
    "LOCATE",
    "ModuleDiffers",
    "file_stamp",
    "find",
    "forget",
    "is_same",
    "pinned",
    "pins",
    "require_same",
    "stamp",
    "still",
]

LOCAL: list[Callable[[str], bool]] = []
"""Whether the module of a name is one that the other side may not have; a client fills this."""

_LRU: Any = type(lru_cache(len))

LOCATE: list[Callable[[str], str | None]] = []
"""Where the file of such a module is that is not imported yet; a client fills this, too."""

# By name: (module, its spec, the code of its functions, stamp). A reload gives a module a new spec.
_known: dict[str, tuple[ModuleType, object, list[CodeType], bytes | None]] = {}
# Which module was not imported when it was refused; that holds until it is, so that one call decides in one way.
_refused: dict[Stamps, str] = {}
_MOST_REFUSED = 1000
# The modules that were asked for since `pinned` was called last.
pins: dict[str, None] = {}


class ModuleDiffers(ImportError):
    """A module of this name is here, but not with the code that it has where the call comes from."""

    def __init__(self, message: str, hint: str = "", name: str | None = None) -> None:
        super().__init__(message, name=name)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.msg, self.hint, self.name)


def stamp(name: str) -> bytes | None:
    """A hash of the source that an imported module runs; None when nobody can say which that is.

    The file alone does not tell: it may have been edited since. So what the module holds is compared with what the file
    would give, when the module is seen for the first time and when its code has changed.
    """
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if not isinstance(module, ModuleType) or spec is None:
        return None
    codes = [function.__code__ for function in _functions(module)]
    known = _known.get(name)
    if known is not None and known[0] is module and known[1] is spec and _are(known[2], codes):
        found = known[3]
    else:
        source = _read(getattr(spec, "origin", None))
        found = _hash(source) if source is not None and _runs(module, source) else None
        _known[name] = (module, spec, codes, found)
    # A name that was taken from another module before that was reloaded: two versions in one module.
    return None if found is not None and _is_mixed(module) else found


def file_stamp(path: str) -> bytes | None:
    """The stamp that a module will have which is imported from a file now."""
    source = _read(path)
    return None if source is None else _hash(source)


def is_same(stamps: Stamps) -> bool:
    """Whether the modules here run the same code; imports the ones that do."""
    pins.update((name, None) for name, _ in stamps)
    known = _refused.get(stamps)
    if known is not None and known not in sys.modules:
        return False
    difference = _difference(stamps)
    name = difference.partition(" ")[0]
    if difference and name not in sys.modules:
        if len(_refused) >= _MOST_REFUSED:
            _refused.clear()
        _refused[stamps] = name
    return not difference


def require_same(stamps: Stamps, reason: str) -> None:
    """Go on only where the modules run the same code.

    Raises
    ------
    ModuleNotFoundError
        When one is not here.
    ModuleDiffers
        When one is another here; `reason` says why it was not sent.
    """
    pins.update((name, None) for name, _ in stamps)
    difference = _difference(stamps)
    if not difference:
        return
    name, _, how = difference.partition(" ")
    if how:
        raise ModuleDiffers(
            f"module {name!r} {how}" + (f"; it was not sent, because {reason}" if reason else ""),
            f"rc.reload({name!r}) has the engines import it again",
            name,
        )
    missing = ModuleNotFoundError(f"No module named {name!r}", name=name)
    if reason:
        missing.hint = (  # type: ignore[attr-defined]
            f"the engine cannot import {name!r}, and it was not sent, because {reason}: rc.upload() puts it there, or "
            "make there what cannot travel"
        )
    raise missing


def pinned() -> Pins:
    """The modules that were looked at since this was asked last, as they are now."""
    found = tuple((name, *_here(name)) for name in pins)
    pins.clear()
    return found


def still(found: Pins) -> bool:
    """Whether modules are what they were when `pinned` gave them."""
    for name, module, spec in found:
        here = sys.modules.get(name)
        if here is not module or getattr(here, "__spec__", None) is not spec:
            return False
    return True


def forget(name: str) -> list[str]:
    """Have a module, and all below it, imported again when it is needed next; the names of those that were imported."""
    prefix = name + "."
    gone = [each for each in list(sys.modules) if each == name or each.startswith(prefix)]
    for each in gone:
        module = sys.modules.pop(each)
        _known.pop(each, None)
        parent, _, last = each.rpartition(".")
        holder = sys.modules.get(parent)
        if holder is not None and getattr(holder, last, None) is module:
            delattr(holder, last)
    _refused.clear()
    from importlib import invalidate_caches

    invalidate_caches()
    return sorted(gone)


def find(module_name: str, path: str) -> object:
    """What a qualified name stands for in an imported module; None when nothing."""
    found: object = sys.modules.get(module_name)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _difference(stamps: Stamps) -> str:
    """Empty when there is none; otherwise the name of a module, and how it differs if it is there."""
    for name, wanted in stamps:
        if name in sys.modules:
            if stamp(name) != wanted:
                return f"{name} of this process has another code than where the call comes from"
            continue
        refused = _unlike(name, wanted)
        if refused is not None:
            return refused
    return ""


def _unlike(name: str, wanted: bytes) -> str | None:
    """None when the module can be imported with that code, and then it is imported."""
    # Start-up, here and below: a client that sends no module needs none of it.
    from importlib import import_module
    from importlib.util import find_spec

    try:
        spec = find_spec(name)
        source = _read(None if spec is None else spec.origin)
        if source is None:
            return name
        if _hash(source) != wanted:
            return f"{name} in {spec.origin} has another code than where the call comes from"  # type: ignore[union-attr]
        _drop_older_bytecode(spec)
        module = import_module(name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name in (name, name.partition(".")[0])
        return name if missing else f"{name} cannot be imported ({type(error).__name__}: {error})"
    # It was made of this source just now, whatever it has done meanwhile.
    codes = [function.__code__ for function in _functions(module)]
    _known[name] = (module, module.__spec__, codes, wanted)
    return None


def _drop_older_bytecode(spec: Any) -> None:
    """Remove the file of a module's bytecode if it is not younger than the source.

    Python takes it by the second and the size of the source alone, so that it may be that of the source before an edit.
    """
    try:
        if os.stat(spec.cached).st_mtime_ns <= os.stat(spec.origin).st_mtime_ns:
            os.unlink(spec.cached)
    except (OSError, TypeError):
        # There is none, or it may not be removed.
        pass


def _here(name: str) -> tuple[object, object]:
    module = sys.modules.get(name)
    return module, getattr(module, "__spec__", None)


def _read(origin: str | None) -> bytes | None:
    if not isinstance(origin, str) or not origin.endswith(".py"):
        return None
    try:
        with open(origin, "rb") as file:
            return file.read()
    except OSError:
        return None


def _hash(source: bytes) -> bytes:
    return blake2b(source, digest_size=12).digest()


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The functions that a module defines, those of its classes included, each under its other decorators."""
    for value in list(vars(module).values()):
        yield from _functions_of(value, module, 0)


def _functions_of(value: Any, module: ModuleType, depth: int) -> Iterator[FunctionType]:
    kind = type(value)
    if kind is FunctionType:
        if value.__globals__ is vars(module):
            yield value
        inner = value.__dict__.get("__wrapped__")
        if inner is not None and depth < 10:
            yield from _functions_of(inner, module, depth + 1)
    elif isinstance(value, type):
        if getattr(value, "__module__", None) == module.__name__ and depth < 10:
            for member in list(vars(value).values()):
                yield from _functions_of(member, module, depth + 1)
    elif kind is property:
        for part in (value.fget, value.fset, value.fdel):
            yield from _functions_of(part, module, depth + 1)
    elif kind in (staticmethod, classmethod):
        yield from _functions_of(value.__func__, module, depth + 1)
    elif kind is _LRU:
        yield from _functions_of(value.__wrapped__, module, depth + 1)


def _are(before: list[CodeType], now: list[CodeType]) -> bool:
    return len(before) == len(now) and all(old is new for old, new in zip_equal(before, now))


def _runs(module: ModuleType, source: bytes) -> bool:
    """Whether the module in memory is what this source makes."""
    import ast
    from importlib.util import decode_source

    file = getattr(module, "__file__", None) or "<source>"
    try:
        text = decode_source(source)
        tree = ast.parse(text, file)
        whole = compile(text, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    codes = set(_codes(whole))
    for function in _functions(module):
        # What a decorator or a dataclass generates is not in the file.
        if function.__code__.co_filename == whole.co_filename and function.__code__ not in codes:
            return False
    variable = {name for code in codes for name in _written(code)}
    return _has_definitions(module, tree, variable) and _has_constants(module, tree, variable)


def _has_definitions(module: ModuleType, tree: Any, variable: set[str]) -> bool:
    """Whether functions and classes that the source defines once are in the module, and not replaced."""
    import ast

    bound: dict[str, int] = {}
    for node in ast.walk(tree):
        names = [node.id] if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) else []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.alias):
            names = [(node.asname or node.name).partition(".")[0]]
        for name in names:
            bound[name] = bound.get(name, 0) + 1
    space = vars(module)
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.decorator_list:
            continue
        if bound[node.name] > 1 or node.name in variable:
            continue
        value = space.get(node.name)
        if isinstance(node, ast.ClassDef):
            # A metaclass may make anything of it; a class of another module is not it.
            if value is None or (isinstance(value, type) and value.__module__ != module.__name__):
                return False
        elif type(value) is not FunctionType or value.__globals__ is not space:
            return False
    return True


def _codes(code: CodeType) -> Iterable[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _written(code: CodeType) -> Iterable[str]:
    from dis import get_instructions

    if code.co_name != "<module>" and "global" not in code.co_names:
        for instruction in get_instructions(code):
            if instruction.opname == "STORE_GLOBAL":
                yield instruction.argval


def _has_constants(module: ModuleType, tree: Any, variable: set[str]) -> bool:
    """Whether names that the source binds to a constant, and no function rebinds, have that value."""
    import ast

    constants: dict[str, object] = {}
    for statement in tree.body:
        for node in ast.walk(statement):
            # A name that is bound in several ways is none of these.
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                variable = variable | {node.id} if node.id in constants else variable
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            try:
                value = ast.literal_eval(statement.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
            constants.update((target.id, value) for target in targets if isinstance(target, ast.Name))
    space = vars(module)
    for name, value in constants.items():
        if (
            name not in variable
            # An empty list or dictionary is there to be filled.
            and (type(value) in _PLAIN or value)
            and (type(space.get(name)) is not type(value) or repr(space.get(name)) != repr(value))
        ):
            return False
    return True


_PLAIN = frozenset({int, float, complex, bool, str, bytes, tuple, type(None)})


def _is_mixed(module: ModuleType) -> bool:
    for value in list(vars(module).values()):
        if type(value) is not FunctionType and not isinstance(value, type):
            continue
        origin = getattr(value, "__module__", None)
        if not isinstance(origin, str) or origin not in _known or origin == module.__name__:
            continue
        name = value.__qualname__
        if "<" not in name and type(found := find(origin, name)) is type(value) and found is not value:
            return True
    return False
