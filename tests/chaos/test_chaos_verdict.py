"""The judge of chaos finds what is lost, wrong and doubled, and allows what the rules allow."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chaos_cluster import Run
from chaos_faults import KINDS, plan
from chaos_verdict import Judge, Verdict

Judged = Callable[..., Verdict]
RIGHT = {"is": "right"}
DIED = {"is": "error", "errors": [{"error": "EngineError", "engine": 1, "text": "engine 1 died"}]}
REFUSED = {"is": "error", "errors": [{"error": "RejectedError", "engine": -1, "text": "no requests are taken: full"}]}


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    """Judges one call of a client: what it said, how often it was executed, and the faults."""

    def judge(
        answer: dict[str, Any] | None,
        places: tuple[int, ...] = (11,),
        faults: tuple[dict[str, Any], ...] = (),
        ended: float | None = None,
        later: tuple[dict[str, Any], ...] = (),
        host: str = "head",
        **said: Any,
    ) -> Verdict:
        lines = [{"t": 99.0, "began": 7, "host": host}, {"t": 100.0, "key": "c0.1", "kind": "direct", **said}]
        lines += [{"t": 101.0, "key": "c0.1", **line} for line in later]
        lines += [] if answer is None else [{"t": 110.0, "key": "c0.1", **answer}]
        (tmp_path / "clients").mkdir()
        (tmp_path / "clients" / "c0.log").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"t": 1')
        (tmp_path / "executions").write_text("".join(f"c0.1 head {pid}\n" for pid in places))
        run = Run(0, 0.0, ended, ["c0"])
        return Judge(tmp_path, list(faults), [run]).verdict()

    return judge


def killed(engine: int, at: float, pid: int = 11) -> dict[str, Any]:
    return {"kind": "kill engine", "engine": engine, "t": at, "host": "head", "pid": pid, "name": f"engine {engine}"}


def outcome(verdict: Verdict) -> str:
    [found] = verdict.outcomes
    return found


def test_a_right_answer(judged: Judged) -> None:
    verdict = judged(RIGHT)
    assert (outcome(verdict), verdict.lost, verdict.wrong, verdict.doubled) == ("right", [], [], [])


def test_a_wrong_answer(judged: Judged) -> None:
    assert outcome(judged({"is": "wrong"})) == "wrong"


def test_an_answer_of_a_call_that_nobody_executed(judged: Judged) -> None:
    assert outcome(judged(RIGHT, places=())) == "wrong"


def test_no_answer(judged: Judged) -> None:
    verdict = judged(None)
    assert outcome(verdict) == "lost"
    assert len(verdict.lost) == 1


SUBMITTED, FOUND = {"ids": ["1-0"]}, {"taken_over": True}


@pytest.mark.parametrize(
    ("later", "places", "expected"),
    [
        ((), (), "never sent by its client, which was killed"),
        ((), (11,), "never sent by its client, which was killed"),
        ((SUBMITTED,), (), "never sent by its client, which was killed"),
        ((SUBMITTED,), (11,), "lost"),
        ((SUBMITTED, FOUND), (), "lost"),
    ],
    ids=["not submitted", "its ids are not known", "not executed", "executed and not found", "found"],
)
def test_no_answer_of_a_client_that_was_killed(
    later: tuple[dict[str, Any], ...], places: tuple[int, ...], expected: str, judged: Judged
) -> None:
    fault = {"kind": "kill client", "name": "c0", "t": 105.0}
    assert outcome(judged(None, faults=(fault,), places=places, later=later)) == expected


def test_an_answer_for_the_next_client_of_a_session(judged: Judged) -> None:
    assert outcome(judged(RIGHT, later=(SUBMITTED, FOUND))) == "right, for the next client of the session"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (killed(1, 105), "its engine was killed"),
        (killed(1, 90), "lost"),
        (killed(1, 115), "lost"),
        (killed(2, 105), "lost"),
    ],
    ids=["in its time", "before", "after", "another engine"],
)
def test_an_engine_error(judged: Judged, fault: dict[str, Any], expected: str) -> None:
    assert outcome(judged(DIED, faults=(fault,))) == expected


@pytest.mark.parametrize(
    ("host", "links", "expected"),
    [
        ("n1", [("cut", 89, 99)], "its engine was killed"),
        ("n1", [("cut", 89, 92), ("slow", 92, 104)], "its engine was killed"),
        ("n1", [("lossy", 89, 94)], "lost"),
        ("n1", [("cut", 95, 99)], "lost"),
        ("n2", [("cut", 89, 99)], "lost"),
    ],
    ids=["cut off", "cut off, and slow", "long before", "later", "another host"],
)
def test_an_engine_error_of_a_client_that_could_not_know(
    judged: Judged, host: str, links: list[tuple[str, float, float]], expected: str
) -> None:
    faults = [{"kind": f"{kind} link", "host": "n1", "t": at, "end": end} for kind, at, end in links]
    assert outcome(judged(DIED, faults=(killed(1, 90), *faults), host=host)) == expected


@pytest.mark.parametrize(("at", "expected"), [(105.0, "refused: the disk was full"), (50.0, "lost")])
def test_a_refusal(judged: Judged, at: float, expected: str) -> None:
    fault = {"kind": "fill disk", "t": at, "end": at + 1}
    assert outcome(judged(REFUSED, places=(), faults=(fault,))) == expected


@pytest.mark.parametrize(("ended", "expected"), [(108.0, "ended with its cluster"), (120.0, "lost")])
def test_an_error_of_a_cluster_that_ended(judged: Judged, ended: float, expected: str) -> None:
    assert outcome(judged(DIED, ended=ended)) == expected


def test_a_call_that_was_executed_twice(judged: Judged) -> None:
    assert len(judged(RIGHT, places=(11, 12), faults=(killed(1, 105),)).doubled) == 1


@pytest.mark.parametrize(("pid", "doubled"), [(11, 0), (13, 1)], ids=["after a kill", "without a kill"])
def test_a_call_with_retries_that_was_executed_twice(judged: Judged, pid: int, doubled: int) -> None:
    verdict = judged(RIGHT, places=(11, 12), faults=(killed(1, 105, pid),), retries=2)
    assert len(verdict.doubled) == doubled


def test_the_plan_is_that_of_its_seed_and_has_all_kinds() -> None:
    first, again, other = ([*itertools.islice(plan(seed, 8), 2 * len(KINDS))] for seed in (3, 3, 4))
    assert first == again != other
    assert {fault.kind for fault in first[: len(KINDS)]} == set(KINDS)
