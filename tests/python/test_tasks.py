"""What a client finds out about tasks of the past, and does with them: `db_query`, `purge_results`, `resubmit`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import count

import pytest
from programs import ran

from ipclusterz import AsyncResult, Client, Cluster, CompositeError, EngineError, HistoryError, RemoteError

_numbers = count()


@pytest.fixture
def mine(cluster: Cluster) -> Iterator[Client]:
    """A client in a session of its own."""
    with cluster.connect_client(session=f"tasks-{next(_numbers)}") as client:
        yield client


def divide(x: int) -> float:
    """A function that fails for 0."""
    return 1 / x


def test_a_query_has_what_happened_to_each_task(mine: Client) -> None:
    began = datetime.now(timezone.utc)
    good, bad = mine[1].apply_async(divide, 2), mine[2].apply_async(divide, 0)
    mine.barrier()
    rows = mine.db_query(session=mine.session)
    assert [row["msg_id"] for row in rows] == mine.history == good.msg_ids + bad.msg_ids
    assert [(row["name"], row["state"], row["engine_id"]) for row in rows] == [
        ("divide", "ok", 1),
        ("divide", "error", 2),
    ]
    for row in rows:
        assert began - timedelta(seconds=1) < row["submitted"] <= row["completed"]
        assert row["started"] <= row["completed"]
        assert row["session"] == mine.session
    assert set(mine.history) <= set(mine.hub_history())


def test_operators_of_queries(mine: Client) -> None:
    first = mine[None].apply_async(divide, 1)
    first.wait()
    between = time.time()
    second = mine[None].apply_async(divide, 0)
    second.wait()
    ids = {"session": mine.session}

    def found(**query: object) -> list[str]:
        return [row["msg_id"] for row in mine.db_query({**ids, **query}, keys=["msg_id"])]

    assert found(submitted={"$gt": between}) == found(submitted={"$gte": between}) == second.msg_ids
    assert found(submitted={"$lt": between}) == found(submitted={"$lte": between}) == first.msg_ids
    moment = datetime.fromtimestamp(between, timezone.utc)
    assert found(completed={"$gt": moment}) == second.msg_ids
    assert found(state={"$in": ["error", "lost"]}) == found(status={"$ne": "ok"}) == second.msg_ids
    assert found(state={"$nin": ["error"]}) == found(state="ok") == first.msg_ids
    assert found(submitted={"$gt": between, "$lt": between}) == []
    assert mine.db_query(ids, keys="name", state="ok") == [{"name": "divide"}]


def test_what_waits_is_found_too(mine: Client) -> None:
    mine[0].apply_async(time.sleep, 0.5)
    waiting = mine[0].apply_async(abs, -1)
    (row,) = mine.db_query({"msg_id": waiting.msg_ids[0]})
    assert (row["state"], row["started"], row["completed"]) == ("running", None, None)
    mine.barrier()


def test_results_by_their_ids(mine: Client) -> None:
    four = mine[:].apply_async(lambda: 7)
    one = mine[1].apply_async(abs, -1)
    mapped = mine[None].map_async(divide, [1, 2, 4, 0], chunksize=2)
    mine.barrier()
    assert mine.get_result(four.msg_ids) is four
    assert mine.get_result(four) is four
    assert mine.get_result([-2]) is one
    single = mine.get_result(four.msg_ids[2])
    assert (single.get(), single.engine_ids, single.msg_ids) == (7, [2], [four.msg_ids[2]])
    several = mine.get_result([four.msg_ids[0], one.msg_ids[0]])
    assert (several.get(), several.progress, several.done()) == ([7, 1], 2, True)
    part = mine.get_result(mapped.msg_ids[1])
    assert part.get(return_exceptions=True)[0] == 0.25
    with pytest.raises(CompositeError):
        part.get()
    assert mine.results[one.msg_ids[0]] == 1
    assert isinstance(mine.results[mapped.msg_ids[1]][1], RemoteError)
    assert mine.get_result(-2, block=True) == 1


def test_ids_that_name_nothing(mine: Client) -> None:
    ar = mine[None].apply_async(abs, -1)
    prefix = ar.msg_ids[0].split("-")[0]
    with pytest.raises(ValueError, match="is no message id"):
        mine.get_result("nonsense")
    with pytest.raises(ValueError, match="never submitted"):
        mine.get_result(f"{prefix}-99-0")
    ar.wait()
    with pytest.raises(ValueError, match="never submitted"):
        mine.get_result(f"{prefix}-1-3")
    with pytest.raises(KeyError):
        mine.results["nonsense"]


def test_what_is_purged_is_gone_here_and_there(mine: Client) -> None:
    first, second = mine[0].apply_async(abs, -1), mine[1].apply_async(abs, -2)
    third = mine[:].apply_async(abs, -3)
    mine.barrier()
    mine.purge_results(first)
    with pytest.raises(EngineError, match=r"it was purged at 20.* UTC"):
        mine.get_result(first.msg_ids).get(10)
    assert [row["msg_id"] for row in mine.db_query(session=mine.session)] == second.msg_ids + third.msg_ids
    mine.purge_results(targets=1)
    assert [row["msg_id"] for row in mine.db_query(session=mine.session)] == third.msg_ids
    mine.purge_results("all")
    assert mine.db_query(session=mine.session) == []


def test_what_was_submitted_here_is_submitted_again(mine: Client) -> None:
    one = mine[None].apply_async(pow, 2, 10)
    mapped = mine[:].map_async(abs, range(-8, 0))
    assert mine.resubmit(one).get(10) == 1024
    again = mine.resubmit(mapped.msg_ids)
    assert (type(again), again.get(10)) == (type(mapped), mapped.get(10))
    assert again.msg_ids != mapped.msg_ids
    both = mine.resubmit([*one.msg_ids, *mapped.msg_ids])
    assert [result.get(10) for result in both] == [1024, mapped.get()]
    assert mine.resubmit(-1, block=True) == mapped.get()


def test_what_cannot_be_submitted_again(cluster: Cluster, mine: Client) -> None:
    large = mine[None].apply_async(len, bytes(2 << 20))
    with pytest.raises(HistoryError, match="more than 1 MiB"):
        mine.resubmit(large)
    message_ids = mine[None].apply_async(abs, -1).msg_ids
    mine.barrier()
    with pytest.raises(HistoryError, match="its function and arguments have gone"):
        mine.resubmit(message_ids)
    ran(cluster, "client(session='tasks-others')[None].apply_async(abs, -1).wait()")
    with cluster.connect_client(session="tasks-others") as rc:
        assert isinstance(rc.get_result(-1), AsyncResult)
        with pytest.raises(HistoryError, match="was submitted by another client"):
            rc.resubmit(-1)
