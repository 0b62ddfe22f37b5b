"""The guide walked from its first line to its last in one IPython session, with four engines.

Every example of it is a step in `steps_calls` and `steps_magics`; this compares what is printed, checks that no line of
the guide is left out, and keeps `docs/guide-coverage.md`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage_table import TABLE, table
from guide import EXAMPLE, GUIDE, LINES
from sshd import ALIAS, Sshd
from step import Cell, Status, Step
from steps_calls import STEPS as CALLS
from steps_magics import STEPS as MAGICS
from template import Counts, mismatch
from terminal import Command, IPython

STEPS = (*CALLS, *MAGICS)
WRITE = "WRITE_GUIDE_COVERAGE"


def test_the_guide_is_as_its_author_left_it() -> None:
    digest = hashlib.sha256(GUIDE.read_bytes()).hexdigest()
    assert digest == "2e6d064b6a336b825c53f985a40581e5da9ac9d13ab72bee7b784780518f7591"


def test_no_line_of_the_guide_is_missing() -> None:
    covered = [number for step in STEPS for number in step.lines]
    assert covered == sorted(set(covered)), "steps overlap, or are not in the guide's order"
    examples = [number for number, line in enumerate(LINES, start=1) if EXAMPLE.match(line)]
    missing = {number: LINES[number - 1] for number in examples if number not in covered}
    assert not missing
    for step in STEPS:
        typed = [number for number in step.lines if LINES[number - 1].startswith(("In [", "$ ", "ipdb>"))]
        assert len(typed) == step.is_example, f"one step, one example: {typed}"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"line {step.first}")
def test_what_is_not_the_guides_says_why(step: Step) -> None:
    if step.status is None:
        assert step.computed_status is not Status.TODAY, "not the guide's, in Python 3 either: give a status and a note"
    else:
        assert step.note or step.shown_at
    if not step.is_example:
        assert step.cells or step.shown_at
    assert set(step.shown_at) <= {other.first for other in STEPS if other.is_example}


@pytest.fixture
def tcp_address() -> Iterator[str]:
    """The command of the guide's first example, in a terminal of its own, and where its controller listens."""
    command = STEPS[0].own.typed
    # The guide's controller listens "on an external port" too; here that is this host's own.
    with Command(command, {"IPCLUSTERZ_LISTEN": "127.0.0.1:0"}) as running:
        said = running.read_until("file: ")
        wrong = mismatch(STEPS[0].own.prints, said, {})
        assert not wrong, wrong
        addresses: list[str] = json.loads(Path(said.split()[-1]).read_text())["addresses"]
        yield next(address for address in addresses if address.startswith("tcp://"))


@pytest.fixture
def my_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guide's other host: this one, through a real sshd, whose user has the clusters of this test."""
    with Sshd() as sshd:
        sshd.config.write_text(sshd.config.read_text().replace(f"Host {ALIAS}", "Host my.server.com"))
        state = sshd.home / ".local/state"
        state.mkdir(parents=True)
        (state / "ipclusterz").symlink_to(os.environ["IPCLUSTERZ_HOME"])
        monkeypatch.setenv("HOME", str(sshd.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        yield


@pytest.mark.usefixtures("my_server")
@pytest.mark.timeout(180)
def test_the_guide_from_its_first_line_to_its_last(tcp_address: str, tmp_path: Path) -> None:
    counts: Counts = {}
    wrong: dict[Step, str] = {}
    with IPython(tmp_path) as session:
        for step in STEPS:
            for cell in step.cells:
                if found := tried(session, cell, step, counts, tcp_address):
                    wrong.setdefault(step, f"\nline {step.first}: {cell.typed}\n{found}")
    difference = "".join(coverage_differs(table(STEPS, wrong)))
    if wrong:
        told = [*session.transcript, "", f"{len(wrong)} examples differ:", *wrong.values()]
        pytest.fail("\n".join(told), pytrace=False)
    assert not difference, f"{difference}\n{WRITE}=1 pytest tests/guide writes it"


def tried(session: IPython, cell: Cell, step: Step, counts: Counts, tcp_address: str) -> str:
    """Type a cell; what is wrong with what it printed."""
    typed = cell.typed.replace("«address»", tcp_address)
    printed = session.complete(typed[:-1]) if typed.endswith("\t") else session.enter(typed, step.timeout)
    return mismatch(cell.prints, printed, counts)


def coverage_differs(text: str) -> Iterator[str]:
    """How the table on disk differs from what it should be; writes it instead when that is asked for."""
    if os.environ.get(WRITE):
        TABLE.write_text(text)
        return
    there = TABLE.read_text() if TABLE.exists() else ""
    yield from difflib.unified_diff(there.splitlines(True), text.splitlines(True), str(TABLE), "this run")
