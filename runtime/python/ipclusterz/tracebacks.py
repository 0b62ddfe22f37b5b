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
        indexes: Sequence[int]


__all__ = ["called", "first_tracebacks", "grouped", "one_line", "overview", "rendered", "shortened"]

# Characters that are shown of a text. The whole text is in the attributes of the error.
_LONGEST = 10_000
_LONGEST_LINE = 500

# Lines of errors, and different tracebacks, in the text of several errors. `print_tracebacks` prints all of them.
_MOST_LINES = 32
_MOST_TRACEBACKS = 3

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

    # Before IPython 8.8, cells have no names but those of their files.
    name_of = getattr(getattr(get_ipython(), "compile", None), "format_code_name", None)
    named = None if name_of is None else name_of(filename)
    return None if named is None else " ".join(named)


def grouped(elist: Sequence[Failed]) -> list[list[str]]:
    """The lines of each different traceback below the places of its engines, in order of the first of these."""
    groups: dict[str, tuple[dict[str, list[int]], list[str]]] = {}
    for error in elist:
        lines = _traceback_lines(error)
        places = groups.setdefault(_without_counts("\n".join(lines)), ({}, lines))[0]
        indexes = places.setdefault(_place(error), [])
        if (index := getattr(error, "index", None)) is not None:
            indexes.append(index)
    return [
        [*(f"{place}{_elements(indexes)}:" for place, indexes in places.items()), *lines]
        for places, lines in groups.values()
    ]


def _elements(indexes: Sequence[int]) -> str:
    if not indexes:
        return ""
    shown = ", ".join(map(str, indexes[:_MOST_LINES]))
    more = f" and {len(indexes) - _MOST_LINES} more" if len(indexes) > _MOST_LINES else ""
    return f", element{'s' * (len(indexes) > 1)} {shown}{more}"


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
    return f"{_place(error)}: {ename}: {first}{_element(error)}"


def _element(error: Failed) -> str:
    index = getattr(error, "index", None)
    if index is None:
        return f" ({_elements(error.indexes)[2:]})" if error.indexes else ""
    arguments = getattr(error, "arguments", "")
    return f" (element {index}: {arguments})" if arguments else f" (element {index})"


def called(error: Failed) -> str:
    """Which element of a map an error is from, and what the function was called with; empty when neither is known."""
    index, arguments = getattr(error, "index", None), getattr(error, "arguments", "")
    parts = [] if index is None else [f"element {index} of the map"]
    if arguments:
        parts.append(f"called with ({arguments})")
    return ", ".join(parts)


def overview(elist: Sequence[Failed]) -> list[str]:
    """A line for each error, as far as somebody reads."""
    lines = [one_line(error) for error in elist[:_MOST_LINES]]
    if more := len(elist) - len(lines):
        lines.append(f"… and {more} more")
    return lines


def first_tracebacks(elist: Sequence[Failed]) -> list[str]:
    """The traceback of the first error, then those that differ from it; each once, with the number of its errors."""
    groups: dict[str, list[Failed]] = {}
    for error in elist:
        text: str = getattr(error, "traceback", "").rstrip("\n")
        if text:
            groups.setdefault(_frames_of(text, getattr(error, "ename", "")), []).append(error)
    lines: list[str] = []
    for errors in list(groups.values())[:_MOST_TRACEBACKS]:
        first = errors[0]
        place = called(first)
        title = f"{_place(first)}, {place}" if place else _place(first)
        if more := len(errors) - 1:
            title += f"; {more} more like it"
        lines += ["", f"{title}:", *shortened(first.traceback.rstrip("\n")).splitlines()]  # type: ignore[attr-defined]
    if (more := len(groups) - _MOST_TRACEBACKS) > 0:
        lines += ["", f"… and {more} other traceback{'s' * (more > 1)}: print_tracebacks() of this error"]
    return lines


def _frames_of(text: str, ename: str) -> str:
    """What makes a traceback: its places and class, not the text of its error, which often differs by a number only."""
    places = [line for line in _without_counts(text).splitlines() if line.startswith("  File ")]
    return "\n".join([*places, ename]) if places else text


def rendered(error: Failed) -> list[str]:
    """What IPython shows of an error: the user's own frames and the text, without the package's frames."""
    kind = type(error).__name__
    lines = [_RULE, _title(kind), *_callers(error)]
    text = str(error)
    if getattr(error, "_with_tracebacks", False):
        for group in grouped(error.elist):  # type: ignore[attr-defined]
            lines += [*group, ""]
        text = _short_text(error)
    elif _of_cells(error):
        text = _short_text(error)
    return [*lines, *f"{kind}: {text}".splitlines()]


def _of_cells(error: Failed) -> bool:
    """Whether it is several errors of cells, which whoever sits at a prompt has just typed."""
    elist = getattr(error, "elist", ())
    return bool(elist) and all(each.method == "execute" for each in elist)


def _short_text(error: Failed) -> str:
    return "\n".join(error._lines([]))  # type: ignore[attr-defined]


def shortened(text: str) -> str:
    """A text without its middle, when it is longer than somebody reads."""
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters …]\n{text[-half:]}"
