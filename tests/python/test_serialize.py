"""Values to frames and back, without a cluster."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from ipclusterz import Client, SerializationError
from ipclusterz.shared.serialize import OUT_OF_BAND, dumps, loads

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=50_000),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)
# numpy's own pickles forget a foreign byte order, of dates and of arrays that are not contiguous.
dtypes = st_numpy.scalar_dtypes().filter(lambda dtype: dtype.isnative)
arrays = st_numpy.arrays(dtype=dtypes, shape=st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=12))


def received(value: object) -> object:
    """The value as the other side sees it: rebuilt from buffers of its own."""
    return loads([bytearray(frame) for frame in dumps(value)])


@given(values)
def test_values_survive(value: object) -> None:
    assert received(value) == value


@given(arrays, st.booleans(), st.booleans(), st.booleans())
def test_arrays_survive_and_can_be_written(array: np.ndarray, transposed: bool, strided: bool, frozen: bool) -> None:
    if transposed:
        array = array.T
    if strided and array.ndim:
        array = array[::2]
    if frozen:
        array.flags.writeable = False
    copy = received(array)
    assert isinstance(copy, np.ndarray)
    np.testing.assert_array_equal(copy, array)
    assert copy.dtype == array.dtype
    assert copy.flags.writeable


@pytest.mark.parametrize("frozen", [False, True])
def test_a_large_array_is_a_frame_of_its_own(frozen: bool) -> None:
    array = np.arange(100_000.0)
    array.flags.writeable = not frozen
    pickle, *buffers = dumps({"a": array})
    assert len(pickle) < 1000
    assert [memoryview(buffer).nbytes for buffer in buffers] == [array.nbytes]
    if not frozen:
        assert np.shares_memory(np.frombuffer(buffers[0]), array)


def test_small_arrays_stay_in_the_pickle() -> None:
    assert len(dumps(np.zeros(OUT_OF_BAND // 8 - 1))) == 1
    assert len(dumps(np.zeros(OUT_OF_BAND // 8))) == 2


def test_arrays_of_objects_and_of_records() -> None:
    objects = np.array([None, "text", [1, 2]], dtype=object)
    assert received(objects).tolist() == objects.tolist()
    records = np.zeros(3000, dtype=[("x", "f8"), ("n", "i4")])
    np.testing.assert_array_equal(received(records), records)


def test_lambdas_and_local_classes_go_through_cloudpickle() -> None:
    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    assert received([lambda x: x + 1])[0](1) == 2
    assert received(Local(3)).value == 3


def test_what_cannot_travel_is_named() -> None:
    with pytest.raises(SerializationError, match=r"_thread\.lock") as caught:
        dumps({"a": threading.Lock()})
    assert "hint: " in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_an_error_in_a_class_of_the_user_is_told() -> None:
    class Refuses:
        def __reduce__(self) -> object:
            raise RuntimeError("not me")

    with pytest.raises(SerializationError, match=r"Refuses.*not me"):
        dumps(Refuses())


@pytest.mark.parametrize("length", [0, 3, OUT_OF_BAND])
@pytest.mark.parametrize("make", [bytes, bytearray])
def test_views_arrive_as_views(length: int, make: Any) -> None:
    view = memoryview(make(b"a" * length))
    [found] = loads(dumps([view]))
    assert isinstance(found, memoryview)
    assert found == view
    assert found.readonly is view.readonly


def test_views_keep_their_kinds_and_shapes() -> None:
    grid = np.arange(6.0).reshape(2, 3)
    for array in (grid, grid.astype("i4"), grid[:, ::2], np.asfortranarray(grid)):
        found = loads(dumps(memoryview(array)))
        assert (found.format, found.shape) == (memoryview(array).format, array.shape)
        assert found.tolist() == array.tolist()
        found[0, 0] = 7
        assert array[0, 0] == 0
    # Python has no views of such elements.
    record = np.zeros(2, dtype=[("a", "i4"), ("b", "f8")])
    assert loads(dumps(memoryview(record))).nbytes == record.nbytes


def test_a_view_that_an_engine_gets_is_one(rc: Client) -> None:
    value = memoryview(np.arange(5))
    kind, total = rc[0].apply_sync(lambda view: (type(view).__name__, sum(view)), value)
    assert (kind, total) == ("memoryview", 10)
