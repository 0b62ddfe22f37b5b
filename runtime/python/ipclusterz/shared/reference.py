"""`Reference`: a name that stands for an engine's own object, wherever it occurs in what is sent."""

from __future__ import annotations

from .namespace import current, is_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Reference"]


class Reference:
    """Stands for the object that a name, or an expression of names, means on the engine that gets it.

    It can be an argument, part of one, a pushed value, or the function that is called.

    Parameters
    ----------
    name : str
        Looked up in the engine's namespace: ``"a"``, ``"model.weights"``, ``"parts[0]"``.

    Raises
    ------
    TypeError
        When it is no text.
    ValueError
        When it is no expression.

    Examples
    --------
    >>> dview.scatter("part", range(16), block=True)
    {0: None, 1: None, 2: None, 3: None}
    >>> dview.apply_sync(sum, Reference("part"))
    {0: 6, 1: 22, 2: 38, 3: 54}
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a reference is a name, not {type(name).__name__}: {name!r:.80}")
        try:
            compile(name, "<reference>", "eval")
        except (SyntaxError, ValueError):
            raise ValueError(f"a reference is a name or an expression, not {name!r:.80}") from None
        self.name = name

    def __repr__(self) -> str:
        return f"Reference({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Reference, self.name))

    def __reduce__(self) -> tuple[Any, ...]:
        return resolve, (self.name,)


def resolve(name: str) -> Any:
    """Unpickle a reference: to the object on an engine, to a reference elsewhere.

    Raises
    ------
    NameError
        When the engine has no such name.
    """
    return eval(name, current().names) if is_engine() else Reference(name)
