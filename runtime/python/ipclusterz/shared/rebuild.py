"""What pickles of `travel` call where they are loaded: modules, functions and classes are made by value, or found here.

A *choice* is (stamps, name of the module, qualified name): take what is here under that name if the modules run the
same code, make it otherwise. Each maker has its setter, which is called once everything else can refer to what was
made, so that modules, functions and wrappers may refer to each other in circles.
"""

from __future__ import annotations

import builtins
import functools
import sys
import weakref
from contextlib import suppress
from importlib import import_module
from types import CodeType, FunctionType, ModuleType

from ..compat import missing_attribute
from . import codes
from .bytecode import ForeignCode, is_own, own
from .namespace import is_engine
from .sources import find, is_same, require_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .codes import Lines
    from .sources import Stamps

    Choice = tuple[Stamps, str, str]

__all__ = ["TravelledModule"]

# What was made here, and may be filled; everything else is this process's own.
_functions: weakref.WeakSet[FunctionType] = weakref.WeakSet()
_classes: weakref.WeakSet[type] = weakref.WeakSet()
_own: weakref.WeakSet[type] = weakref.WeakSet()


class TravelledModule(ModuleType):
    """A module that came by value. It is in no list of modules: another call may bring another of that name."""

    _left_behind: dict[str, str]

    def __getattr__(self, name: str) -> object:
        reason = self.__dict__.get("_left_behind", {}).get(name)
        if reason is None:
            raise missing_attribute(f"module {self.__name__!r} has no attribute {name!r}", name, self)
        raise missing_attribute(f"{name!r} of module {self.__name__!r} did not travel: {reason}", name, self)


def make_view(content: Any, kind: str, shape: tuple[int, ...], readonly: bool) -> memoryview:
    """A view of these bytes, as elements of a kind and in a shape; as bytes where Python knows no views of such."""
    view = memoryview(content)
    if view.readonly and not readonly:
        view = memoryview(bytearray(view))
    with suppress(ValueError, TypeError):
        view = view.cast(kind, shape) if shape else view.cast(kind)  # type: ignore[call-overload]
    return view.toreadonly() if readonly else view


def chosen(choice: Choice | None) -> object:
    """What is here, if it is the same; None otherwise."""
    if choice is None or not is_same(choice[0]):
        return None
    try:
        import_module(choice[1])
    except Exception:
        return None
    return find(choice[1], choice[2]) if choice[2] else sys.modules[choice[1]]


def make_module(choice: Choice | None, name: str, attributes: dict[str, Any]) -> ModuleType:
    """A module without content, or the one that is here."""
    here = chosen(choice) if is_engine() else None
    if isinstance(here, ModuleType):
        return here
    module = TravelledModule(name)
    module.__dict__.update(attributes)
    module.__dict__["__builtins__"] = builtins.__dict__
    return module


def whole(module: ModuleType) -> ModuleType:
    """A module that `fill_module` is given next."""
    return module


def fill_module(module: ModuleType, state: tuple[dict[str, Any], dict[str, str]]) -> None:
    """Give a module that came by value its content."""
    if isinstance(module, TravelledModule):
        attributes, left_behind = state
        module.__dict__.update(attributes)
        module._left_behind = left_behind


class LateModule(TravelledModule):
    """A module that was not imported where it came from: it is run here when it is imported for the first time."""

    _late: tuple[bytes, dict[str, ModuleType]] | None = None


def make_late(name: str, attributes: dict[str, Any]) -> ModuleType:
    """A module that was not run yet."""
    module = LateModule(name)
    module.__dict__.update(attributes)
    return module


def set_late(module: LateModule, state: tuple[bytes, dict[str, ModuleType]]) -> None:
    """Give it its source, and the modules that this imports."""
    module._late = state


def imported(module: ModuleType) -> ModuleType:
    """The module, which was run by now."""
    if isinstance(module, LateModule) and module._late is not None:
        # Start-up: hardly a call imports what its client has not imported.
        from importlib.util import decode_source

        source, modules = module._late
        module._late = None
        module.__dict__["__builtins__"] = builtins.__dict__ | {"__import__": Importer(modules)}
        file = module.__file__ or module.__name__
        codes.keep_lines(file, (1, decode_source(source)))
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    return module


def globals_of(module: ModuleType) -> dict[str, Any]:
    """Where the functions of a module have their globals."""
    return module.__dict__


class Importer:
    """``import`` for functions that came by value: the modules that came with them are found first."""

    def __init__(self, modules: dict[str, ModuleType]) -> None:
        self.modules = modules

    def __call__(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        full = name
        if level:
            base = (globals or {}).get("__package__") or ""
            base = base.rsplit(".", level - 1)[0] if level > 1 else base
            full = f"{base}.{name}" if name else base
        found = self.modules.get(full)
        if found is None:
            return builtins.__import__(name, globals, locals, fromlist, level)
        parts = full.split(".")
        for last in range(1, len(parts) + 1):
            around = self.modules.get(".".join(parts[:last]))
            if around is not None:
                imported(around)
        for each in fromlist or ():
            if not hasattr(found, each) and f"{full}.{each}" in self.modules:
                setattr(found, each, imported(self.modules[f"{full}.{each}"]))
        if fromlist or level:
            return found
        # `import a.b` binds a, of which b is an attribute.
        for last in range(len(parts) - 1, 0, -1):
            parent, child = self.modules.get(".".join(parts[:last])), self.modules[".".join(parts[: last + 1])]
            if parent is None:
                return builtins.__import__(name, globals, locals, fromlist, level)
            if not hasattr(parent, parts[last]):
                setattr(parent, parts[last], child)
        return self.modules[parts[0]]


def make_code(parts: tuple[Any, ...], lines: Lines | None, name: str, python: str) -> CodeType | ForeignCode:
    """Code with the names and the lines that it has where it comes from, or what stands for that of another Python."""
    return codes.make(parts, lines) if is_own(python) else ForeignCode(name, python)


def make_function(
    choice: Choice | None,
    code: CodeType | ForeignCode,
    space: dict[str, Any],
    closure: tuple[Any, ...] | None,
    imports: bool,
) -> FunctionType:
    """A function that has its code and nothing else, or the one that is here."""
    here = chosen(choice) if is_engine() else None
    if type(here) is FunctionType:
        return here
    code = own(code)
    if imports and not _is_real(space):
        if _importer_of(space) is None:
            space["__builtins__"] = builtins.__dict__ | {"__import__": Importer({})}
    else:
        space.setdefault("__builtins__", builtins.__dict__)
    function = FunctionType(code, space, None, None, closure)
    _functions.add(function)
    return function


def _importer_of(space: dict[str, Any]) -> Importer | None:
    found = space.get("__builtins__")
    importer = found.get("__import__") if isinstance(found, dict) else None
    return importer if isinstance(importer, Importer) else None


def set_function(function: FunctionType, state: tuple[Any, dict[str, ModuleType] | None]) -> None:
    """Give a function that was made here its globals, closure, defaults and names, and the modules that it imports."""
    if function not in _functions:
        return
    _functions.discard(function)
    (attributes, slots), modules = state
    importer = _importer_of(function.__globals__)
    if modules and importer is not None:
        importer.modules.update(modules)
    function.__dict__.update(attributes)
    names = slots.pop("__globals__")
    closure = slots.pop("__closure__")
    # Submodules that had to be imported, which they are by now.
    slots.pop("_cloudpickle_submodules", None)
    if not _is_real(function.__globals__):
        names.pop("__builtins__", None)
        function.__globals__.update(names)
    for cell, given in zip(function.__closure__ or (), closure or ()):
        try:
            cell.cell_contents = given.cell_contents
        except ValueError:
            continue
    for name, value in slots.items():
        setattr(function, name, value)


def _is_real(space: dict[str, Any]) -> bool:
    module = sys.modules.get(space.get("__name__", ""))
    return module is not None and getattr(module, "__dict__", None) is space


def make_class(choice: Choice | None, maker: Any, arguments: tuple[Any, ...]) -> type:
    """A class without content, or the one that is here: imported, or sent before, or where it came from first."""
    here = chosen(choice)
    if isinstance(here, type):
        return here
    made: type = maker(*arguments)
    # cloudpickle gives the class that it knows under the same mark, if there is one.
    if made not in _own:
        _classes.add(made)
    return made


def keep(kind: type) -> None:
    """Note that a class which is sent is this process's own: what comes back is not to change it."""
    if kind not in _classes:
        _own.add(kind)


def set_class(kind: type, state: tuple[Any, Any]) -> None:
    """Give a class that was made here its content."""
    setter, content = state
    if kind in _classes:
        setter(kind, content)


def at_once(check: None, value: Any) -> Any:
    """The value, behind a check that has raised if it failed."""
    return value


def check(stamps: Stamps, reason: str) -> None:
    """Only go on where modules run the same code."""
    if is_engine():
        require_same(stamps, reason)


def named(stamps: Stamps, reason: str, module: str, path: str) -> object:
    """What is here, or the error that says why it is not the sender's."""
    check(stamps, reason)
    import_module(module)
    return find(module, path)


# -- wrappers of functools ------------------------------------------------------------------------------------------


def _forward() -> Any:
    """A function that calls another one, which is not known yet."""
    held: list[Any] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        return held[0](*args, **kwargs)

    call.__dict__["_held"] = held
    return call


def make_cache(maxsize: int | None, typed: bool) -> Any:
    """A function with a cache of its own, which is empty."""
    return functools.lru_cache(maxsize, typed)(_forward())


def set_cache(cache: Any, state: tuple[Any, dict[str, Any]]) -> None:
    """Say what is cached."""
    function, attributes = state
    cache.__wrapped__._held.append(function)
    functools.update_wrapper(cache, function)
    cache.__dict__.pop("_held", None)
    cache.__dict__.update(attributes)


def make_wrapper(kind: Any) -> Any:
    """A wrapper in C that takes a function alone."""
    return kind(_forward())


def set_wrapper(wrapper: Any, function: Any) -> None:
    """Say what is wrapped."""
    wrapper.__wrapped__._held.append(function)


def make_dispatch() -> Any:
    """A generic function without implementations."""
    return functools.singledispatch(_unset)


def _unset(*_arguments: Any) -> Any:
    raise TypeError("a generic function that is not complete yet was called")


def set_dispatch(dispatch: Any, state: tuple[dict[Any, Any], dict[str, Any]]) -> None:
    """Give a generic function its implementations."""
    implementations, attributes = state
    for kind, function in implementations.items():
        dispatch.register(kind, function)
    functools.update_wrapper(dispatch, implementations[object])
    dispatch.__dict__.update(attributes)


def make_property() -> Any:
    """A cached property of no function."""
    return functools.cached_property(_unset)


def set_property(cached: Any, state: dict[str, Any]) -> None:
    """Give a cached property its function and its name; a lock it has of its own."""
    cached.__dict__.update(state)


def make_partial() -> Any:
    """A call that is not known yet."""
    return functools.partial(_unset)


def set_partial(call: Any, state: Any) -> None:
    """Say what is called, and with what."""
    call.__setstate__(state)
