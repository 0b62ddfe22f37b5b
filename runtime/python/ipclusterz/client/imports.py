"""``with view.sync_imports():`` makes imports happen here and on the engines."""

from __future__ import annotations

import builtins
import dis
import sys
from importlib.util import resolve_name

from ..shared import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType, ModuleType, TracebackType
    from typing import Any

    from .namespaces import NamespaceCalls

    # What one import statement binds: (module, attribute of it or None, the name if it was given one by `as`).
    Import = tuple[str, str | None, str | None]

__all__ = ["SyncImports"]


class SyncImports:
    """A block whose import statements are repeated on engines, under the names that they bind here.

    Made by `DirectView.sync_imports`. Only imports of the block itself count, not what the imported modules import.
    After an error in the block nothing is repeated.

    Parameters
    ----------
    calls : DirectCalls
        Client or view.
    targets : int or list of int
        Engines that are there.
    quiet : bool
        Do not print what is imported.
    """

    def __init__(self, calls: NamespaceCalls, targets: int | list[int], quiet: bool) -> None:
        self._calls = calls
        self._targets = targets
        self._quiet = quiet
        self._imports: list[Import] = []
        self._builtin_import: Any = None
        self._frame: FrameType | None = None

    def __enter__(self) -> None:
        self._frame = sys._getframe(1)
        self._imports.clear()
        self._builtin_import = builtins.__import__
        builtins.__import__ = self._import

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        builtins.__import__ = self._builtin_import
        self._frame = None
        imports = list(dict.fromkeys(self._imports))
        if kind is not None or not imports:
            return
        if not self._quiet:
            if isinstance(self._targets, int):
                engines = f"engine {self._targets}"
            else:
                engines = f"engines {', '.join(map(str, self._targets))}"
            for module, attribute, alias in imports:
                what = module if attribute is None else f"{attribute} from {module}"
                known_as = "" if alias is None else f" as {alias}"
                print(f"importing {what}{known_as} on {engines}")
        self._calls._on_engine(names.sync_imports, ([_statement(*each) for each in imports],), self._targets, True)

    def _import(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> ModuleType:
        module: ModuleType = self._builtin_import(name, globals, locals, fromlist, level)
        caller: FrameType | None = sys._getframe(1)
        # A block of another view may stand around or inside this one.
        while caller is not None and caller.f_code is _IMPORT_CODE:
            caller = caller.f_back
        if caller is not None and caller is self._frame:
            if level:
                name = resolve_name("." * level + name, globals["__package__"])
            self._imports += _imports(caller.f_code, caller.f_lasti, name, fromlist)
        return module


_IMPORT_CODE = SyncImports._import.__code__


def _imports(code: CodeType, offset: int, module: str, fromlist: tuple[str, ...] | None) -> list[Import]:
    """What the import statement at an offset of a code binds; nothing when it is no statement.

    The interpreter tells `__import__` everything but the names that are bound: these are in the instructions behind.
    """
    instructions = (each for each in dis.get_instructions(code) if each.opname != "EXTENDED_ARG")
    # Before Python 3.10, the offset of a wide instruction is that of its prefix.
    behind = (instruction for instruction in instructions if instruction.offset >= offset)
    if next(behind).opname != "IMPORT_NAME":
        return []
    if fromlist and "*" in fromlist:
        return [(module, "*", None)]
    # Of two stores in one instruction, or a store and a load, the first is the import's.
    stored = (instruction.argval for instruction in behind if instruction.opname.startswith("STORE_"))
    bound = (name[0] if isinstance(name, tuple) else name for name in stored)
    if not fromlist:
        # `import a.b` binds `a`, `import a.b as c` the submodule.
        return [(module, None, _alias(module.partition(".")[0], next(bound)))]
    return [(module, attribute, _alias(attribute, name)) for attribute, name in zip(fromlist, bound)]


def _alias(name: str, bound: str) -> str | None:
    return None if bound == name else bound


def _statement(module: str, attribute: str | None, alias: str | None) -> str:
    what = f"import {module}" if attribute is None else f"from {module} import {attribute}"
    return what if alias is None else f"{what} as {alias}"
