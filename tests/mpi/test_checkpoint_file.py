"""One file of a checkpoint: what comes back is what was written, or an error."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequences import sequences

from ipclusterz.mpi.checkpoint_file import DamagedError, Header, read, read_header, write

numbers = st.integers(0, 2**63)
headers = st.builds(Header, numbers, numbers, numbers, numbers, st.lists(st.text()))
values = st.dictionaries(st.text(), sequences | st.integers(0, 5).map(lambda seed: large(seed)), max_size=3)


def large(seed: int) -> Any:
    """Longer than what is copied into a pickle; in Fortran's order, with gaps, and empty among others."""
    array = np.random.default_rng(seed).random((50, 60 * seed))
    return [array, array.T, array[::2], array > 0.5, array.astype("c8"), bytearray(array)][seed]


def written(folder: Path) -> Path:
    path = folder / "rank-1-of-4"
    write(path, Header(1, 4, 2, 7, ["u"]), {"u": np.arange(10_000.0), "text": "grün"})
    return path


@given(headers, values)
@settings(deadline=None)
def test_what_was_written_comes_back(header: Header, values: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "rank-0-of-1")
        write(path, header, values)
        assert read_header(path) == header
        found_header, found = read(path)
    assert found_header == header
    assert found.keys() == values.keys()
    # Each kind of object is compared by its bytes.
    for name, value in values.items():
        assert type(found[name]) is type(value)
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            assert found[name].shape == value.shape
            assert found[name].tobytes() == value.tobytes()
        else:
            assert pickle.dumps(found[name]) == pickle.dumps(value)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_no_changed_file_is_read(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder))
        good = path.read_bytes()
        place = data.draw(st.integers(0, 200) | st.integers(0, len(good) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "append"]))
        if how == "flip":
            bad = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
        elif how == "cut":
            bad = good[:place]
        else:
            at = place if how == "insert" else len(good)
            bad = good[:at] + data.draw(st.binary(min_size=1)) + good[at:]
        path.write_bytes(bad)
        with pytest.raises(DamagedError):
            read(path)


def test_arrays_can_be_written_to_and_files_are_private(tmp_path: Path) -> None:
    path = written(tmp_path)
    _, found = read(path)
    found["u"] += 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]


def test_what_others_could_have_written_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.chmod(0o620)
    with pytest.raises(DamagedError, match="can be written by others"):
        read(path)


def test_a_later_version_is_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'{"version": 1', b'{"version": 2', 1))
    with pytest.raises(DamagedError, match="of version 2, and this ipclusterz reads version 1"):
        read(path)


def test_an_object_that_cannot_be_kept_leaves_what_was_there(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(TypeError, match="generator"):
        write(path, Header(1, 4, 2, 8, ["u"]), {"u": (x for x in ())})
    assert read(path)[0].step == 7


def test_a_writer_that_is_killed_leaves_what_was_there(tmp_path: Path) -> None:
    path = written(tmp_path)
    if not (child := os.fork()):
        # Everything is in the file, and it has not its name yet.
        os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
        write(path, Header(1, 4, 2, 8, ["u"]), {"u": np.ones(10_000)})
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    header, found = read(path)
    assert header.step == 7
    assert np.array_equal(found["u"], np.arange(10_000.0))


def test_a_file_for_which_there_is_no_room_is_named_and_not_left(tmp_path: Path) -> None:
    before = written(tmp_path).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="rank-1-of-4"):
            written(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]
