"""Splitting, joining and chunking, and the meaning of an index: all without a cluster."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from ipclusterz import EmptyTargets, NoEnginesRegistered, UnknownEngine
from ipclusterz.client.mapping import chunk_bounds, columns_of
from ipclusterz.client.scatter import bounds, join, partition
from ipclusterz.client.targets import resolve

parts_counts = st.integers(1, 12)
sequences = st.lists(st.integers()) | st.text() | st.binary() | st.lists(st.integers()).map(tuple)


@given(sequences, parts_counts)
def test_join_is_the_inverse_of_partition(sequence: object, parts: int) -> None:
    pieces = partition(sequence, parts)
    assert len(pieces) == parts
    assert join(pieces) == sequence
    assert {type(piece) for piece in pieces} == {type(sequence)}


@given(
    st_numpy.arrays(
        dtype=st_numpy.scalar_dtypes(), shape=st_numpy.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)
    ),
    parts_counts,
)
def test_arrays_are_split_along_the_first_axis(array: np.ndarray, parts: int) -> None:
    pieces = partition(array, parts)
    assert all(piece.shape[1:] == array.shape[1:] for piece in pieces)
    joined = join(pieces)
    np.testing.assert_array_equal(joined, array)
    assert joined.dtype == array.dtype


@given(st.integers(0, 1000), parts_counts)
def test_blocks_are_contiguous_and_even(length: int, parts: int) -> None:
    blocks = bounds(length, parts)
    assert [index for start, stop in blocks for index in range(start, stop)] == list(range(length))
    sizes = [stop - start for start, stop in blocks]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


def test_ranges_and_generators_become_lists() -> None:
    assert partition(range(4), 2) == [[0, 1], [2, 3]]
    assert partition((character for character in "abc"), 2) == [["a", "b"], ["c"]]
    assert partition({"k": 1}, 2) == [["k"], []]


@pytest.mark.parametrize("value", [3, None, np.array(1.0)])
def test_what_is_no_sequence_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        partition(value, 2)


def test_parts_of_different_kinds_join_as_a_list() -> None:
    assert join([[1], (2,), range(3, 4)]) == [1, 2, 3]
    assert join([1, [2, 3]]) == [1, 2, 3]
    assert join([]) == []


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
    assert list(zip(*(column[:length] for column in cut), strict=True)) == list(zip(*columns, strict=False))


def test_an_endless_sequence_beside_a_finite_one() -> None:
    columns, length = columns_of((itertools.count(), "abc"))
    assert (columns, length) == ([[0, 1, 2], ["a", "b", "c"]], 3)
    assert columns_of((iter(()), iter(())))[1] == 0


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
