"""Simulated engines and clients against a real controller, a small part of what `make overload` does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from overload import executions
from peer_cluster import count_executions

FOLDER = Path(__file__).parent
KILLS = 3
"""How often the controller is killed."""


def overload(*options: str, kills: int = 0) -> tuple[int, dict[str, Any]]:
    """The exit code and the report of a run with four clients."""
    command = [sys.executable, FOLDER / "overload.py", "--clients", "4", "--engines", "16", "--deadline", "40"]
    command += ["--kills", str(kills), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_every_task_is_answered_once_and_right() -> None:
    # They take some seconds, so that they are not over before the last kill.
    code, found = overload("--tasks", "20000", "--direct", "0.1", "--busy", "0..0.006", kills=KILLS)
    assert found["problems"] == []
    assert code == 0
    assert len(found["kills"]) == KILLS
    assert found["clients"]["ok"] == 20000
    assert found["executions"] == {"total": 20000, "tasks_more_than_once": 0, "tasks_never": 0}
    assert found["controller"]["peak_bytes"] > 1 << 20
    assert found["controller"]["cpu_seconds"] > 0


def test_errors_that_were_asked_for_are_counted_by_name() -> None:
    code, found = overload("--tasks", "4000", "--fail", "0.25", "--seed", "3", "--busy", "0..0.001")
    assert code == 0, found
    errors = found["clients"]["other"].pop("error")
    assert found["clients"]["other"] == {}
    assert 600 < errors < 1400
    assert found["clients"]["ok"] + errors == 4000


def test_wrong_answers_are_a_problem() -> None:
    code, found = overload("--tasks", "4000", "--wrong", "0.25")
    wrong = found["clients"]["wrong"]
    assert 600 < wrong < 1400
    assert found["clients"]["ok"] == 4000 - wrong
    assert found["problems"] == [f"{wrong} tasks were answered wrongly"]
    assert code == 1


def test_tasks_that_get_no_answer_are_a_problem() -> None:
    code, found = overload("--tasks", "4000", "--window", "10", "--busy", "60..60", "--deadline", "1")
    assert code == 1
    # The 40 that were submitted: some wait, and 16 engines work on the others.
    assert found["clients"]["missing"] == 40
    assert found["problems"] == ["3960 tasks were not submitted", "40 tasks were not answered"]


def test_a_task_that_was_executed_twice_is_found(tmp_path: Path) -> None:
    file = tmp_path / "executions"
    file.write_bytes(b"".join(key.to_bytes(8, "little") for key in (1, 2, 3, 2, 2, 1 << 63)))
    assert count_executions(file) == {1: 1, 2: 3, 3: 1, 1 << 63: 1}
    assert executions(file, tasks=5) == {"total": 6, "tasks_more_than_once": 1, "tasks_never": 1}
