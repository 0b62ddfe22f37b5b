"""`imap`: elements are taken as results are, and all maps give what the serial map gives."""

from __future__ import annotations

import operator
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import hold, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import ran

import ipclusterz as ipz
from ipclusterz import Client, Cluster, LoadBalancedView, RemoteError

both = pytest.mark.parametrize(
    "make",
    [lambda rc: rc, lambda rc: rc[:], lambda rc: rc[1], lambda rc: rc[None]],
    ids=["client", "view", "one", "any"],
)
Make = Callable[[Client], Any]


class Taken:
    """An endless sequence of numbers that counts what was taken of it."""

    def __init__(self) -> None:
        self.count = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.count += 1
        return self.count - 1


# -- results -----------------------------------------------------------------------------------------------------------


@both
def test_ordered(rc: Client, make: Make) -> None:
    view = make(rc)
    assert list(view.imap(operator.neg, range(50))) == [-number for number in range(50)]
    assert list(view.imap(operator.add, range(5), [10] * 3)) == [10, 11, 12]
    assert list(view.imap(operator.neg, np.arange(3), chunksize=2)) == [0, -1, -2]
    assert list(view.imap(str.upper, "abc", chunksize=2)) == ["A", "B", "C"]
    assert list(view.imap(abs, [])) == []
    assert list(view.imap(abs, [], count())) == []


@both
@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_unordered(rc: Client, make: Make, chunksize: int) -> None:
    results = make(rc).imap(operator.neg, range(50), ordered=False, chunksize=chunksize)
    assert sorted(results) == sorted(-number for number in range(50))


def test_unordered_results_come_as_they_are_done(lview: LoadBalancedView, gate: Path) -> None:
    def work(index: int, gate: str) -> int:
        if index == 0:
            hold(gate)
        return index

    results = lview.imap(work, range(30), [str(gate)] * 30, ordered=False, max_outstanding=4)
    early = [next(results) for _ in range(29)]
    assert sorted(early) == list(range(1, 30))
    gate.touch()
    assert list(results) == [0]


def test_ordered_results_wait_for_the_first(lview: LoadBalancedView, gate: Path, rc: Client) -> None:
    def work(index: int, gate: str) -> int:
        if index == 1:
            hold(gate, "held")
        return index

    taken = Taken()
    results = lview.imap(work, taken, iter(lambda: str(gate), None), max_outstanding=3)
    assert next(results) == 0
    gate.touch()
    assert [next(results) for _ in range(5)] == [1, 2, 3, 4, 5]
    results.close()


@both
def test_endless(rc: Client, make: Make) -> None:
    squares = make(rc).imap(lambda x, y: x * y, count(), count())
    assert list(islice(squares, 100)) == [number**2 for number in range(100)]
    squares.close()
    unordered = make(rc).imap(abs, count(), ordered=False, chunksize=5)
    assert len(set(islice(unordered, 100))) == 100


# -- laziness ----------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("chunksize", [1, 4])
@pytest.mark.parametrize("outstanding", [1, 2, 7])
def test_no_more_is_taken_than_may_be_under_way(
    rc: Client, make: Make, ordered: bool, chunksize: int, outstanding: int
) -> None:
    taken = Taken()
    results = make(rc).imap(abs, taken, max_outstanding=outstanding, ordered=ordered, chunksize=chunksize)
    assert taken.count == 0
    for given_out in range(1, 30):
        next(results)
        # Chunks whose results were all given out, and those under way.
        finished = (given_out - 1) // chunksize
        assert taken.count == (finished + outstanding) * chunksize
    results.close()


def test_what_is_under_way_is_twice_the_engines_at_first(rc: Client) -> None:
    for view, expected in (
        (rc, 8),
        (rc[:], 8),
        (rc[0, 1], 4),
        (rc[3], 2),
        (rc[None], 8),
        (rc.load_balanced_view([1]), 2),
    ):
        taken = Taken()
        next(view.imap(abs, taken))
        assert taken.count == expected


def test_nothing_is_taken_before_the_first_result_is_asked_for(lview: LoadBalancedView) -> None:
    taken = Taken()
    results = lview.imap(abs, taken)
    assert taken.count == 0
    del results
    assert taken.count == 0


def test_the_longer_sequence_is_not_taken_beyond_the_shorter(lview: LoadBalancedView) -> None:
    taken = Taken()
    assert list(lview.imap(operator.add, taken, range(5), max_outstanding=2, chunksize=2)) == [0, 2, 4, 6, 8]
    # As the builtin does: one to see that the other has ended.
    assert taken.count == 6


def test_engines_share_the_work(rc: Client) -> None:
    def process_id(_number: int) -> int:
        return os.getpid()

    engines = rc.apply(os.getpid, block=True)
    assert set(rc.imap(process_id, range(200), targets=[1, 2])) <= {engines[1], engines[2]}
    assert set(rc[3].imap(process_id, range(20))) == {engines[3]}
    used = Counter(rc.imap(process_id, range(400)))
    assert set(used) <= set(engines.values())
    assert len(used) > 1


# -- errors and early ends ---------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("chunksize", [1, 3])
def test_an_error_is_raised_in_its_turn(rc: Client, make: Make, chunksize: int) -> None:
    taken = Taken()
    results = make(rc).imap(lambda x: 12 // (6 - x), taken, max_outstanding=2, chunksize=chunksize)
    assert [next(results) for _ in range(6)] == [12 // (6 - x) for x in range(6)]
    with pytest.raises(RemoteError, match="ZeroDivisionError") as caught:
        next(results)
    assert caught.value.index == 6
    # The others of its chunk, and those behind it, are there.
    assert [next(results) for _ in range(5)] == [12 // (6 - x) for x in range(7, 12)]
    results.close()
    assert list(results) == []
    assert taken.count <= 12 + 2 * chunksize


@pytest.mark.parametrize("chunksize", [1, 4])
@pytest.mark.parametrize("ordered", [True, False])
def test_an_error_of_the_sequence_loses_no_results(lview: LoadBalancedView, ordered: bool, chunksize: int) -> None:
    def numbers() -> Iterator[int]:
        yield from range(10)
        raise OSError("no more numbers")

    results = lview.imap(abs, numbers(), max_outstanding=3, ordered=ordered, chunksize=chunksize)
    assert sorted(next(results) for _ in range(10)) == list(range(10))
    with pytest.raises(OSError, match="no more numbers"):
        next(results)


@pytest.mark.parametrize("ordered", [True, False])
def test_who_stops_early_leaves_no_work_behind(rc: Client, gate: Path, tmp_path: Path, ordered: bool) -> None:
    def work(index: int, gate: str, note: str) -> int:
        if index > 0:
            with open(note, "a") as file:
                file.write(f"{index}\n")
            hold(gate)
        return index

    note = tmp_path / f"note-{ordered}"
    view = rc.load_balanced_view([2])
    arguments = iter(lambda: str(gate), None), iter(lambda: str(note), None)
    results = view.imap(work, count(), *arguments, max_outstanding=8, ordered=ordered)
    assert next(results) == 0
    until(lambda: note.exists() and note.read_text() == "1\n")
    assert rc.status()["engines"][2]["queue"] + rc.status()["pending"] > 1
    results.close()
    until(lambda: rc.status()["engines"][2]["queue"] == 1 and rc.status()["pending"] == 0)
    gate.touch()
    rc.barrier(timeout=20)
    # One engine had begun one task; the rest was given up.
    assert note.read_text() == "1\n"


def test_an_error_gives_up_the_rest(rc: Client, gate: Path, tmp_path: Path) -> None:
    def work(index: int, gate: str, note: str) -> int:
        if index == 0:
            raise ValueError("first")
        with open(note, "a") as file:
            file.write(f"{index}\n")
        hold(gate)
        return index

    note = tmp_path / "note"
    arguments = iter(lambda: str(gate), None), iter(lambda: str(note), None)
    with pytest.raises(RemoteError, match="first"):
        next(rc.load_balanced_view([2]).imap(work, count(), *arguments, max_outstanding=8))
    # At most the one that the engine had begun is left.
    until(lambda: rc.status()["engines"][2]["queue"] <= 1 and rc.status()["pending"] == 0)
    gate.touch()
    rc.barrier(timeout=20)
    assert not note.exists() or note.read_text() == "1\n"


def test_a_client_that_is_closed(own_cluster: Any) -> None:
    rc = own_cluster(1).connect_client()
    results = rc.imap(abs, count())
    assert next(results) == 0
    rc.close()
    with pytest.raises(ipz.IpclusterzError):
        for _ in results:
            pass


# -- bad arguments -----------------------------------------------------------------------------------------------------


@both
def test_bad_arguments_are_refused_at_once(rc: Client, make: Make) -> None:
    imap = make(rc).imap
    for bad in (None, 3, "abs"):
        with pytest.raises(TypeError, match="a function is needed, not"):
            imap(bad, [1])
    with pytest.raises(TypeError, match="at least one sequence"):
        imap(abs)
    for sequences in ((3,), ([1], None), (np.array(1),)):
        with pytest.raises(TypeError, match="a sequence is needed, not"):
            imap(abs, *sequences)
    for name in ("max_outstanding", "chunksize"):
        for number in (0, -1):
            with pytest.raises(ValueError, match=f"{name} must be at least 1, not {number}"):
                imap(abs, [1], **{name: number})
        for value in (1.5, "2", True, [1]):
            with pytest.raises(TypeError, match=f"{name} is a whole number, not"):
                imap(abs, [1], **{name: value})
    assert list(imap(abs, [-1, -2], max_outstanding=np.int64(1), chunksize=np.int64(2))) == [1, 2]
    with pytest.raises(TypeError):
        imap(abs, [1], block=True)


# -- every map is the builtin map --------------------------------------------------------------------------------------

values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
elements = values | st.lists(values, max_size=3) | st.tuples(values, values)
sequences = (
    st.lists(elements, max_size=30)
    | st.lists(elements, max_size=30).map(tuple)
    | st.text()
    | st.binary()
    | st.integers(0, 30).map(range)
    | st.dictionaries(st.integers(), values)
    | st.sets(st.integers())
    | st.lists(st.integers(-(2**62), 2**62)).map(lambda numbers: np.array(numbers, dtype=np.int64))
)
# Also what can only be looped over, once.
Wrap = Callable[[Iterable[Any]], Iterable[Any]]
wraps: st.SearchStrategy[Wrap] = st.sampled_from([lambda x: x, iter, lambda x: (item for item in x)])


def together(*arguments: Any) -> Any:
    return arguments


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given_sequences=st.lists(st.tuples(sequences, wraps), min_size=1, max_size=3),
    chunksize=st.none() | st.integers(1, 12),
    outstanding=st.none() | st.integers(1, 9),
    ordered=st.booleans(),
    targets=st.just("all") | st.integers(-4, 3) | st.lists(st.integers(0, 3), min_size=1, unique=True) | st.none(),
)
def test_every_map_equals_the_serial_map(
    rc: Client,
    given_sequences: list[tuple[Any, Wrap]],
    chunksize: int | None,
    outstanding: int | None,
    ordered: bool,
    targets: Any,
) -> None:
    def again() -> list[Iterable[Any]]:
        return [wrap(sequence) for sequence, wrap in given_sequences]

    expected = list(map(together, *again()))
    assert rc.map(together, *again(), targets=targets) == expected
    assert rc.map(together, *again(), targets=targets, block=False).get() == expected
    assert list(rc.map(together, *again(), targets=targets, block=False)) == expected
    lview = rc.load_balanced_view(targets)
    results = lview.map(together, *again(), chunksize=chunksize, ordered=ordered, block=True)
    lazily = rc.imap(
        together,
        *again(),
        targets=targets,
        max_outstanding=outstanding,
        chunksize=chunksize or 1,
        ordered=ordered,
    )
    if ordered:
        assert results == list(lazily) == expected
    else:
        assert Counter(map(repr, results)) == Counter(map(repr, lazily)) == Counter(map(repr, expected))


# -- chunks that are measured ------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("chunksize", [None, "auto"])
def test_measured_chunks(rc: Client, make: Make, chunksize: Any) -> None:
    view = make(rc)
    numbers = list(range(20_000))
    assert list(view.imap(abs, iter(numbers), chunksize=chunksize)) == numbers
    assert sorted(view.imap(abs, iter(numbers), chunksize=chunksize, ordered=False)) == numbers
    assert list(view.imap(operator.add, count(), range(300), chunksize=chunksize)) == list(range(0, 600, 2))
    assert list(view.imap(abs, [], chunksize=chunksize)) == []


def test_measured_chunks_of_slow_elements_are_short(rc: Client) -> None:
    def nap(number: int) -> int:
        import time

        time.sleep(0.02)
        return number

    taken = Taken()
    assert list(islice(rc.imap(nap, taken, chunksize=None), 30)) == list(range(30))
    assert taken.count <= 30 + 8 * 3


def test_a_slow_sequence_is_not_waited_for_until_a_chunk_is_full(rc: Client) -> None:
    def slow() -> Iterator[int]:
        for number in count():
            if number > 1000:
                time.sleep(0.02)
            yield number

    taken = list(islice(rc.imap(abs, slow(), chunksize=None), 1020))
    assert taken == list(range(1020))


def test_iterators_go_on_behind_failed_elements_of_measured_chunks(rc: Client) -> None:
    def work(number: int) -> float:
        return 1 / (number % 100)

    values = list(rc.imap(work, iter(range(1000)), chunksize=None, return_exceptions=True))
    assert [n for n, value in enumerate(values) if isinstance(value, RemoteError)] == list(range(0, 1000, 100))
    iterator, errors = rc.imap(work, iter(range(1000)), chunksize=None), []
    found = 0
    while True:
        try:
            next(iterator)
            found += 1
        except StopIteration:
            break
        except RemoteError as error:
            errors.append(error.index)
    assert errors == list(range(0, 1000, 100))
    assert found == 990


CONSTANT_MEMORY = """
import resource

def numbers(count):
    for number in range(count):
        yield number

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

rc = client()
sum(rc.imap(abs, numbers(300_000), chunksize={chunksize}))
before = peak()
total = sum(1 for value in rc.imap(abs, numbers({count}), chunksize={chunksize}))
assert total == {count}
print(peak() - before)
"""


@pytest.mark.parametrize(("chunksize", "number"), [(None, 10_000_000), (1000, 3_000_000)])
def test_millions_of_elements_in_constant_memory(cluster: Cluster, chunksize: int | None, number: int) -> None:
    grown, _ = ran(cluster, CONSTANT_MEMORY.format(chunksize=chunksize, count=number))
    assert float(grown) < 30
