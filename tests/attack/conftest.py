"""What attacks have in common: how often each is tried, and the table of what was survived.

`make test` tries each kind of fault a few times, `make attack` often. Both print a table of kinds and counts; with
`--reliability FILE` it is written into that page, between its two marks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from counting import SURVIVED, Faults, table

_BEGIN, _END = "<!-- attacks: begin -->", "<!-- attacks: end -->"


@pytest.fixture
def faults(record_property: Any) -> Faults:
    """Where a test says what was survived."""
    return Faults(record_property)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability", type=Path, help="the page whose table of attacks is to be written anew")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = [report for report in terminalreporter.stats.get("passed", ()) if report.when == "call"]
    lines = table(entry for report in reports for name, entry in report.user_properties if name == SURVIVED)
    if not lines:
        return
    terminalreporter.section("attacks")
    terminalreporter.write("\n".join(lines) + "\n")
    page = config.getoption("--reliability", None)
    if page is not None:
        before, rest = page.read_text().split(_BEGIN)
        after = rest.split(_END)[1]
        page.write_text("\n".join([before + _BEGIN, *lines, _END + after]))
