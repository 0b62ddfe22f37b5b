"""What a session has to print, with its volatile parts left free.

A template is a text in which ``«float»`` and the like stand for what changes from run to run. ``«n»`` is a count of
cells: whatever it is where it comes first, ``«n+1»`` is then one more, in all templates of a walk.
"""

from __future__ import annotations

import re

from guide import plain

__all__ = ["Counts", "mismatch"]

Counts = dict[str, int]

_FLOAT = r"-?\d+(?:\.\d*)?(?:e[-+]\d+)?"
_VOLATILE = {
    "number": r"\d+",
    "float": _FLOAT,
    "floats": rf"\s*{_FLOAT}(?:[\s,]\s*{_FLOAT})*\s*",
    # The rest of a line, and any number of whole lines.
    "any": r"[^\n]*",
    "lines": r"(?:[^\n]*\n)*?[^\n]*",
}
_PART = re.compile(r"«([^»]+)»")
_COUNT = re.compile(r"([a-z])(?:\+(\d+))?")


def mismatch(template: str, text: str, counts: Counts) -> str:
    """What is wrong with a text; empty when it is as the template says.

    Parameters
    ----------
    template, text : str
        They are compared as `guide.plain` makes them.
    counts : dict
        The counts that are known; this adds new ones.
    """
    seen: list[tuple[str, int]] = []
    pattern = ""
    wanted = plain(template)
    for position, part in enumerate(_PART.split(wanted)):
        if position % 2 == 0:
            pattern += re.escape(part)
        elif part in _VOLATILE:
            pattern += _VOLATILE[part]
        else:
            count = _COUNT.fullmatch(part)
            assert count is not None, (
                f"«{part}» is not one of «n», «n+1», {', '.join(f'«{name}»' for name in _VOLATILE)}"
            )
            seen.append((count[1], int(count[2] or 0)))
            pattern += r"(\d+)"
    found = re.fullmatch(pattern, plain(text))
    if found is None:
        return f"wanted:\n{wanted}\ngot:\n{plain(text)}"
    for (name, more), number in zip(seen, found.groups(), strict=True):
        count_is = int(number) - more
        if counts.setdefault(name, count_is) != count_is:
            return f"«{name}» is {counts[name]}, so «{name}+{more}» is not {number}, in:\n{plain(text)}"
    return ""
