"""Pickling what the other side may not have: modules that are not installed, and wrappers of functions.

cloudpickle does most of it. What it cannot do is here: modules that refer to each other, functions that share the
module they come from, classes that exist on both sides, caches and other wrappers that are made in C. `rebuild` is the
half of it that runs where the pickle is loaded. Which modules are installed is said by whoever sends: a client fills
`sources.LOCAL`; for an engine everything that it can import is installed.
"""

from __future__ import annotations

import functools
import io
import sys
import types
import typing
from pickle import PickleBuffer
from types import FunctionType, ModuleType

import cloudpickle  # type: ignore[import-untyped]
from cloudpickle import cloudpickle as inside

from . import rebuild
from .bound import BOUND, reduced
from .bytecode import PYTHON
from .codes import lines_of, parts_of
from .reach import (
    MOST_MODULES,
    Memo,
    absolute,
    around,
    imports_of,
    is_local,
    is_stamped,
    large,
    late_imports,
    reached,
    stamps_of,
    where,
)
from .sources import LOCATE, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rebuild import Choice
    from .sources import Stamps

__all__ = ["Traveller", "dumps", "function_dumps", "named_dumps"]

_REBUILD = vars(rebuild)
_INSIDE = vars(inside)
_LRU = type(functools.lru_cache(len))
# The inner function of `functools.singledispatch`, by its code.
_DISPATCH = vars(functools)["singledispatch"](len).__code__
_OWN_ATTRIBUTES = ("__file__", "__package__", "__path__")
# What belongs to the import of a module here.
_OF_THE_IMPORT = frozenset({"__builtins__", "__cached__", "__loader__", "__name__", "__spec__", *_OWN_ATTRIBUTES})


class TooLarge(Exception):
    """So many modules belong together that they are not sent with each function."""


def dumps(value: object, protocol: int, buffer_callback: Any = None) -> bytes:
    """Pickle by value what is not installed."""
    stream = io.BytesIO()
    Traveller(stream, protocol, buffer_callback).dump(value)
    return stream.getvalue()


def function_dumps(function: object, protocol: int) -> tuple[bytes, bytes]:
    """Pickle a function twice: by the names of its local modules, and by value.

    Returns
    -------
    tuple of bytes
        The first raises an `ImportError` where a module is missing or runs another code. The second is empty when there
        are no local modules, so that the first is good everywhere, or when they cannot travel.
    """
    stream = io.BytesIO()
    pickler = Traveller(stream, protocol)
    reason = ""
    try:
        pickler.dump(function)
    except TooLarge:
        # Without the package that is.
        return function_dumps(function, protocol)
    except Exception as error:
        if not pickler.used:
            raise
        reason = str(error).strip() or type(error).__name__
        stream = io.BytesIO()
    if not pickler.used:
        return stream.getvalue(), b""
    memo = pickler._memo
    modules = reached(sorted(pickler.used), memo)
    stamps = stamps_of(modules, memo) or tuple((name, b"") for name in modules if is_stamped(name))
    first = io.BytesIO()
    _ByName(first, protocol).dump(_Checked(_Check(stamps, reason), function))
    return first.getvalue(), stream.getvalue()


def named_dumps(value: object, protocol: int, reason: str, buffer_callback: Any = None) -> bytes:
    """Pickle what is not installed by its name, to be found only where the modules run the same code.

    Parameters
    ----------
    reason : str
        Why it cannot travel.
    """
    stream = io.BytesIO()
    _Naming(stream, protocol, buffer_callback, reason).dump(value)
    return stream.getvalue()


class Traveller(cloudpickle.Pickler):  # type: ignore[misc]
    """A cloudpickle pickler that sends local modules, and knows the wrappers of `functools`."""

    def __init__(self, file: Any, protocol: int, buffer_callback: Any = None) -> None:
        super().__init__(file, protocol=protocol, buffer_callback=buffer_callback)
        self._shells: dict[int, _Shell] = {}
        self._choices: dict[str, Choice | None] = {}
        self._imported: dict[int, dict[str, ModuleType]] = {}
        self._late: dict[str, _Late] = {}
        self._with_content = True
        self._inner_codes: set[int] = set()
        self._tried = _Tried()
        self._memo = Memo({}, {})
        self.used: set[str] = set()

    _takes_late = True

    def _local(self, name: object) -> bool:
        if not is_local(name):
            return False
        self._use(name)  # type: ignore[arg-type]
        return True

    def _use(self, name: str) -> None:
        self.used.add(name)
        if len(self.used) > MOST_MODULES:
            tops = [each.partition(".")[0] for each in self.used]
            large.add(max(tops, key=tops.count))
            raise TooLarge(f"it belongs to a package of more than {MOST_MODULES} modules")

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is FunctionType:
            if BOUND in obj.__dict__:
                return reduced(obj)
            # What pickles themselves call: looked up for each of them, it would take most of the time.
            if (obj.__globals__ is _REBUILD or obj.__globals__ is _INSIDE) and "<" not in obj.__qualname__:
                return NotImplemented
            if obj.__code__ is _DISPATCH and self._travels(obj):
                return self._dispatch(obj)
            if not self._travels(obj):
                return NotImplemented
            return self._dynamic_function_reduce(obj)
        if kind is types.CodeType:
            return self._code(obj)
        if kind is memoryview:
            return rebuild.make_view, _of_view(obj)
        if kind is _Shell:
            return rebuild.make_module, (self._choice(obj.name, ""), obj.name, obj.attributes)
        if kind is _Globals:
            return rebuild.globals_of, (obj.shell,)
        if kind is _Late:
            table = {name: self._importable(name) for name in obj.imports}
            return rebuild.make_late, (obj.name, obj.attributes), (obj.source, table), None, None, rebuild.set_late
        if isinstance(obj, ModuleType):
            return self._module(obj)
        if isinstance(obj, type):
            return self._class(obj)
        if kind is functools.partial:
            return rebuild.make_partial, (), obj.__reduce__()[2], None, None, rebuild.set_partial
        if kind in _TYPE_NAMES and self._travels(obj):
            if kind is typing.TypeVar:
                return inside._make_typevar, inside._decompose_typevar(obj)
            return kind, (obj.__name__,)
        if kind is typing.NewType and self._travels(obj):
            return typing.NewType, (obj.__name__, obj.__supertype__)
        if kind is functools.cached_property:
            state = {name: value for name, value in vars(obj).items() if name != "lock"}
            return rebuild.make_property, (), state, None, None, rebuild.set_property
        if kind is _LRU:
            if not self._travels(obj):
                return NotImplemented
            parameters = obj.cache_parameters()
            arguments = (parameters["maxsize"], parameters["typed"])
            own = {name: value for name, value in vars(obj).items() if name not in ("__wrapped__", "cache_parameters")}
            return rebuild.make_cache, arguments, (obj.__wrapped__, own), None, None, rebuild.set_cache
        if callable(obj):
            return self._wrapper(obj)
        return NotImplemented

    # -- what travels -------------------------------------------------------------------------------------------

    def _travels(self, obj: Any) -> bool:
        """Whether a function, a class or a wrapper goes by value."""
        module = getattr(obj, "__module__", None)
        if self._local(module):
            return True
        if isinstance(obj, (FunctionType, type)):
            return not inside._should_pickle_by_reference(obj)
        if not isinstance(module, str) or module == "__main__":
            return True
        return find(module, getattr(obj, "__qualname__", "")) is not obj

    def _choice(self, module: str, path: str) -> Choice | None:
        """How the other side may find the same; None when it has to be made."""
        if not self._local(module) or "<" in path:
            return None
        if module not in self._choices:
            stamps = stamps_of([module], self._memo)
            self._choices[module] = None if stamps is None else (stamps, module, "")
        choice = self._choices[module]
        return choice if choice is None or not path else (choice[0], module, path)

    def _choice_of(self, obj: Any) -> Choice | None:
        choice = self._choice(obj.__module__, obj.__qualname__)
        return choice if choice is not None and find(choice[1], choice[2]) is obj else None

    # -- functions and classes ----------------------------------------------------------------------------------

    def _dynamic_function_reduce(self, func: Any) -> Any:
        code, space, _, _, closure = self._function_getnewargs(func)
        module = sys.modules.get(func.__module__ or "")
        if module is not None and self._local(func.__module__) and vars(module) is func.__globals__:
            space = self._shell(module).space
        state = inside._function_getstate(func)
        imported = self._imports(func, code)
        arguments = (self._choice_of(func), code, space, closure, imported is not None)
        return rebuild.make_function, arguments, (state, imported), None, None, rebuild.set_function

    def _code(self, code: types.CodeType) -> Any:
        """Code with its names and lines, which cloudpickle leaves out; those of the code inside are among them."""
        lines = None if id(code) in self._inner_codes else lines_of(code)
        self._inner_codes.update(id(each) for each in code.co_consts if isinstance(each, types.CodeType))
        return rebuild.make_code, (parts_of(code), lines, code.co_name, PYTHON)

    def _imports(self, func: Any, code: types.CodeType) -> dict[str, ModuleType] | None:
        """The local modules that a function imports itself; one dictionary for all functions of a module."""
        names = [name for name in imports_of(code, func.__globals__) if self._local(name)]
        late = late_imports(code, func.__globals__) if self._takes_late else {}
        if not names and not late:
            return self._imported.get(id(func.__globals__))
        table = self._imported.setdefault(id(func.__globals__), {})
        for name in (*names, *late):
            table[name] = self._importable(name)
        return table

    def _importable(self, name: str) -> Any:
        """A module for the table of a function: as it is, or to be run there."""
        if name in sys.modules:
            return sys.modules[name]
        if name not in self._late:
            self._use(name)
            self._late[name] = _Late(name, LOCATE[0](name) or "")
        return self._late[name]

    def _class(self, obj: type) -> Any:
        if obj in _SINGLETONS or obj in inside._BUILTIN_TYPE_NAMES or not self._travels(obj):
            return super().reducer_override(obj)
        maker, arguments, state, _, _, setter = inside._dynamic_class_reduce(obj)
        rebuild.keep(obj)
        arguments = (self._choice_of(obj), maker, arguments)
        return rebuild.make_class, arguments, (setter, state), None, None, rebuild.set_class

    # -- modules ------------------------------------------------------------------------------------------------

    def _shell(self, module: ModuleType) -> _Shell:
        shell = self._shells.get(id(module))
        if shell is None:
            shell = self._shells[id(module)] = _Shell(module)
        return shell

    def _module(self, module: ModuleType) -> Any:
        known = sys.modules.get(module.__name__) is module
        if module.__name__ == "__main__" or (known and not self._local(module.__name__)):
            if known and inside._should_pickle_by_reference(module):
                return inside.subimport, (module.__name__,)
            if module.__name__ == "__main__":
                return NotImplemented
        if not self._with_content:
            return str, (module.__name__,)
        shell = self._shell(module)
        return rebuild.whole, (shell,), self._content(module), None, None, rebuild.fill_module

    def _content(self, module: ModuleType) -> tuple[dict[str, Any], dict[str, str]]:
        """What a module holds, and what of it cannot travel."""
        held = {name: value for name, value in list(vars(module).items()) if name not in _OF_THE_IMPORT}
        if not self._tried.why_not(held):
            return held, {}
        left_behind = {name: reason for name, value in held.items() if (reason := self._tried.why_not(value))}
        return {name: value for name, value in held.items() if name not in left_behind}, left_behind

    # -- wrappers -----------------------------------------------------------------------------------------------

    def _dispatch(self, obj: Any) -> Any:
        attributes = {
            name: value
            for name, value in vars(obj).items()
            if name not in ("register", "dispatch", "registry", "_clear_cache", "__wrapped__")
        }
        state = (dict(obj.registry), attributes)
        return rebuild.make_dispatch, (), state, None, None, rebuild.set_dispatch

    def _wrapper(self, obj: Any) -> Any:
        """A wrapper that pickle would send as a name, though its function has to travel."""
        if type(obj) in self.dispatch_table or isinstance(obj, (types.BuiltinFunctionType, types.MethodType)):
            return NotImplemented
        try:
            inner = obj.__wrapped__
            if type(inner) is not FunctionType or not self._travels(inner):
                return NotImplemented
            if not isinstance(obj.__reduce_ex__(self.proto), str):
                return NotImplemented
        except Exception:
            return NotImplemented
        return rebuild.make_wrapper, (type(obj),), inner, None, None, rebuild.set_wrapper


# What pickle sends as a name of its module.
_TYPE_NAMES = tuple(getattr(typing, name) for name in ("TypeVar", "ParamSpec", "TypeVarTuple") if hasattr(typing, name))
_SINGLETONS = (type(None), type(...), type(NotImplemented))


def _of_view(view: memoryview) -> tuple[PickleBuffer, str, tuple[int, ...], bool]:
    """What `rebuild.make_view` takes: the bytes, what they are, in which shape, and whether they may be written to."""
    content = PickleBuffer(view.cast("B") if view.c_contiguous and view.ndim else view.tobytes())
    return content, view.format, (view.shape or ()) if view.nbytes else (), view.readonly


class _Shell:
    """A module without its content, in a pickle."""

    def __init__(self, module: ModuleType) -> None:
        self.name = module.__name__
        self.attributes = {name: vars(module)[name] for name in _OWN_ATTRIBUTES if name in vars(module)}
        if "__path__" in self.attributes:
            # One of a namespace package is an object of the import.
            self.attributes["__path__"] = list(self.attributes["__path__"])
        self.space = _Globals(self)


class _Late:
    """A module that is not imported here, in a pickle: its source, and the local modules that this imports."""

    def __init__(self, name: str, path: str) -> None:
        import ast

        is_package = path.endswith("__init__.py")
        package = name if is_package else name.rpartition(".")[0]
        with open(path, "rb") as file:
            self.source = file.read()
        self.name = name
        self.attributes: dict[str, Any] = {"__file__": path, "__package__": package}
        if is_package:
            self.attributes["__path__"] = [path.rpartition("/")[0]]
        names: list[str] = []
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = absolute(node.module or "", node.level, package)
                names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        self.imports = [each for name in names for each in around(name) if is_local(each) or where(each)]


class _Globals:
    """The globals of a module's functions, in a pickle."""

    def __init__(self, shell: _Shell) -> None:
        self.shell = shell


class _Trial(Traveller):
    """Finds out whether something can travel; other modules are no part of it."""

    _takes_late = False

    def __init__(self, tried: _Tried) -> None:
        super().__init__(_Nowhere(), 5, lambda _buffer: False)
        self._with_content = False
        self._before = tried
        self.visited: list[int] = []

    def _local(self, name: object) -> bool:
        return is_local(name)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (FunctionType, type)) and is_local(obj.__module__):
            if id(obj) in self._before.good:
                return str, ("",)
            if id(obj) in self._before.bad:
                raise TypeError(self._before.bad[id(obj)])
            self.visited.append(id(obj))
        return super().reducer_override(obj)

    def _choice(self, module: str, path: str) -> Choice | None:
        return None


class _Nowhere:
    def write(self, data: Any) -> int:
        return len(data)


class _Tried:
    """What is known of the functions and classes of one pickle: those that can travel, and why others cannot."""

    def __init__(self) -> None:
        self.good: set[int] = set()
        self.bad: dict[int, str] = {}

    def why_not(self, value: object) -> str:
        """Empty when a value can travel."""
        trial = _Trial(self)
        try:
            trial.dump(value)
        except Exception as error:
            reason = str(error).strip() or type(error).__name__
            if isinstance(value, (FunctionType, type)):
                self.bad[id(value)] = reason
            return reason
        # Everything that it refers to can.
        self.good.update(trial.visited)
        return ""


class _Naming(Traveller):
    """Sends what is of local modules as names."""

    def __init__(self, file: Any, protocol: int, buffer_callback: Any, reason: str) -> None:
        super().__init__(file, protocol, buffer_callback)
        self._reason = reason

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, ModuleType) and is_local(obj.__name__):
            return inside.subimport, (obj.__name__,)
        module = getattr(obj, "__module__", None) if callable(obj) else None
        if is_local(module):
            path = getattr(obj, "__qualname__", "")
            if isinstance(path, str) and find(module, path) is obj:  # type: ignore[arg-type]
                return rebuild.named, (stamps_of([module], self._memo) or (), self._reason, module, path)  # type: ignore[list-item]
        return super().reducer_override(obj)


# -- by name -----------------------------------------------------------------------------------------------------


class _ByName(Traveller):
    """Takes every module for installed."""

    _takes_late = False

    def _local(self, name: object) -> bool:
        return False


class _Check:
    def __init__(self, stamps: Stamps, reason: str) -> None:
        self._arguments = (stamps, reason)

    def __reduce__(self) -> Any:
        return rebuild.check, self._arguments


class _Checked:
    def __init__(self, check: _Check, value: object) -> None:
        self._arguments = (check, value)

    def __reduce__(self) -> Any:
        return rebuild.at_once, self._arguments
