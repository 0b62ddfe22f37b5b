"""Counts of faults that were survived, and the table of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

WHOLE = os.environ.get("ATTACK") == "whole"
SURVIVED = "survived fault"


class Faults:
    """Counts the faults that a test has survived."""

    def __init__(self, record: Any) -> None:
        self._record = record

    @staticmethod
    def times(part: int, whole: int) -> int:
        """How often to try: `part` in `make test`, `whole` in `make attack`."""
        return whole if WHOLE else part

    def survived(self, area: str, kind: str, count: int, outcome: str) -> None:
        """Enter a line of the table; to be called after the assertions.

        `area` is one of `AREAS`; `kind` says what was done, `outcome` what happened: a few words each.
        """
        assert area in AREAS, f"{area!r} is none of {', '.join(AREAS)}"
        self._record(SURVIVED, (area, kind, count, outcome))


AREAS = (
    "strangers",
    "frames",
    "cuts",
    "descriptors",
    "disks",
    "clocks",
    "signals",
    "stopped",
    "forks",
    "code",
    "races",
    "network",
    "ranks",
)


def table(entries: Iterable[tuple[str, str, int, str]]) -> list[str]:
    """The faults of each kind, added up, as a table in Markdown."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for area, kind, count, outcome in entries:
        counts[area, kind, outcome] += count
    if not counts:
        return []
    rows = [f"| {area} | {kind} | {count:,} | {outcome} |" for (area, kind, outcome), count in sorted(counts.items())]
    total = f"| all | {len(counts)} kinds | {counts.total():,} | |"
    return ["| area | kind of fault | faults | outcome |", "|---|---|---|---|", *rows, total]
