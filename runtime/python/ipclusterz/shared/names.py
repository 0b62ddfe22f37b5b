"""What a client asks of an engine's namespace beyond push and pull. Clients call these functions by reference."""

from __future__ import annotations

import sys

from .namespace import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["contains", "delete", "get", "keys", "reload", "sync_imports"]


def keys() -> list[str]:
    """The user's names: without those that Python and IPython put there, and without private ones."""
    return current().keys()


def contains(name: str) -> bool:
    """Whether the user has such a name."""
    return name in current().names


def get(name: str, default: Any) -> Any:
    """The value of a name, or `default`."""
    return current().names.get(name, default)


def delete(name: str) -> None:
    """Forget a name.

    Raises
    ------
    KeyError
        When it is not there; says which, and on which engine.
    """
    current().delete(name)


def sync_imports(statements: list[str]) -> None:
    """Run import statements.

    Raises
    ------
    ImportError
        When the engine does not have a module, or the module not that name.
    """
    for statement in statements:
        exec(statement, current().names)


def reload(name: str) -> list[str]:
    """Forget an imported module and those below it, so that they are imported again where they are used.

    What the namespace has under the module's name is imported again at once.

    Raises
    ------
    ValueError
        When a part of it is written in C, which Python cannot import twice.
    """
    # Start-up: clients import this file, and no other function of it needs these.
    from importlib import import_module

    from .sources import forget

    namespace = current()
    before = {each: sys.modules[each] for each in list(sys.modules) if each == name or each.startswith(name + ".")}
    for each, module in before.items():
        if str(getattr(module, "__file__", "")).endswith(".so"):
            raise ValueError(f"{each!r} is written in C and cannot be imported twice: restart the engines instead")
    gone = forget(name)
    for clear in namespace.when_reloaded:
        clear()
    for bound, value in list(namespace.names.items()):
        for each, module in before.items():
            if value is module:
                namespace.names[bound] = import_module(each)
    return gone
