"""How errors of engines are shown: in IPython's form, equal ones once, and never longer than somebody reads.

They are drawn when somebody looks at them. The errors themselves are in `error`, which imports this file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Protocol

    class Failed(Protocol):
        """An `error.IpclusterzError`."""

        __traceback__: TracebackType | None
        message: str
        engine_id: int
        method: str


__all__ = ["grouped", "one_line", "rendered", "shortened"]

# Characters that are shown of a text. The whole text is in the attributes of the error.
_LONGEST = 10_000
_LONGEST_LINE = 500

_RULE = "-" * 75


def _title(name: str) -> str:
    words = "Traceback (most recent call last)"
    return name + words.rjust(len(_RULE) - len(name))


def _callers(error: Failed) -> list[str]:
    """The frames of a traceback that led into this package."""
    import traceback

    package = __file__.rpartition("tracebacks.py")[0]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(package) and "/IPython/core/" not in frame.filename
    ]
    lines: list[str] = []
    for frame in frames:
        cell = _cell_name(frame.filename)
        if cell is None:
            lines += traceback.format_list([frame])[0].splitlines()
        else:
            where = "" if frame.name == "<module>" else f", in {frame.name}"
            lines += [f"{cell}, line {frame.lineno}{where}", f"----> {frame.lineno} {frame.line}"]
    return [*lines, ""]


def _cell_name(filename: str) -> str | None:
    """What IPython calls a cell that it runs, at the prompt as well as in a notebook; None for other files."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    named = None if shell is None else shell.compile.format_code_name(filename)
    return None if named is None else " ".join(named)


def grouped(elist: Sequence[Failed]) -> list[list[str]]:
    """The lines of each different traceback below the places of its engines, in order of the first of these."""
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for error in elist:
        lines = _traceback_lines(error)
        groups.setdefault(_without_counts("\n".join(lines)), ([], lines))[0].append(_place(error))
    return [[*(f"{place}:" for place in places), *lines] for places, lines in groups.values()]


def _without_counts(text: str) -> str:
    # The number in the file name of a cell counts the cells of an engine: equal errors have different ones.
    import re

    return re.sub(r"(<ipython-input-|<cell |Cell In\[)\d+", r"\1", text)


def _traceback_lines(error: Failed) -> list[str]:
    """A traceback in IPython's form: a rule, the title, the frames, the error."""
    text: str = getattr(error, "traceback", "").rstrip("\n")
    if not text:
        return str(error).splitlines()
    lines = shortened(text).splitlines()
    if lines[0].startswith("Traceback "):
        lines[0] = _title(getattr(error, "ename", type(error).__name__))
    return [_RULE, *lines]


def _place(error: Failed) -> str:
    return f"[{error.engine_id if error.engine_id >= 0 else '?'}:{error.method or 'call'}]"


def one_line(error: Failed) -> str:
    """Place, class and text of an error, of a long text its beginning."""
    ename = getattr(error, "ename", type(error).__name__)
    text: str = getattr(error, "evalue", error.message)
    first, _, more = text.partition("\n")
    if more or len(first) > _LONGEST_LINE:
        first = f"{first[:_LONGEST_LINE]} …"
    return f"{_place(error)}: {ename}: {first}"


def rendered(error: Failed) -> list[str]:
    """What IPython shows of an error: the user's own frames and the text, without the package's frames."""
    kind = type(error).__name__
    lines = [_RULE, _title(kind), *_callers(error)]
    if getattr(error, "_with_tracebacks", False):
        for group in grouped(error.elist):  # type: ignore[attr-defined]
            lines += [*group, ""]
    return [*lines, *f"{kind}: {error}".splitlines()]


def shortened(text: str) -> str:
    """A text without its middle, when it is longer than somebody reads."""
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters …]\n{text[-half:]}"
