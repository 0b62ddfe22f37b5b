"""`remote`, `parallel`, `RemoteFunction` and `ParallelFunction`: functions that run on engines when they are called."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ipclusterz import AsyncResult, Client, CompositeError, LoadBalancedView, RemoteError
from ipclusterz.client import MapResult, ParallelFunction, RemoteFunction


def pids(rc: Client) -> list[int]:
    """The process of each engine, in the order of their ids."""
    return list(rc.apply(os.getpid, block=True).values())


# -- remote ------------------------------------------------------------------------------------------------------------


def test_the_guides_remote_function(rc: Client) -> None:
    @rc.remote(block=True)
    def f(x: float) -> float:
        return 10.0 * x**4

    assert isinstance(f, RemoteFunction)
    assert list(map(f, range(32))) == [10.0 * x**4 for x in range(32)]
    assert f.map(range(32)) == [10.0 * x**4 for x in range(32)]


def test_it_runs_on_the_engines_of_its_caller(rc: Client) -> None:
    engines = pids(rc)
    assert rc[2].remote(block=True)(os.getpid)() == engines[2]
    assert rc[:].remote(block=True)(os.getpid)() == dict(enumerate(engines))
    assert rc[[2]].remote(block=True)(os.getpid)() == {2: engines[2]}
    assert rc[2].remote(targets=1, block=True)(os.getpid)() == engines[1]
    assert rc[2].remote(targets=None, block=True)(os.getpid)() in engines
    assert rc.remote(targets="all", block=True)(os.getpid)() == dict(enumerate(engines))
    assert rc.remote(block=True)(os.getpid)() in engines
    assert rc[None].remote(block=True)(os.getpid)() in engines
    balanced = rc.load_balanced_view([1, 3])
    assert {balanced.remote(block=True)(os.getpid)() for _ in range(10)} <= {engines[1], engines[3]}


def test_engines_and_waiting_are_those_of_the_moment_of_the_call(rc: Client) -> None:
    engines = pids(rc)
    view = rc[0]
    f = view.remote()(os.getpid)
    result = f()
    assert isinstance(result, AsyncResult)
    assert result.get() == engines[0]
    view.block = True
    view.targets = [1, 2]
    assert f() == {1: engines[1], 2: engines[2]}
    f.block = False
    assert isinstance(f(), AsyncResult)
    assert f.view is view
    everywhere = ParallelFunction(rc, lambda part: [os.getpid() for _ in part], block=True)
    assert everywhere(range(4)) == engines
    rc.targets = [3, 1]
    assert everywhere(range(2)) == [engines[3], engines[1]]


def test_arguments(rc: Client) -> None:
    @rc.remote(block=True)
    def f(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert f() == ((), {})
    assert f(1, [2], self=3, targets=4, block=5, f=6) == ((1, [2]), {"self": 3, "targets": 4, "block": 5, "f": 6})


def test_the_decorators_keep_name_and_documentation(rc: Client) -> None:
    def add(x: int, y: int = 1) -> int:
        """Add two numbers."""
        return x + y

    add.note = "kept"  # type: ignore[attr-defined]
    for decorate in (
        rc.remote(),
        rc[0].remote(),
        rc[None].remote(),
        rc.parallel(),
        rc[:].parallel(),
        rc[None].parallel(),
    ):
        decorated: Any = decorate(add)
        assert decorated.__name__ == "add"
        assert decorated.__doc__ == "Add two numbers."
        assert decorated.__module__ == __name__
        assert decorated.__wrapped__ is add
        assert decorated.note == "kept"
        assert "add" in repr(decorated)
        # Here it can still be called.
        assert decorated.__wrapped__(1, y=2) == 3


def test_callables_that_are_no_functions(rc: Client) -> None:
    from functools import partial

    double = partial(pow, 2)
    assert rc.remote(block=True)(double)(3) == 8
    assert "partial" in repr(rc.remote()(double))
    assert rc.remote(block=True)("-".join)(["a", "b"]) == "a-b"
    assert rc.remote(block=True)(dict)(a=1) == {"a": 1}


def test_a_remote_function_is_itself_on_an_engine(rc: Client) -> None:
    @rc.remote(block=True)
    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(10) == 3628800

    @rc[0].remote(block=True)
    def twice(x: int) -> int:
        return factorial(x) * 2

    assert twice(4) == 48
    assert rc[:].map_sync(factorial, [3, 4]) == [6, 24]
    assert rc[0].apply_sync(lambda f: f(5), factorial) == 120
    again = rc[1].remote(block=True)(factorial)
    assert again(5) == 120
    assert again.view.targets == [1]


def test_errors_of_a_remote_function(rc: Client) -> None:
    divide = rc.remote(block=True)(lambda x: 1 / x)
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        divide(0)
    with pytest.raises(CompositeError, match="ZeroDivisionError"):
        divide.map([1, 0])
    with pytest.raises(CompositeError, match=r"\[3:apply\]: ZeroDivisionError"):
        rc[:].remote(block=True)(lambda x: 1 / x)(0)
    later = rc.remote()(lambda x: 1 / x)(0)
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        later.get()


# -- map ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda rc: rc, lambda rc: rc[:], lambda rc: rc[1], lambda rc: rc[None]])
@pytest.mark.parametrize("decorator", ["remote", "parallel"])
def test_map_of_a_function(rc: Client, make: Callable[[Client], Any], decorator: str) -> None:
    caller = make(rc)
    f = getattr(caller, decorator)(block=True)(lambda x, y=1: x * y)
    assert f.map(range(20)) == list(range(20))
    assert f.map(range(20), [2] * 30) == [2 * x for x in range(20)]
    assert f.map(iter(range(5)), (y for y in range(9))) == [0, 1, 4, 9, 16]
    assert f.map([]) == []
    assert f.map(np.arange(3)) == [0, 1, 2]
    inverse = getattr(caller, decorator)(block=True)(lambda x: 1 / x)
    assert [type(value) for value in inverse.map([2, 0], return_exceptions=True)] == [float, RemoteError]
    later = getattr(caller, decorator)(block=False)(abs).map([-1, -2])
    assert isinstance(later, MapResult)
    assert later.get() == [1, 2]
    with pytest.raises(TypeError, match="at least one sequence"):
        f.map()
    with pytest.raises(TypeError, match="a sequence is needed, not int"):
        f.map(3)


# -- parallel ----------------------------------------------------------------------------------------------------------


def test_the_function_gets_parts(rc: Client) -> None:
    @rc.parallel(block=True)
    def total(part: list[int]) -> list[int]:
        return [sum(part)]

    assert isinstance(total, ParallelFunction)
    assert total(range(16)) == [6, 22, 38, 54]
    assert total(range(3)) == [0, 1, 2]
    assert total([]) == []
    shape = rc[:].parallel(block=True)(lambda part: [(type(part).__name__, list(part))])
    assert shape("abcdef") == [("str", ["a", "b"]), ("str", ["c", "d"]), ("str", ["e"]), ("str", ["f"])]
    assert shape((1, 2)) == [("tuple", [1]), ("tuple", [2])]
    assert shape(iter([1, 2])) == [("list", [1]), ("list", [2])]


def test_the_results_are_joined(rc: Client) -> None:
    array = np.arange(22.0).reshape(11, 2)
    double = rc.parallel(block=True)(lambda part: part * 2)
    np.testing.assert_array_equal(double(array), array * 2)
    assert double("abcde") == "ababccddee"
    frame = pd.DataFrame({"x": range(7)}, index=list("abcdefg"))
    pd.testing.assert_frame_equal(rc.parallel(block=True)(lambda part: part + 1)(frame), frame + 1)
    assert rc[0].parallel(block=True)(sorted)([3, 1, 2]) == [1, 2, 3]
    later = rc.parallel()(list)(range(9))
    assert isinstance(later, AsyncResult)
    assert later.get() == list(range(9))


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 16, 17])
def test_round_robin(rc: Client, length: int) -> None:
    parts: Any = rc.parallel(dist="r", block=True)(lambda part: [list(part)] * len(part))
    same = rc.parallel(dist="r", block=True)(lambda part: part)
    values = list(range(length))
    assert same(values) == values
    np.testing.assert_array_equal(np.asarray(same(np.arange(length)), dtype=int), np.arange(length))
    assert parts(values) == [list(range(number % 4, length, 4)) for number in range(length)]
    assert same.map(values) == values


def test_several_sequences(rc: Client) -> None:
    for caller, keywords in ((rc, {}), (rc, {"dist": "r"}), (rc[1], {}), (rc[None], {"chunksize": 3})):
        add = caller.parallel(block=True, **keywords)(lambda xs, ys: [x + y for x, y in zip(xs, ys)])
        assert add(range(11), [10] * 11) == [10 + number for number in range(11)]
        assert add(iter(range(3)), (1, 2, 3)) == [1, 3, 5]


@pytest.mark.parametrize("where", ["all", None, 0])
def test_sequences_of_unequal_lengths(rc: Client, where: Any) -> None:
    f = rc.parallel(targets=where)(lambda xs, ys: xs)
    with pytest.raises(ValueError, match=r"equal lengths, not \[3, 2\]"):
        f([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"equal lengths, not \[3, 4\]"):
        f(iter([1, 2, 3]), np.zeros(4))
    with pytest.raises(TypeError, match="at least one sequence"):
        f()
    with pytest.raises(TypeError, match="a sequence is needed, not int"):
        f(3)
    with pytest.raises(TypeError):
        f([1], part=[2])
    # Of a map the shortest decides, as with the builtin.
    assert rc.parallel(targets=where, block=True)(lambda x, y: x + y).map([1, 2, 3], [1, 2]) == [2, 4]


def test_load_balanced_chunks(rc: Client) -> None:
    sizes = rc.parallel(targets=None, chunksize=3, block=True)(lambda part: [len(part)])
    assert sizes(range(10)) == [3, 3, 2, 2]
    assert len(rc.parallel(targets=None, block=True)(lambda part: [len(part)])(range(1000))) == 16
    assert rc[None].parallel(chunksize=4, block=True)(lambda part: part)("abcdefghij") == "abcdefghij"
    assert rc[None].parallel(block=True)(list)([]) == []
    assert len(rc.parallel(targets=None, chunksize=3)(abs).map([-1] * 10).msg_ids) == 4
    balanced = rc.load_balanced_view([0, 2])
    engines = pids(rc)
    used = balanced.parallel(chunksize=1, block=True)(lambda part: [os.getpid()])(range(20))
    assert set(used) <= {engines[0], engines[2]}
    direct = ParallelFunction(rc, abs, targets=None, block=True)
    assert direct.map([-1, -2]) == [1, 2]
    assert isinstance(direct.view, LoadBalancedView)


def test_errors_of_a_parallel_function(rc: Client) -> None:
    for where in ("all", None):
        f = rc.parallel(targets=where, block=True)(lambda part: [1 / x for x in part])
        with pytest.raises(CompositeError, match=r"(?s)call to method: parallel.*:parallel\]: ZeroDivisionError"):
            f([1, 1, 1, 0])


@pytest.mark.parametrize("bad", [None, 3, "f", [abs]])
def test_what_cannot_be_called(rc: Client, bad: Any) -> None:
    for make in (rc.remote(), rc.parallel(), rc[0].remote(), rc[0].parallel(), rc[None].remote(), rc[None].parallel()):
        with pytest.raises(TypeError, match="a function is needed, not"):
            make(bad)
    with pytest.raises(TypeError, match="a function is needed, not"):
        RemoteFunction(rc, bad)
    with pytest.raises(TypeError, match="a function is needed, not"):
        ParallelFunction(rc, bad)


def test_options_that_make_no_sense(rc: Client) -> None:
    for bad in ("x", "", None, 3, ["b"]):
        with pytest.raises(ValueError, match="dist is 'b'"):
            rc.parallel(dist=bad)(abs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dist='r' needs engines"):
        rc.parallel(dist="r", targets=None)(abs)([1])
    with pytest.raises(ValueError, match="chunksize must be at least 1, not 0"):
        rc.parallel(chunksize=0)(abs)
    for bad in (1.5, "3", True):
        with pytest.raises(TypeError, match="chunksize is a whole number, not"):
            rc.parallel(chunksize=bad)(abs)  # type: ignore[arg-type]
    # Without parentheses.
    with pytest.raises(TypeError):
        rc.remote(abs)  # type: ignore[call-arg]


def test_a_generator_that_raises(rc: Client) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    for call in (rc.parallel()(list), rc.parallel(targets=None)(list), rc.remote()(abs).map):
        with pytest.raises(OSError, match="no more"):
            call(broken())
