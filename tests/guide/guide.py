"""The text of the guide: its examples by line number, and what they are in today's Python.

Nothing here runs anything. The guide's copy has lost its indentation and all runs of spaces, so texts are compared
without them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EXAMPLE", "GUIDE", "Example", "example", "in_python_3", "plain"]

GUIDE = Path(__file__).with_name("multiengine.rst")
LINES = GUIDE.read_text().split("\n")

# What a step has to cover: everything that is typed or shown, every note, and every word that something is broken.
EXAMPLE = re.compile(
    r"""In\ \[\d+\]: | \$\ | ipdb> | \.\.\.\.: | Out\[\d+\]: | <.*>$ | \[\d\S*\] | \w+Error:\ | \w+Error\ Traceback
    | \.\.\ (note|warning):: | .*(does\ not|do\ not|do\*|doesn't|haven't|have\ not|broken|fouled)""",
    re.VERBOSE | re.IGNORECASE,
)

_TYPED = re.compile(r"(In \[\d+\]|\$|ipdb>):? ?(.*)")
_CONTINUED = re.compile(r"\.\.\.\.: ?(.*)")
_NOTE = re.compile(r"\.\. (note|warning)::", re.IGNORECASE)

_PYTHON_3 = [
    (r"set\(\[(.*)\]\)", r"{\1}"),
    (r"\bprint ([\w.]+(\(\w+\))?)", r"print(\1)"),
    (r"(?<!\.)\bmap\(.*\)(?= #|$)", r"list(\g<0>)"),
    (r"except (\S+), (\w+):", r"except \1 as \2:"),
    (r"global name '", "name '"),
    (r"integer division or modulo by zero", "division by zero"),
]


@dataclass(frozen=True)
class Example:
    """Lines of the guide that belong together.

    Attributes
    ----------
    label : str
        ``In [62]``, ``$``, ``ipdb>``, ``note``, ``warning`` or ``text``.
    typed, printed : str
        What was typed and what came; `typed` of a note is empty and `printed` its words.
    """

    label: str
    typed: str
    printed: str


def example(first: int, last: int) -> Example:
    """The example in these lines, counted from 1, comments left out."""
    lines = [line for line in LINES[first - 1 : last] if not line.startswith("# ")]
    start = _TYPED.match(lines[0])
    if start is None:
        note = _NOTE.match(lines[0])
        words = lines[1:] if note else LINES[first - 1 : last]
        return Example(note[1].lower() if note else "text", "", " ".join(" ".join(words).split()))
    typed = [start[2]]
    rest = lines[1:]
    while rest and (more := _CONTINUED.match(rest[0])):
        typed += [more[1]] if more[1] else []
        rest.pop(0)
    return Example(start[1], "\n".join(typed), "\n".join(rest))


def in_python_3(text: str) -> str:
    """The same in Python 3: its syntax, and the words of its errors."""
    return "\n".join(_line_in_python_3(line) for line in text.split("\n"))


def _line_in_python_3(line: str) -> str:
    for old, new in _PYTHON_3:
        line = re.sub(old, new, line)
    return line


def plain(text: str) -> str:
    """A text without what the guide's copy lost and without how values are laid out.

    Runs of spaces become one, indentation goes; a value behind ``Out[…]:`` that is spread over several lines becomes
    one line, without the spaces around its punctuation and the comma before its end.
    """
    lines: list[str] = []
    is_open = False
    for line in (" ".join(line.split()) for line in text.strip().split("\n")):
        if is_open or (lines and re.fullmatch(r"Out\[.*\]:", lines[-1]) and line.startswith(("[", "{", "("))):
            lines[-1] += line
        else:
            lines.append(line)
        if lines[-1].startswith("Out["):
            is_open = sum(map(lines[-1].count, "([{")) > sum(map(lines[-1].count, ")]}"))
            lines[-1] = re.sub(r"\s*([][{}(),:])\s*", r"\1", lines[-1]).replace(",}", "}")
    return "\n".join(lines)
