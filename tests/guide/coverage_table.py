"""The table of the guide's examples: `docs/guide-coverage.md`.

It holds what does not change from run to run: what is typed, and how it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from step import Status, Step

__all__ = ["TABLE", "table"]

TABLE = Path(__file__).parents[2] / "docs" / "guide-coverage.md"

_HEAD = """\
# The multiengine guide, example by example

Written by `tests/guide`, which types the examples of [multiengine.rst](../tests/guide/multiengine.rst) into one IPython
session with four engines, from the first line to the last, and compares what is printed. The lines are the guide's.
"""


def table(steps: Sequence[Step], differing: Collection[Step]) -> str:
    """The whole file.

    Parameters
    ----------
    steps : sequence of Step
        In the order of the guide.
    differing : collection of Step
        Those that printed something else.
    """
    statuses = {step.first: Status.DIFFERS if step in differing else step.stands for step in steps}
    counts = Counter(statuses.values())
    summary = ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])
    rows = [_row(step, statuses[step.first]) for step in steps]
    head = ["| lines | guide | typed today | status | note |", "|---|---|---|---|---|"]
    return "\n".join([_HEAD, f"{len(steps)} examples and notes: {summary}.", "", *head, *rows, ""])


def _row(step: Step, status: Status) -> str:
    lines = str(step.first) if step.first == step.last else f"{step.first}-{step.last}"
    typed = step.own.typed if step.is_example else "\n".join(cell.typed for cell in step.cells)
    code = "<br>".join(_code(line) for line in typed.rstrip("\t").split("\n") if line.strip())
    note = step.note
    if step.shown_at:
        shown = "shown at " + ", ".join(map(str, step.shown_at))
        note = f"{note}; {shown}" if note else shown
    return f"| {lines} | {step.guide.label} | {code} | {status.value} | {_escaped(note)} |"


def _code(line: str) -> str:
    indentation = len(line) - len(line.lstrip())
    return "&nbsp;" * indentation + f"`{_escaped(line.strip())}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
