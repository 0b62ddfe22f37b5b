"""How clusters, clients, views and results are shown in a notebook: a small table of what is known here.

Nothing is asked of the cluster for it, so that showing an object cannot wait, and nothing is raised.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Rows = list[tuple[str, object]]

__all__ = ["numbers", "table"]

_LONGEST = 200


def table(title: str, rows: Callable[[], Rows]) -> str:
    """A table in HTML with a row for each name and value.

    Parameters
    ----------
    title : str
        Its heading.
    rows : callable
        Gives the rows. What it raises is shown instead.
    """
    # Start-up: for notebooks.
    from html import escape

    try:
        lines = [(name, str(value)) for name, value in rows()]
    except Exception as error:
        lines = [("state", f"{type(error).__name__}: {error}")]
    left = 'style="text-align: left"'
    body = "".join(
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(_short(value))}</td></tr>" for name, value in lines
    )
    return f"<table><caption><b>{escape(title)}</b></caption><tbody>{body}</tbody></table>"


def numbers(ids: Iterable[int]) -> str:
    """Ids in one line: ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
