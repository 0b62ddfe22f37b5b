"""Sequences for tests of scatter and gather: strategies that make them, and what it means that two are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from hypothesis.extra import pandas as st_pandas

dists = st.sampled_from(["b", "r"])
sequences = (
    st.lists(st.integers()) | st.text() | st.binary() | st.binary().map(bytearray) | st.lists(st.integers()).map(tuple)
)
dtypes = (
    # numpy's pickle turns dates of a foreign byte order, and only them, into the host's.
    st_numpy.scalar_dtypes().map(lambda dtype: dtype.newbyteorder("=") if dtype.kind in "mM" else dtype)
    | st_numpy.byte_string_dtypes()
    | st_numpy.unicode_string_dtypes()
    | st_numpy.array_dtypes(allow_subarrays=True)
    | st.just(np.dtype(object))
)
shapes = st_numpy.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)


def arrays() -> st.SearchStrategy[np.ndarray]:
    """Arrays of any dtype and of one to four dimensions, in C and in Fortran order."""
    objects = st.none() | st.integers() | st.text() | st.tuples(st.booleans())
    in_c_order = dtypes.flatmap(
        lambda dtype: st_numpy.arrays(dtype, shapes, elements=objects if dtype.hasobject else None, fill=st.nothing())
    )
    return in_c_order | in_c_order.map(np.asfortranarray)


def frames() -> st.SearchStrategy[pd.DataFrame]:
    """Frames with columns of several dtypes, whose labels may be repeated."""
    columns = [
        st_pandas.column("count", elements=st.integers(-(2**63), 2**63 - 1), dtype=np.int64),
        st_pandas.column("share", dtype=np.float32),
        st_pandas.column("known", dtype=bool),
        st_pandas.column(
            "when", elements=st.datetimes(pd.Timestamp(1900, 1, 1), pd.Timestamp(2100, 1, 1)), dtype="datetime64[ns]"
        ),
        st_pandas.column("name", elements=st.text(max_size=3), dtype=object),
    ]
    labels = st_pandas.range_indexes() | st_pandas.indexes(elements=st.integers(0, 3), unique=False)
    mixed = labels.flatmap(lambda index: st_pandas.data_frames(columns, index=st.just(index)))
    return mixed.map(
        lambda frame: frame.assign(kind=frame["name"].astype("category"), text=frame["name"].astype("str"))
    )


def assert_same(joined: Any, whole: Any, parts: int = 0) -> None:
    """The same kind and elements; of arrays also dtype, shape and memory order, of frames also dtypes and index.

    Parts of one row lie the same in both memory orders: an array of such parts only has to be contiguous again.
    """
    assert type(joined) is type(whole)
    if isinstance(whole, np.ndarray):
        assert (joined.dtype, joined.shape) == (whole.dtype, whole.shape)
        assert joined.flags.forc
        if whole.flags.forc and len(whole) > parts:
            assert [joined.flags.c_contiguous, joined.flags.f_contiguous] == [
                whole.flags.c_contiguous,
                whole.flags.f_contiguous,
            ]
        # NaN is like NaN.
        assert repr(joined.tolist()) == repr(whole.tolist())
    elif isinstance(whole, pd.DataFrame):
        pd.testing.assert_frame_equal(joined, whole, check_exact=True)
        assert type(joined.index) is type(whole.index)
    elif isinstance(whole, pd.Series):
        pd.testing.assert_series_equal(joined, whole, check_exact=True)
        assert type(joined.index) is type(whole.index)
    else:
        assert joined == whole
