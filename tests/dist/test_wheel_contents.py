"""What `make dist` left in dist/: its size, and that it says nothing of who built it, where and when."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/dist"))

from archives import holding  # noqa: E402

FILES = sorted([*(ROOT / "dist").glob("ipclusterz-*.whl"), *(ROOT / "dist").glob("ipclusterz-*.tar.gz")])


def folders() -> Iterator[Path]:
    """Folders that compilers were told of."""
    yield ROOT
    yield Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    yield Path(os.environ.get("RUSTUP_HOME", Path.home() / ".rustup"))
    yield Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


@pytest.mark.parametrize("folder", sorted(set(folders())), ids=str)
def test_no_file_names_a_folder_of_the_build(folder: Path) -> None:
    """Two people who build the same commit get the same bytes."""
    told = [f"{file.name}: {member}" for file in FILES for member in holding(file, f"{folder}/".encode())]
    assert told == []


def test_names_of_functions_are_in_the_command() -> None:
    """A backtrace in a controller's log has them from there."""
    wheels = [file for file in FILES if file.suffix == ".whl"]
    assert wheels
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            [name] = (name for name in archive.namelist() if name.endswith(".data/scripts/ipclusterz"))
            assert b"ipclusterz_runtime10controller" in archive.read(name), wheel.name


def test_the_wheel_is_small() -> None:
    """More than this is a change that somebody has to want; docs/contributing/SIZE.md says what is in it."""
    # Where wheels are only tried, they are linked in a quicker way (.ci/run).
    most = 15_000_000 if os.environ.get("CARGO_PROFILE_DIST_LTO") == "off" else 10_000_000
    assert [file.name for file in FILES if file.stat().st_size > most] == []
