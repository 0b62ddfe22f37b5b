"""`mpi.checkpoint` and `mpi.restore` among ranks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mpi_library import HERE, SECONDS, environment, mpiexec

pytestmark = pytest.mark.timeout(SECONDS + 30)

Run = Callable[..., str]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_newest_that_all_can_read(run: Run, ranks: int, tmp_path: Path) -> None:
    run(ranks, "checkpoints.py", "the_whole", tmp_path / "kept")


@pytest.mark.parametrize("ranks", [2, 4])
def test_what_a_lost_rank_kept_is_read_by_others(run: Run, ranks: int, tmp_path: Path) -> None:
    run(ranks, "checkpoints.py", "by_fewer", tmp_path / "kept")


def test_a_disk_for_each(run: Run, tmp_path: Path) -> None:
    run(2, "checkpoints.py", "on_disks_of_each", tmp_path)


def test_a_rank_that_is_killed_while_it_writes(run: Run, flavour: str, tmp_path: Path) -> None:
    program = [sys.executable, str(HERE / "programs/checkpoints.py"), "killed", str(tmp_path / "kept")]
    command = [*mpiexec(flavour, 3), *program]
    # A folder of its own: `run` has made links in the other.
    folder = tmp_path / "killed"
    folder.mkdir()
    ended = subprocess.run(command, env=environment(flavour, folder), timeout=SECONDS, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "done:" not in ended.stdout, ended.stdout + ended.stderr
    run(3, "checkpoints.py", "after", tmp_path / "kept")
