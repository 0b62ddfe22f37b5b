"""What attacks have in common: how often each is tried, and the table of what was survived.

`make test` tries each kind of fault a few times, `make attack` often. Both print a table of kinds and counts; with
`--reliability FILE` it is written into that page, between its two marks.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

WHOLE = os.environ.get("ATTACK") == "whole"
_SURVIVED = "survived fault"
_BEGIN, _END = "<!-- attacks: begin -->", "<!-- attacks: end -->"


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
        self._record(_SURVIVED, (area, kind, count, outcome))


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


@pytest.fixture
def faults(record_property: Any) -> Faults:
    """Where a test says what was survived."""
    return Faults(record_property)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability", type=Path, help="the page whose table of attacks is to be written anew")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = [report for report in terminalreporter.stats.get("passed", ()) if report.when == "call"]
    lines = table(entry for report in reports for name, entry in report.user_properties if name == _SURVIVED)
    if not lines:
        return
    terminalreporter.section("attacks")
    terminalreporter.write("\n".join(lines) + "\n")
    page = config.getoption("--reliability", None)
    if page is not None:
        before, rest = page.read_text().split(_BEGIN)
        after = rest.split(_END)[1]
        page.write_text("\n".join([before + _BEGIN, *lines, _END + after]))


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
