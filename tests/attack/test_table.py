"""The table of what was survived, as a run with several workers writes it into a page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_some(number, faults):
    faults.survived("frames", "of one kind", 250, "lived")

def test_another(faults):
    faults.survived("clocks", "of another", faults.times(1, 2), "lived")

def test_that_fails(faults):
    faults.survived("disks", "not survived", 5, "lived")
    raise ValueError
"""
PAGE = "# Title\n\n<!-- attacks: begin -->\nold\n<!-- attacks: end -->\n\nThe end.\n"


def test_kinds_are_added_up_and_written_between_the_marks(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "page.md").write_text(PAGE)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    environment = {**os.environ, "ATTACK": "whole", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [*command, "--reliability", "page.md", "."], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "1 failed, 5 passed" in done.stdout, done.stdout + done.stderr
    lines = [
        "| area | kind of fault | faults | outcome |",
        "|---|---|---|---|",
        "| clocks | of another | 2 | lived |",
        "| frames | of one kind | 1,000 | lived |",
        "| all | 2 kinds | 1,002 | |",
    ]
    assert (tmp_path / "page.md").read_text() == PAGE.replace("old", "\n".join(lines))
    assert all(line in done.stdout for line in lines)


def test_an_area_that_there_is_not_is_refused(faults) -> None:
    with pytest.raises(AssertionError, match="'elsewhere' is none of "):
        faults.survived("elsewhere", "of some kind", 1, "lived")
