"""Results of chosen calls, and what is known of calls as items and attributes."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import hold, until

from ipclusterz import AsyncResult, Client, RemoteError
from ipclusterz.client.mapping import MapResult


def test_join_and_split(rc: Client) -> None:
    results = [rc[engine].apply_async(pow, engine, 2) for engine in range(3)]
    joined = AsyncResult.join(*results, rc[2:].apply_async(abs, -7))
    assert joined.get(10) == [0, 1, 4, 7, 7]
    assert joined.engine_ids == [0, 1, 2, 2, 3]
    assert joined.msg_ids[:3] == [result.msg_ids[0] for result in results]
    assert joined.successful()
    parts = joined.split()
    assert [part.get(10) for part in parts] == [0, 1, 4, 7, 7]
    assert [part.msg_id for part in parts] == joined.msg_ids
    assert AsyncResult.join(results[0]).get(10) == [0]


def test_join_and_split_of_maps(rc: Client) -> None:
    maps = [rc[:2].map_async(abs, [-1, -2, -3]), rc[None].map_async(abs, [-4, -5], chunksize=1)]
    joined = AsyncResult.join(*maps)
    assert isinstance(joined, MapResult)
    assert (list(joined), len(joined)) == ([1, 2, 3, 4, 5], 5)
    assert [part.get(10) for part in joined.split()] == [[1, 2], [3], [4], [5]]


def test_a_failed_one_among_those_that_are_joined(rc: Client) -> None:
    joined = AsyncResult.join(rc[0].apply_async(abs, -1), rc[1].apply_async(lambda: 1 / 0))
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        joined.get(10)
    good, bad = joined.split()
    assert good.get(10) == 1
    assert isinstance(bad.exception(10), RemoteError)
    assert joined["status"] == ["ok", "error"]


def test_what_cannot_be_joined(rc: Client, cluster: object) -> None:
    with pytest.raises(TypeError, match="results are joined, not int: 3"):
        AsyncResult.join(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="these are of none"):
        AsyncResult.join()


def test_fields_of_metadata(rc: Client) -> None:
    several, one = rc[:2].apply_async(print, "said"), rc[1].apply_async(print, "said")
    rc.barrier([several, one], timeout=10)
    assert (several["engine_id"], several.engine_id) == ([0, 1], [0, 1])
    assert (one["stdout"], one.engine_id, one.status) == ("said\n", 1, "ok")
    assert one.metadata.engine_uuid == one["engine_uuid"] == several.engine_uuid[1]
    assert [record.started for record in several.metadata] == several.started
    assert one.started <= one.completed <= one.received
    with pytest.raises(KeyError, match=r"are msg_id, status.*not 'colour'"):
        one["colour"]
    with pytest.raises(AttributeError, match="not 'colour'"):
        one.metadata.colour  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        one.colour  # noqa: B018
    chunks = rc[:2].map_async(abs, [-1, -2, -3])
    assert chunks.get() == [1, 2, 3]
    assert chunks["engine_id"] == [0, 1]


def test_queue_and_result_status(rc: Client) -> None:
    # Another test's answers may be on their way to the controller.
    until(lambda: all(rc.queue_status(engine)[engine]["queue"] == 0 for engine in range(4)))
    before = rc.queue_status()
    rc[:2].apply_async(abs, -1).get(10)
    until(lambda: rc.queue_status()[1]["completed"] == before[1]["completed"] + 1)
    assert set(rc.queue_status([0, 2])) == {0, 2, "unassigned"}
    assert rc.queue_status(0, verbose=True)[0]["queue"] == []


def test_which_tasks_engines_have(rc: Client, gate: Path) -> None:
    running = rc[0].apply_async(hold, gate, "begun")
    waiting = rc[0].apply_async(abs, -1)
    until(lambda: running.stdout)
    assert not rc.wait([running, waiting], timeout=0.01)
    assert rc.result_status([running, waiting]) == {"pending": running.msg_ids + waiting.msg_ids, "completed": []}
    until(lambda: rc.queue_status(0)[0]["queue"] == 2)
    until(lambda: rc.queue_status(0, verbose=True)[0]["queue"] == running.msg_ids + waiting.msg_ids)
    gate.touch()
    assert rc.wait([running, waiting], timeout=10)
    assert rc.result_status(waiting.msg_ids)["completed"] == waiting.msg_ids


def test_labels_are_the_names_of_tasks(rc: Client) -> None:
    view, balanced = rc.broadcast_view(), rc[None]
    view.label, balanced.label = "all", "any"
    results = [view.apply_async(abs, -1), view.map_async(abs, [1]), view.execute("1", block=False)]
    results += [balanced.apply_async(abs, -1), balanced.map_async(abs, [1])]
    results.append(rc[:].apply_async(abs, -1))
    assert rc.wait(results, timeout=10)

    def names() -> list[str]:
        ids = [result.msg_ids[0] for result in results]
        rows = {row["msg_id"]: row["name"] for row in rc.db_query(keys=("msg_id", "name"), session=rc.session)}
        return [rows.get(each, "") for each in ids]

    until(lambda: all(names()))
    assert names() == ["all", "all", "all", "any", "any", "abs"]
    with pytest.raises(TypeError, match="a label is a text or None, not int"):
        view.label = 3  # type: ignore[assignment]
