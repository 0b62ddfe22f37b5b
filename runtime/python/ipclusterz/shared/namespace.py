"""The user's namespace of an engine: the module ``__main__``.

It is a module of its own, in ``sys.modules``, so that classes defined there pickle by value and code behaves as at a
prompt. Running code in it is the task of `engine.shell`.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

__all__ = ["Namespace", "current", "is_engine"]

_current: list[Namespace] = []

# Names that IPython itself puts into a namespace.
_IPYTHON = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


def is_engine() -> bool:
    """Whether this process is an engine."""
    return bool(_current)


def current() -> Namespace:
    """The namespace of this process, which must be an engine."""
    return _current[0]


class Namespace:
    """The names that ``push``, ``pull``, ``execute`` and bound functions share.

    Parameters
    ----------
    engine_id : int
        Named in errors.
    """

    __slots__ = ("engine_id", "module", "names", "when_reloaded")

    def __init__(self, engine_id: int) -> None:
        self.engine_id = engine_id
        # Called when modules are forgotten: what was kept of them is old.
        self.when_reloaded: list[Callable[[], object]] = []
        module_type = type(sys)
        self.module: ModuleType = module_type("__main__")
        self.names: dict[str, Any] = self.module.__dict__
        self.names["__builtins__"] = sys.modules["builtins"]
        sys.modules["__main__"] = self.module
        _current[:] = [self]

    def push(self, values: dict[str, object]) -> None:
        """Set names."""
        self.names.update(values)

    def pull(self, names: str | tuple[str, ...]) -> object:
        """Look names up: a string gives the value, a tuple of strings the list of values.

        What is no name is an expression, as of a `Reference`: ``model.weights``, ``parts[0]``.

        Raises
        ------
        KeyError
            When a name is not there; says which, and on which engine.
        """
        if isinstance(names, str):
            return self._get(names)
        return [self._get(name) for name in names]

    def delete(self, name: str) -> None:
        """Forget a name.

        Raises
        ------
        KeyError
            When it is not there; says which, and on which engine.
        """
        if name not in self.names:
            raise self._missing(name)
        del self.names[name]

    @contextmanager
    def lending(self, name: str, value: object) -> Iterator[None]:
        """Have a name for a while; afterwards it is what it was, unless it was set anew meanwhile."""
        before = self.names.get(name, self)
        self.names[name] = value
        try:
            yield
        finally:
            if self.names.get(name) is value:
                if before is self:
                    del self.names[name]
                else:
                    self.names[name] = before

    def keys(self) -> list[str]:
        """The user's names, sorted."""
        return sorted(name for name in self.names if not name.startswith("_") and name not in _IPYTHON)

    def clear(self) -> None:
        """Forget all names but those that a module begins with."""
        for name in list(self.names):
            if not (name.startswith("__") and name.endswith("__")):
                del self.names[name]

    def _get(self, name: str) -> object:
        if name in self.names:
            return self.names[name]
        if name.isidentifier():
            raise self._missing(name)
        try:
            return eval(name, self.names)
        except NameError as error:
            raise self._missing(getattr(error, "name", None) or name) from None
        except SyntaxError:
            raise KeyError(f"{name!r} is no name and no expression") from None

    def _missing(self, name: str) -> KeyError:
        return KeyError(f"name {name!r} is not defined on engine {self.engine_id}")
