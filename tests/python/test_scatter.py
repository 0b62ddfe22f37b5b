"""Scatter and gather through a real cluster. How a sequence is split and joined is in `test_partition`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sequences import arrays, assert_same, dists, frames, sequences

from ipclusterz import Client, CompositeError, RemoteError


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=sequences | arrays() | frames(), engines=st.integers(1, 4), dist=dists)
def test_gather_is_the_inverse_of_scatter(rc: Client, whole: Any, engines: int, dist: Any) -> None:
    view = rc[:engines]
    view.scatter("part", whole, dist, block=True)
    assert_same(view.gather("part", dist, block=True), whole, len(view))


def test_blocks_as_in_the_guide(rc: Client) -> None:
    dview = rc[:]
    assert dview.scatter("a", range(16), block=True) == {0: None, 1: None, 2: None, 3: None}
    assert dview["a"] == {0: [0, 1, 2, 3], 1: [4, 5, 6, 7], 2: [8, 9, 10, 11], 3: [12, 13, 14, 15]}
    assert dview.gather("a", block=True) == list(range(16))
    assert dview.gather("a").get() == list(range(16))


def test_a_list_comprehension_as_in_the_guide(rc: Client) -> None:
    dview = rc[:]
    dview.scatter("x", range(64), block=True)
    dview.execute("y = [i**10 for i in x]", block=True)
    assert dview.gather("y", block=True) == [i**10 for i in range(64)]


def test_round_robin(rc: Client) -> None:
    dview = rc[:]
    dview.scatter("a", range(10), dist="r", block=True)
    assert dview["a"] == {0: [0, 4, 8], 1: [1, 5, 9], 2: [2, 6], 3: [3, 7]}
    assert dview.gather("a", dist="r", block=True) == list(range(10))
    assert dview.gather("a", "r").get() == list(range(10))


def test_flatten(rc: Client) -> None:
    dview = rc[:]
    dview.scatter("rank", range(4), flatten=True, block=True)
    assert dview["rank"] == {0: 0, 1: 1, 2: 2, 3: 3}
    assert dview.gather("rank", block=True) == [0, 1, 2, 3]
    dview.scatter("rank", range(5), "r", True, block=True)
    assert dview["rank"] == {0: [0, 4], 1: 1, 2: 2, 3: 3}
    assert dview.gather("rank", "r", block=True) == [0, 1, 2, 3, 4]
    rc[0].scatter("one", [7], flatten=True, block=True)
    assert rc[0]["one"] == 7


@pytest.mark.parametrize("dist", ["b", "r"])
@pytest.mark.parametrize(
    "whole",
    [[1, 2], (1,), "ab", b"", np.zeros((2, 3), ">i2"), np.asfortranarray(np.eye(3)), pd.Series([0.5], [9], name="s")],
    ids=["list", "tuple", "str", "bytes", "array", "fortran", "series"],
)
def test_fewer_elements_than_engines(rc: Client, whole: Any, dist: Any) -> None:
    dview = rc[:]
    dview.scatter("a", whole, dist, block=True)
    parts = list(dview["a"].values())
    assert {type(part) for part in parts} == {type(whole)}
    assert [len(part) for part in parts] == [1] * len(whole) + [0] * (4 - len(whole))
    assert_same(dview.gather("a", dist, block=True), whole, len(dview))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dist", ["b", "r"])
def test_arrays_are_contiguous_on_the_engines(rc: Client, dist: Any, order: Any) -> None:
    dview = rc[:]
    whole = np.array(np.arange(120_000.0).reshape(20_000, 3, 2), order=order)
    dview.scatter("x", whole, dist, block=True)
    dview.execute(f"contiguous = x.flags[{order!r}]; x *= x", block=True)
    assert set(dview["contiguous"].values()) == {True}
    assert_same(dview.gather("x", dist, block=True), whole**2)


@pytest.mark.parametrize("dist", ["b", "r"])
def test_frames_are_computed_with_on_the_engines(rc: Client, dist: Any) -> None:
    dview = rc[:]
    frame = pd.DataFrame({"n": range(10), "name": list("abcdefghij")}, index=[3, 1, 3, 1, 2] * 2)
    dview.scatter("df", frame, dist, block=True)
    dview.execute("df = df.assign(half=df['n'] / 2); total = df['n'].sum()", block=True)
    assert sum(dview["total"].values()) == 45
    assert_same(dview.gather("df", dist, block=True), frame.assign(half=frame["n"] / 2))


def test_what_cannot_be_scattered_is_refused(rc: Client) -> None:
    dview = rc[:]
    with pytest.raises(TypeError, match=r"a sequence is needed, not int: 3"):
        dview.scatter("a", 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"(?s)dict is a mapping.*hint: .*items\(\)"):
        dview.scatter("a", {"k": 1})
    with pytest.raises(TypeError, match=r"(?s)array\(1\.\).*hint"):
        dview.scatter("a", np.array(1.0))
    with pytest.raises(TypeError, match="names are strings, not int: 1"):
        dview.scatter(1, [1])  # type: ignore[arg-type]
    for call in (lambda: dview.scatter("a", [1], dist="x"), lambda: dview.gather("a", dist="x")):
        with pytest.raises(ValueError, match=r"dist is 'b' .* or 'r' .*, not 'x'"):
            call()


def test_what_cannot_be_gathered_is_named(rc: Client) -> None:
    rc[:].push({"a": [1]}, block=True)
    rc[2].push({"a": [1, 2]}, block=True)
    with pytest.raises(ValueError, match=r"(?s)lengths 1, 1, 2, 1.*hint: dist='b'"):
        rc[:].gather("a", dist="r", block=True)
    assert rc[:].gather("a", block=True) == [1, 1, 1, 2, 1]
    with pytest.raises((RemoteError, CompositeError), match=r"KeyError.*'nothing'"):
        rc[1].gather("nothing", block=True)


def test_texts_are_joined_where_a_text_was_scattered(rc: Client) -> None:
    rc.scatter("x", "abcdefgh", block=True)
    assert rc.gather("x", block=True) == "abcdefgh"
    rc.execute("x = x.upper()", block=True)
    assert rc.gather("x", block=True) == "ABCDEFGH"
    rc.scatter("x", b"abcdefgh", dist="r", block=True)
    assert rc.gather("x", dist="r", block=True) == b"abcdefgh"


@pytest.mark.parametrize("value", ["host", b"host", bytearray(b"host")])
def test_texts_that_are_values_stay_apart(rc: Client, value: Any) -> None:
    rc.scatter("x", "abcd", block=True)
    rc.push({"x": value}, block=True)
    assert rc.gather("x", block=True) == [value] * 4
    each = rc.parallel(block=True)(lambda _part: value)
    assert each(range(8)) == [value] * 4
    assert each(np.arange(8)) == [value] * 4
    ar = rc.gather("x", block=False)
    assert ar.get() == [value] * 4
    # What is made of a text is one.
    assert each("abcdefgh") == value * 4


def test_what_has_a_shape_and_could_not_be_joined_is_refused(rc: Client) -> None:
    class Sparse:
        shape = (3, 3)

        def __iter__(self) -> Any:
            return iter(range(3))

    with pytest.raises(TypeError, match="Sparse has a shape"):
        rc.scatter("a", Sparse())
    with pytest.raises(TypeError, match="Index has a shape"):
        rc.scatter("a", pd.Index([1, 2]))
