"""What user code does to its engine: the engine survives, or says within seconds how it died; the others work on."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Any

import hostile_deadly  # noqa: F401
import hostile_lasting  # noqa: F401
import hostile_passing  # noqa: F401
import pytest
from kinds import DEADLY, LASTING, PASSING, Kind

from ipclusterz import Client, Cluster, EngineError, RemoteError, UnknownEngine
from ipclusterz.error import SerializationError

WHOLE = os.environ.get("ATTACK") == "whole"
SECONDS = 20
# Each of these takes an engine for itself.
SOME_LASTING = LASTING if WHOLE else LASTING[3::6]
SOME_DEADLY = list(DEADLY) if WHOLE else list(DEADLY)[::4]


def name(kind: Kind) -> str:
    return kind.__name__.replace("_", " ")


def seven(rc: Client, engine: int) -> None:
    """The next call works."""
    assert rc[engine].apply_async(int, "7").get(timeout=SECONDS) == 7


@pytest.fixture(scope="module")
def victims() -> Iterator[tuple[Client, Iterator[int]]]:
    """A client, and engines that may be damaged; engine 0 is not."""
    count = 1 + len(SOME_LASTING) + len(SOME_DEADLY)
    cluster = Cluster(n=count, cluster=f"victims-{os.getpid()}", timeout=120).start()
    with cluster.connect_client() as rc:
        yield rc, iter(range(1, count))
    cluster.stop()


def answer(rc: Client, engine: int, *call: Any) -> BaseException | None:
    """The error that came of a call, if one did; some answer there is in any case."""
    try:
        rc[engine].apply_async(*call).get(timeout=SECONDS)
    except (RemoteError, SerializationError, EngineError, UnknownEngine) as error:
        return error
    return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", PASSING, ids=name)
def test_a_task_ends_and_its_engine_goes_on(kind: Kind, rc: Client, faults, capfd) -> None:
    before = rc[0].apply_sync(os.getpid)
    for _ in range(times := faults.times(1, 20)):
        error = answer(rc, 0, kind)
        assert error is None or (str(error) and repr(error) and not isinstance(error, EngineError))
    seven(rc, 0)
    assert rc[0].apply_sync(os.getpid) == before
    faults.survived("code", name(kind), times, "a value or an error; the engine goes on")


@pytest.mark.parametrize("kind", SOME_LASTING, ids=name)
def test_an_engine_answers_whatever_its_process_has_become(kind: Kind, victims, faults, capfd) -> None:
    rc, engines = victims
    engine = next(engines)
    outcomes = [outcome(answer(rc, engine, kind)), outcome(answer(rc, engine, int, "7"))]
    seven(rc, 0)
    faults.survived("code", name(kind), 1, "; then ".join(outcomes))


def outcome(error: BaseException | None) -> str:
    if isinstance(error, EngineError | UnknownEngine):
        assert re.search("signal: |exit status: ", str(error)), str(error)
        return "the engine has died, and the error says how"
    return "a value" if error is None else "an error"


@pytest.mark.parametrize("kind", SOME_DEADLY, ids=name)
def test_an_engine_that_dies_says_how(kind: Kind, victims, faults, capfd) -> None:
    rc, engines = victims
    engine = next(engines)
    # Some die only when the task is over.
    error = answer(rc, engine, kind) or answer(rc, engine, time.sleep, SECONDS)
    assert isinstance(error, EngineError), repr(error)
    assert re.search(DEADLY[kind], str(error)), str(error)
    seven(rc, 0)
    faults.survived("code", name(kind), 1, "the engine dies, and the error says how; the others go on")
