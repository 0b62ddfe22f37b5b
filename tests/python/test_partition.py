"""Splitting, joining and chunking, and the meaning of an index: all without a cluster."""

from __future__ import annotations

import itertools
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequences import arrays, assert_same, dists, frames, sequences

from ipclusterz import EmptyTargets, NoEnginesRegistered, UnknownEngine
from ipclusterz.client.mapping import chunk_bounds, columns_of
from ipclusterz.client.targets import resolve
from ipclusterz.shared.scatter import bounds, join, partition
from ipclusterz.shared.serialize import dumps, loads

parts_counts = st.integers(1, 9)


def travel(parts: list[Any]) -> list[Any]:
    """The parts as they are after the way to the engines and back."""
    return [loads(dumps(part)) for part in parts]


@given(sequences, parts_counts, dists)
def test_join_is_the_inverse_of_partition(sequence: Any, parts: int, dist: Any) -> None:
    pieces = partition(sequence, parts, dist)
    assert len(pieces) == parts
    assert {type(piece) for piece in pieces} == {type(sequence)}
    assert_same(join(pieces, dist), sequence)


@given(st.integers(-9, 9), st.integers(-9, 99), st.integers(1, 5), parts_counts, dists)
def test_ranges_become_lists(start: int, stop: int, step: int, parts: int, dist: Any) -> None:
    pieces = partition(range(start, stop, step), parts, dist)
    assert {type(piece) for piece in pieces} == {list}
    assert join(pieces, dist) == list(range(start, stop, step))


@settings(deadline=None)
@given(arrays(), parts_counts, dists)
def test_arrays_keep_dtype_and_memory_order(whole: np.ndarray, parts: int, dist: Any) -> None:
    pieces = partition(whole, parts, dist)
    assert {(piece.dtype, piece.shape[1:]) for piece in pieces} == {(whole.dtype, whole.shape[1:])}
    order = "C_CONTIGUOUS" if whole.flags.c_contiguous else "F_CONTIGUOUS"
    assert all(piece.flags[order] for piece in pieces)
    assert_same(join(pieces, dist), whole, parts)
    assert_same(join(travel(pieces), dist), whole, parts)


@settings(deadline=None)
@given(arrays(), st.data(), parts_counts, dists)
def test_views_of_arrays_keep_their_elements(array: np.ndarray, data: st.DataObject, parts: int, dist: Any) -> None:
    turned = array.transpose(data.draw(st.permutations(range(array.ndim))))
    steps = data.draw(st.tuples(*[st.sampled_from([-2, -1, 1, 2])] * array.ndim))
    view = turned[tuple(slice(None, None, step) for step in steps)]
    pieces = partition(view, parts, dist)
    assert all(piece.flags.forc for piece in pieces)
    assert_same(join(travel(pieces), dist), view, parts)


def test_dates_keep_their_byte_order() -> None:
    whole = np.arange(3).astype(">M8[s]")
    assert_same(join(partition(whole, 2)), whole, 2)


@pytest.mark.parametrize("dist", ["b", "r"])
@pytest.mark.parametrize(
    "whole",
    [
        np.ma.masked_array(np.arange(12.0).reshape(4, 3), mask=np.eye(4, 3, dtype=bool), fill_value=7),
        np.rec.array([(1, "a"), (2, "b"), (3, "c")], dtype=[("n", ">i4"), ("s", "U3")]),
    ],
    ids=["masked", "records"],
)
def test_subclasses_of_arrays_are_kept(whole: np.ndarray, dist: Any) -> None:
    for parts in range(1, 6):
        assert_same(join(travel(partition(whole, parts, dist)), dist), whole)


@settings(max_examples=50, deadline=None)
@given(frames(), parts_counts, dists)
def test_frames_are_split_by_rows(frame: pd.DataFrame, parts: int, dist: Any) -> None:
    pieces = partition(frame, parts, dist)
    assert [len(piece) for piece in pieces] == [stop - start for start, stop in bounds(len(frame), parts)]
    assert_same(join(travel(pieces), dist), frame)
    for name in frame.columns:
        assert_same(join(travel(partition(frame[name], parts, dist)), dist), frame[name])


@pytest.mark.parametrize("dist", ["b", "r"])
def test_the_index_of_a_frame_is_kept(dist: Any) -> None:
    for index in (
        pd.RangeIndex(20, 6, -2, name="label"),
        pd.MultiIndex.from_product([["a", "b"], range(3)], names=["letter", "digit"]),
        pd.period_range("2020-01", periods=5, freq="M"),
        pd.Index([], dtype="datetime64[ns, UTC]"),
    ):
        frame = pd.DataFrame({"n": range(len(index))}, index=index)
        for parts in (1, 2, 3, 8):
            assert_same(join(travel(partition(frame, parts, dist)), dist), frame)
    # Engines that number their own rows: their labels are theirs.
    own = [pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": [3, 4]})]
    assert list(join(own, dist).index) == ([0, 1, 0, 1] if dist == "b" else [0, 0, 1, 1])


@given(st.integers(0, 1000), parts_counts)
def test_blocks_are_contiguous_and_even(length: int, parts: int) -> None:
    blocks = bounds(length, parts)
    assert [index for start, stop in blocks for index in range(start, stop)] == list(range(length))
    sizes = [stop - start for start, stop in blocks]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


def test_other_iterables_become_lists() -> None:
    assert partition((character for character in "abc"), 2) == [["a", "b"], ["c"]]
    assert partition({7}, 2, "r") == [[7], []]
    assert partition({"k": 1}.items(), 2) == [[("k", 1)], []]


def test_subclasses_are_split_into_their_base() -> None:
    point = namedtuple("point", "x y z")(1, 2, 3)
    assert partition(point, 2, "r") == [(1, 3), (2,)]
    assert join(partition(point, 2, "r"), "r") == point
    assert join(partition(np.str_("abc"), 2)) == "abc"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "a sequence is needed, not int: 3"),
        (None, "not NoneType"),
        (np.array(1.0), r"(?s)not ndarray: array\(1\.\).*hint: .*atleast_1d"),
        (np.float64(2), "not float64"),
        ({"k": 1}, r"(?s)dict is a mapping: \{'k': 1\}.*hint: .*items\(\)"),
        (OrderedDict(), "(?s)OrderedDict.*hint"),
    ],
)
def test_what_is_no_sequence_is_refused(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        partition(value, 2)


def test_an_error_of_a_generator_is_its_own() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        partition((1 + character for character in "abc"), 2)  # type: ignore[operator]


@pytest.mark.parametrize("dist", ["x", "B", "", None, 0, ["b"]])
def test_an_unknown_dist_is_named(dist: Any) -> None:
    for call in (lambda: partition([1], 2, dist), lambda: join([[1]], dist)):
        with pytest.raises(ValueError, match=r"dist is 'b' .* or 'r' .*, not ") as caught:
            call()
        assert repr(dist) in str(caught.value)


@given(sequences.filter(bool), parts_counts, dists)
def test_flatten_gives_single_elements(sequence: Any, parts: int, dist: Any) -> None:
    whole = partition(sequence, parts, dist)
    flat = partition(sequence, parts, dist, flatten=True)
    # What text and bytes are made of is text and bytes.
    single = slice(0, 1) if isinstance(sequence, (str, bytes, bytearray)) else 0
    assert flat == [piece[single] if len(piece) == 1 else piece for piece in whole]
    assert list(join(flat, dist)) == list(sequence)


def test_flattened_arrays_and_frames() -> None:
    assert [np.ndim(part) for part in partition(np.arange(3), 2, flatten=True)] == [1, 0]
    rows = partition(np.asfortranarray(np.eye(2)), 2, flatten=True)
    assert [row.tolist() for row in rows] == [[1, 0], [0, 1]]
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[5, 5])
    assert [row.to_dict() for row in partition(frame, 2, "r", True)] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert partition(frame["a"], 2, flatten=True) == [1, 2]


def test_parts_of_different_kinds_join_as_a_list() -> None:
    assert join([[1], (2,), range(3, 4)]) == [1, 2, 3]
    assert join([1, [2, 3]]) == [1, 2, 3]
    assert join([[1, 4], 2, (3,)], "r") == [1, 2, 3, 4]
    assert join(["ab", b"c"]) == ["ab", b"c"]
    assert join([np.arange(2), [2]]) == [0, 1, 2]
    assert [type(part) for part in join([pd.DataFrame(), pd.Series()])] == [pd.DataFrame, pd.Series]
    assert join([]) == []


def test_arrays_of_different_dtypes_are_promoted() -> None:
    joined = join([np.array([1], ">i4"), np.array([0.5], "f4")])
    assert (joined.dtype, joined.tolist()) == (np.float64, [1, 0.5])
    with pytest.raises(ValueError, match=r"(?s)shapes \(2, 2\), \(3, 3\) cannot be joined.*hint"):
        join([np.eye(2), np.eye(3)])


@pytest.mark.parametrize(
    "parts",
    [
        [[1], [2, 3]],
        ["abc", "d"],
        [(), (1,)],
        [np.arange(3), np.arange(1)],
        [pd.Series([1]), pd.Series([1, 2])],
        [1, [2, 3]],
    ],
)
def test_parts_that_no_round_robin_made_are_refused(parts: list[Any]) -> None:
    lengths = ", ".join(str(np.size(part) if not isinstance(part, str) else len(part)) for part in parts)
    with pytest.raises(ValueError, match=rf"lengths {lengths}\nhint: dist='b'"):
        join(parts, "r")


@given(st.integers(0, 500), st.none() | st.integers(1, 600), st.integers(0, 9))
def test_chunks_cover_everything_once(length: int, chunksize: int | None, engines: int) -> None:
    chunks = chunk_bounds(length, chunksize, engines)
    assert [index for start, stop in chunks for index in range(start, stop)] == list(range(length))
    assert all(start < stop for start, stop in chunks)
    if chunksize is not None:
        assert all(stop - start <= chunksize for start, stop in chunks)
    else:
        assert len(chunks) <= 4 * max(1, engines)


@pytest.mark.parametrize("chunksize", [0, -1])
def test_a_chunk_has_an_element(chunksize: int) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        chunk_bounds(3, chunksize, 1)


@given(st.lists(st.lists(st.integers()), min_size=1, max_size=4))
def test_columns_zip_like_the_builtin(columns: list[list[int]]) -> None:
    cut, length = columns_of(tuple(columns))
    assert list(zip(*(column[:length] for column in cut))) == list(zip(*columns))


def test_an_endless_sequence_beside_a_finite_one() -> None:
    columns, length = columns_of((itertools.count(), "abc"))
    assert (columns, length) == ([[0, 1, 2], ["a", "b", "c"]], 3)
    assert columns_of((iter(()), iter(())))[1] == 0


def test_a_map_sees_what_a_loop_sees() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]})
    assert columns_of((frame,)) == ([["a", "b"]], 2)
    assert columns_of((frame["a"],)) == ([[1, 2, 3]], 3)
    assert columns_of(({"k": 1},)) == ([["k"]], 1)


@given(st.lists(st.integers(0, 99), unique=True, min_size=1), st.data())
def test_indices_mean_what_a_list_means(ids: list[int], data: st.DataObject) -> None:
    live = sorted(ids)
    one = data.draw(st.sampled_from(live))
    assert resolve(one, live) == ([one], True)
    back = data.draw(st.integers(-len(live), -1))
    assert resolve(back, live) == ([live[back]], True)
    several = data.draw(st.lists(st.sampled_from(live), unique=True, min_size=1))
    assert resolve(several, live) == (several, False)
    assert resolve(tuple(several), live) == (several, False)
    part = data.draw(st.slices(len(live)))
    if live[part]:
        assert resolve(part, live) == (live[part], False)
    else:
        with pytest.raises(EmptyTargets):
            resolve(part, live)


def test_an_unknown_engine_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownEngine, match=r"(?s)no engine 7.*0, 1, 3"):
        resolve(7, [0, 1, 3])
    with pytest.raises(IndexError, match="no engine -4"):
        resolve([0, -4], [0, 1, 3])
    with pytest.raises(UnknownEngine, match="0 to 99"):
        resolve(100, list(range(100)))


def test_no_engines_at_all() -> None:
    for targets in (0, -1, slice(None), [2], "all"):
        with pytest.raises(NoEnginesRegistered, match="has no engines"):
            resolve(targets, [])


@pytest.mark.parametrize("targets", [1.5, "0", b"0", True, [0, "1"], [1.0], {}.keys, object()])
def test_what_is_no_index_is_refused(targets: object) -> None:
    with pytest.raises(TypeError, match="engines are an id"):
        resolve(targets, [0, 1])


def test_numpy_integers_are_ids() -> None:
    assert resolve(np.int64(1), [0, 1]) == ([1], True)
    assert resolve(np.arange(2), [0, 1]) == ([0, 1], False)


def test_empty_and_repeated_lists_are_refused() -> None:
    with pytest.raises(EmptyTargets, match="empty"):
        resolve([], [0, 1])
    with pytest.raises(ValueError, match="twice"):
        resolve([0, 1, -1], [0, 1])
