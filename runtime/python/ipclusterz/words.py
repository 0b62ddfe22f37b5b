"""Text that comes from another process or a file, as it may be shown."""

from __future__ import annotations

import re

__all__ = ["printable"]

# What is not for reading: controls, line ends of Unicode, what changes the direction of text or is not seen at all.
# `printable` in runtime/base/src/words.rs has the same, and shows it as here.
_SPECIAL = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
# Colours; what else terminals are told, such as to move the cursor; and all other controls.
_OUTPUT = re.compile(r"(\x1b\[[\d;:]*m)|(\x1b\[[0-?]*[ -/]*[@-~])|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PLAIN = ("\x1b[0m", "\x1b[m")


def printable(line: str, colours: bool = False) -> str:
    """A line of another process as it may go to a terminal: what a terminal would obey is shown by its number.

    Parameters
    ----------
    line : str
        The line; tabs stay.
    colours : bool
        It is output of user code: colours stay, and do not reach beyond the line; sequences that move the cursor or
        wipe what is there are left out; of the rest, only controls are shown by their numbers.

    Examples
    --------
    >>> printable("n1\\n\\x1b[31mred")
    'n1\\\\n\\\\x1b[31mred'
    >>> printable("\\x1b[2J\\x07bell", colours=True)
    '\\\\x07bell'
    """
    if line.isprintable():
        return line
    if not colours:
        return _SPECIAL.sub(_shown, line)
    safe = _OUTPUT.sub(lambda found: found[0] if found[1] else "" if found[2] else _shown(found), line)
    return safe if "\x1b" not in safe or safe.endswith(_PLAIN) else safe + _PLAIN[0]


def _shown(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]
