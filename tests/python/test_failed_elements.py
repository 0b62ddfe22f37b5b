"""A map of which elements fail: what is kept, what is told, and how the rest is run again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cells import Run
from helpers import hold, until

from ipclusterz import Client, Cluster, CompositeError, EngineError, LoadBalancedView, RemoteError, SerializationError

both = pytest.mark.parametrize("make", [lambda rc: rc[:], lambda rc: rc[None]], ids=["direct", "balanced"])
Make = Callable[[Client], Any]


def one_in_forty(number: int) -> int:
    if number == 17:
        raise ValueError(f"{number} is bad")
    return -number


GOOD = {number: -number for number in range(40) if number != 17}


# -- what is kept ------------------------------------------------------------------------------------------------------


@both
def test_one_bad_element_costs_no_other(rc: Client, make: Make) -> None:
    result = make(rc).map_async(one_in_forty, range(40))
    assert {index: value for index, value, _ in result.successes()} == GOOD
    ((index, error, engine),) = result.failures()
    assert (index, error.ename, error.index, error.arguments) == (17, "ValueError", 17, "17")
    assert engine == error.engine_id
    assert engine in rc.ids
    assert not result.successful()
    with pytest.raises(CompositeError) as caught:
        result.get()
    assert caught.value.elist == [error]
    assert result[16] == -16
    assert result[18] == -18
    with pytest.raises(RemoteError, match="17 is bad"):
        result[17]


@both
@pytest.mark.parametrize("block", [True, False])
def test_errors_in_the_places_of_results(rc: Client, make: Make, block: bool) -> None:
    given = make(rc).map(one_in_forty, range(40), block=block, return_exceptions=True)
    values = given if block else given.get()
    assert isinstance(values[17], RemoteError)
    assert {index: value for index, value in enumerate(values) if index != 17} == GOOD
    if not block:
        assert given.exception() is None
        assert isinstance(given[17], RemoteError)
        assert [type(value).__name__ for value in given].count("RemoteError") == 1
        with pytest.raises(CompositeError):
            given.get(return_exceptions=False)


@both
def test_each_way_to_ask_takes_the_keyword(rc: Client, make: Make) -> None:
    view = make(rc)
    for values in (
        view.map_sync(one_in_forty, [16, 17], return_exceptions=True),
        view.map_async(one_in_forty, [16, 17], return_exceptions=True).get(),
        view.map_async(one_in_forty, [16, 17]).get(return_exceptions=True),
        list(view.imap(one_in_forty, [16, 17], return_exceptions=True)),
        rc.map(one_in_forty, [16, 17], targets=None, return_exceptions=True),
    ):
        assert values[0] == -16
        assert isinstance(values[1], RemoteError)


def test_calls_on_several_engines_too(rc: Client) -> None:
    first = rc[0].apply_sync(os.getpid)
    result = rc[:].apply_async(lambda pid: 1 / (os.getpid() - pid) and "good", first)
    assert [(index, engine, error.ename) for index, error, engine in result.failures()] == [(0, 0, "ZeroDivisionError")]
    assert [(index, value, engine) for index, value, engine in result.successes()] == [
        (engine, "good", engine) for engine in (1, 2, 3)
    ]
    values = result.get(return_exceptions=True)
    assert isinstance(values[0], RemoteError)
    assert values[1:] == ["good"] * 3
    single = rc[0].apply_async(lambda: 1 / 0)
    assert isinstance(single.get(return_exceptions=True), RemoteError)


@pytest.mark.parametrize("kind", [SystemExit, StopIteration, GeneratorExit, MemoryError, RecursionError])
def test_whatever_an_element_raises(rc: Client, kind: type[BaseException]) -> None:
    def work(number: int, kind: type[BaseException]) -> int:
        if number == 3:
            raise kind
        return number

    values = rc[0].map(work, range(8), [kind] * 8, block=True, return_exceptions=True)
    assert values[3].ename == kind.__name__
    assert values[:3] + values[4:] == [0, 1, 2, 4, 5, 6, 7]


def test_results_that_cannot_travel_cost_no_other(rc: Client) -> None:
    result = rc[0].map_async(lambda x: threading.Lock() if x == 2 else np.full(5000, x), range(5))
    ((index, error, _),) = result.failures()
    assert (index, error.ename, error.arguments) == (2, "SerializationError", "2")
    assert [int(value[0]) for _, value, _ in result.successes()] == [0, 1, 3, 4]


def test_no_element_runs_twice(rc: Client, tmp_path: Path) -> None:
    def work(number: int, note: str) -> object:
        with open(note, "a") as file:
            file.write(f"{number}\n")
        if number % 3 == 0:
            raise ValueError
        return threading.Lock() if number % 3 == 1 else number

    note = tmp_path / "note"
    result = rc[0].map_async(work, range(9), [str(note)] * 9)
    assert [value for _, value, _ in result.successes()] == [2, 5, 8]
    assert sorted(map(int, note.read_text().split())) == list(range(9))


def test_errors_of_elements_have_nothing_to_do_with_each_other(rc: Client) -> None:
    result = rc[0].map_async(lambda x: 1 / x if x < 2 else {}[x], [0, 2])
    first, second = (failed.error for failed in result.failures())
    assert (first.ename, second.ename) == ("ZeroDivisionError", "KeyError")
    assert "ZeroDivisionError" not in second.traceback


def test_a_child_that_was_forked_off_leaves_the_rest_to_its_parent(rc: Client, tmp_path: Path) -> None:
    def work(number: int, note: str) -> int:
        with open(note, "a") as file:
            file.write(f"{number}\n")
        if number == 1 and os.fork() == 0:
            raise ValueError("in the child")
        return number

    note = tmp_path / "note"
    assert rc[0].map(work, range(4), [str(note)] * 4, block=True) == [0, 1, 2, 3]
    assert note.read_text() == "0\n1\n2\n3\n"


def test_an_interrupt_keeps_what_was_done(rc: Client, gate: Path) -> None:
    def work(number: int, gate: str) -> int:
        if number == 2:
            hold(gate, "held")
        return number

    result = rc[0].map_async(work, range(4), [str(gate)] * 4)
    until(lambda: "held" in result.stdout[0])
    rc[0].interrupt()
    assert [value for _, value, _ in result.successes(20)] == [0, 1]
    assert [(failed.index, failed.error.ename) for failed in result.failures()] == [
        (2, "KeyboardInterrupt"),
        (3, "KeyboardInterrupt"),
    ]


def test_the_chunks_of_a_dead_engine(own_cluster: Callable[..., Any]) -> None:
    with own_cluster(2).connect_client() as rc:
        victim = rc[1].apply_sync(os.getpid)

        def work(number: int) -> int:
            if os.getpid() == victim and number == 5:
                os.kill(victim, signal.SIGKILL)
            return number

        result = rc[:].map_async(work, range(6))
        assert [(failed.index, failed.engine, type(failed.error)) for failed in result.failures(20)] == [
            (index, 1, EngineError) for index in (3, 4, 5)
        ]
        assert [value for _, value, _ in result.successes()] == [0, 1, 2]
        with pytest.raises(CompositeError) as caught:
            result.get()
        assert len(caught.value) == 1
        assert list(caught.value[0].indexes) == [3, 4, 5]
        assert str(caught.value).splitlines()[1].endswith(" (elements 3, 4, 5)")
        # The engines that are left do it.
        until(lambda: rc.ids == {0})
        assert result.retry().get(20) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("chunksize", [1, 4])
def test_imap_goes_on(lview: LoadBalancedView, ordered: bool, chunksize: int) -> None:
    results = lview.imap(one_in_forty, range(40), ordered=ordered, chunksize=chunksize)
    values, failed = [], []
    for _ in range(40):
        try:
            values.append(next(results))
        except RemoteError as error:
            failed.append(error.index)
    assert failed == [17]
    assert sorted(values) == sorted(GOOD.values())
    assert list(results) == []


def test_a_loop_over_a_result_goes_on(lview: LoadBalancedView) -> None:
    results = iter(lview.map_async(one_in_forty, range(16, 19)))
    assert next(results) == -16
    with pytest.raises(RemoteError, match="17 is bad"):
        next(results)
    assert list(results) == [-18]


# -- retry -------------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("ordered", [True, False])
def test_what_failed_is_run_again(rc: Client, make: Make, tmp_path: Path, ordered: bool) -> None:
    def work(number: int, word: str, folder: str) -> tuple[int, str]:
        with open(f"{folder}/{number}", "a") as file:
            file.write("x")
        if number % 7 == 3 and not os.path.exists(f"{folder}/mended"):
            raise OSError(number)
        return number, word

    words = [f"word {number}" for number in range(20)]
    options: dict[str, Any] = {}
    view = make(rc)
    if not ordered and isinstance(view, LoadBalancedView):
        options = {"ordered": False, "chunksize": 3}
    result = view.map_async(work, np.arange(20), words, [str(tmp_path)] * 20, **options)
    words.clear()
    assert [failed.index for failed in result.failures()] == [3, 10, 17]
    still = result.retry()
    assert [failed.index for failed in still.failures()] == [3, 10, 17]
    assert still.failures()[0].error.index == 3
    (tmp_path / "mended").touch()
    again = still.retry()
    assert len(again) == 20
    expected = [(number, f"word {number}") for number in range(20)]
    assert again.get() == expected if not options else sorted(again.get()) == expected
    assert again.successful()
    assert again.progress == 20
    assert again[3] == (3, "word 3")
    assert sorted(again) == expected
    assert [index for index, _, _ in again.successes()] == list(range(20))
    assert again.retry() is again
    ran = {number: len((tmp_path / str(number)).read_text()) for number in range(20)}
    assert ran == {number: 3 if number % 7 == 3 else 1 for number in range(20)}
    # The first result is as it was.
    assert [failed.index for failed in result.failures()] == [3, 10, 17]


# -- what is told ------------------------------------------------------------------------------------------------------

SCRIPT = """
import ipclusterz as ipz

def divide(number, by):
    return number / by

def work(number, by):
    return divide(number, by)

rc = ipz.Client({file!r})
{call}
"""


@pytest.mark.parametrize(
    ("call", "where"),
    [
        ("rc[:].map_sync(work, range(8), [1, 1, 0, 1, 1, 1, 0, 1])", "element 2 of the map, called with (2, 0)"),
        ("rc[:].map(work, range(8), [1, 1, 0, 1, 1, 1, 0, 1]).get()", "element 2 of the map, called with (2, 0)"),
        ("rc[None].map_sync(work, [1, 2], [1, 0])", "element 1 of the map, called with (2, 0)"),
        ("list(rc[:].imap(work, [1, 2], [1, 0]))", "element 1 of the map, called with (2, 0)"),
        ("list(rc[None].map_async(work, [1, 2], [1, 0]))", "element 1 of the map, called with (2, 0)"),
        ("rc[:].apply_sync(work, 1, by=0)", "called with (1, by=0)"),
        ("rc[:].apply_async(work, 1, by=0).get()", "called with (1, by=0)"),
    ],
)
def test_an_uncaught_error_of_a_script_leads_to_the_line(
    rc: Client, cluster: Cluster, tmp_path: Path, call: str, where: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(file=str(cluster.report["client_file"]), call=call))
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert where in ran.stderr
    assert re.search(r'File ".*script\.py", line 8, in work\n', ran.stderr)
    assert re.search(r'File ".*script\.py", line 5, in divide\n    return number / by\n', ran.stderr)
    # Engines that fail alike are shown once.
    assert ran.stderr.count("in divide") == 1
    assert ran.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


@pytest.mark.usefixtures("dv")
def test_the_prompt_leads_to_the_line(fail: Run) -> None:
    ran = fail("dv.map_sync(lambda number: 1 / number, [1, 0])")
    assert isinstance(ran.error, CompositeError)
    assert "element 1 of the map, called with (0)" in ran.stdout
    assert "in <lambda>" in ran.stdout


def test_equal_tracebacks_are_counted(rc: Client) -> None:
    def work(number: int) -> None:
        raise ValueError(f"{number} is bad")

    with pytest.raises(CompositeError) as caught:
        rc[:].map_sync(work, range(1000))
    text = str(caught.value)
    assert text.count("in work") == 1
    assert "[0:map], element 0 of the map, called with (0); 999 more like it:" in text
    assert "[0:map]: ValueError: 5 is bad (element 5: 5)\n" in text
    assert len(text.splitlines()) < 50
    assert len(caught.value) == 1000


def test_all_tracebacks_name_their_elements(rc: Client, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CompositeError) as caught:
        rc[0].map_sync(lambda number: 1 / (number % 2), range(100))
    caught.value.print_tracebacks()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("[0:map], elements 0, 2, 4, 6, ")
    assert printed[0].endswith(" and 18 more:")
    assert len(printed) < 10


def test_arguments_are_short_whatever_they_are(rc: Client) -> None:
    class Mute:
        def __repr__(self) -> str:
            raise SystemExit

    class Loud:
        def __repr__(self) -> str:
            return "loud\n" * 100_000

    values = [Mute(), [Mute()], Loud(), "x" * 100_000, b"x" * 100_000, list(range(100_000)), 10**6000, np.zeros(10**5)]
    result = rc[0].map_async(lambda _value: 1 / 0, values)
    shown = [failed.error.arguments for failed in result.failures()]
    assert all(0 < len(text) <= 200 and "\n" not in text for text in shown)
    assert "Mute" in shown[0]
    with pytest.raises(RemoteError) as caught:
        rc[0].apply_sync(lambda **_keywords: 1 / 0, **{f"name{number}": Loud() for number in range(50)})
    assert len(caught.value.arguments) <= 200


# -- repr and progress -------------------------------------------------------------------------------------------------


def test_elements_are_counted(lview: LoadBalancedView, gate: Path) -> None:
    def work(number: int, gate: str) -> float:
        if number >= 36:
            hold(gate)
        return 1 / (number - 3)

    result = lview.map_async(work, range(40), [str(gate)] * 40, chunksize=4)
    until(lambda: result.progress == 36)
    assert re.fullmatch(r"<AsyncResult: map, 36 of 40 elements, \d\.\d s>", repr(result))
    gate.touch()
    assert result.wait(20)
    assert re.fullmatch(r"<AsyncResult: map, 1 of 40 elements failed, \d\.\d s>", repr(result))
    done = lview.map_async(abs, range(40))
    assert done.wait(20)
    assert re.fullmatch(r"<AsyncResult: map, 40 elements done, \d\.\d s>", repr(done))


def test_times_are_told_as_somebody_would(rc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    result = rc[0].apply_async(abs, -1)
    assert result.get() == 1
    for seconds, text in ((0.04, "0.0 s"), (3.21, "3.2 s"), (12.3, "12 s"), (200, "3 min 20 s"), (7300, "2 h 1 min")):
        monkeypatch.setattr(type(result), "elapsed", property(lambda _self, seconds=seconds: seconds))
        assert repr(result) == f"<AsyncResult: apply, done, {text}>"


def test_elements_are_what_a_loop_sees(rc: Client, lview: LoadBalancedView) -> None:

    series = pd.Series([1, 0, 2, 0], index=[20, 10, 40, 30])
    for view in (rc[:2], lview):
        for values in (series, np.array([1, 0, 2, 0]), bytes([1, 0, 2, 0])):
            result = view.map_async(lambda number: 1 / int(number), values)
            assert [(failed.index, failed.error.ename) for failed in result.failures()] == [
                (1, "ZeroDivisionError"),
                (3, "ZeroDivisionError"),
            ]
            assert [failed.index for failed in result.retry().failures()] == [1, 3]
    result = rc[0].map_async(lambda number: threading.Lock() if number else number, series)
    assert [failed.error.arguments for failed in result.failures()] == ["1", "2"]


def test_an_executor_gives_what_is_before_the_failed_element(lview: LoadBalancedView) -> None:
    with lview.executor as executor:
        results = executor.map(one_in_forty, range(40), chunksize=10)
        assert [next(results) for _ in range(17)] == [-number for number in range(17)]
        with pytest.raises(ValueError, match="17 is bad") as caught:
            next(results)
    assert "element 17 of the map, called with (17)" in str(caught.value.__cause__)


def test_a_chunk_that_cannot_be_rebuilt_here_fails_as_a_whole(rc: Client) -> None:
    def make(number: int) -> object:
        class OnlyThere:
            def __reduce__(self) -> Any:
                return eval, ("1/0 if __import__('os').environ.get('PYTEST_CURRENT_TEST') else 0",)

        return OnlyThere() if number == 1 else number

    result = rc[0].map_async(make, range(3))
    assert [type(failed.error) for failed in result.failures()] == [SerializationError] * 3
