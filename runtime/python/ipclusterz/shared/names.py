"""What a client asks of an engine's namespace beyond push and pull. Clients call these functions by reference."""

from __future__ import annotations

from .namespace import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["contains", "delete", "get", "keys", "sync_imports"]


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
