"""What a caller passes, to frames, with errors that say which argument was at fault."""

from __future__ import annotations

from keyword import iskeyword

from ..error import SerializationError
from ..shared.serialize import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..shared.serialize import Frame

__all__ = ["argument_frames", "names_frames", "namespace_frames"]


def argument_frames(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> list[Frame]:
    """The frames of a call's arguments; none at all for a call without arguments.

    Raises
    ------
    SerializationError
        Names the position or the keyword of the argument that cannot travel, and its type.
    """
    if not arguments and not keywords:
        return []
    try:
        return dumps((arguments, keywords))
    except SerializationError as error:
        named: list[tuple[str, Any]] = [(f"argument {index}", value) for index, value in enumerate(arguments)]
        named += [(f"argument {name!r}", value) for name, value in keywords.items()]
        raise _blame(named, error) from error.__cause__


def namespace_frames(values: dict[str, Any]) -> list[Frame]:
    """The frames of names and values to push.

    Raises
    ------
    TypeError
        When it is not a dictionary of strings.
    ValueError
        When one of them is no name in Python.
    SerializationError
        Names the one that cannot travel.
    """
    if not isinstance(values, dict):
        raise TypeError(f"a dictionary of names is needed, not {type(values).__name__}")
    for name in values:
        if not isinstance(name, str):
            raise TypeError(f"names are strings, not {type(name).__name__}: {name!r:.80}")
        if not name.isidentifier() or iskeyword(name):
            raise ValueError(
                f"no code could use the name {name!r:.80}: a name has letters, digits and _ alone, and begins with no "
                "digit\nhint: execute('a.b = value') sets an attribute"
            )
    try:
        return dumps(values)
    except SerializationError as error:
        raise _blame([(f"the value for {name!r}", value) for name, value in values.items()], error) from error.__cause__


def names_frames(names: Any) -> list[Frame]:
    """The frames of one name, or of several, to pull.

    Raises
    ------
    TypeError
        When it is neither a string nor strings.
    """
    if isinstance(names, str):
        return dumps(names)
    try:
        several = tuple(names)
    except TypeError:
        several = (names,)
    for name in several:
        if not isinstance(name, str):
            raise TypeError(f"names are strings, not {type(name).__name__}: {name!r:.80}")
    return dumps(several)


def _blame(named: list[tuple[str, Any]], error: SerializationError) -> SerializationError:
    for name, value in named:
        try:
            dumps(value)
        except SerializationError as found:
            return SerializationError(f"{name} cannot be sent: {found.message}", found.hint)
    return error
