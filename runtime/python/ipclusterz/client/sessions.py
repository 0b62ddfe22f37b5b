"""Names of sessions."""

from __future__ import annotations

import re

__all__ = ["checked_name"]

_NAME = r"[A-Za-z0-9_.-]{1,64}"


def checked_name(name: object) -> str:
    """The name of a session.

    Raises
    ------
    TypeError
        When it is no text.
    ValueError
        When it has other characters, none, or too many.

    Examples
    --------
    >>> checked_name("sweep-3")
    'sweep-3'
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a session is text, not {type(name).__name__}: {name!r:.80}")
    if re.fullmatch(_NAME, name) is None:
        raise ValueError(
            f"session={name!r:.80} is no name of a session: 1 to 64 letters, digits, '_', '.' or '-', such as 'sweep-3'"
        )
    return name
