"""MPI programs for the tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mpi_library import HERE, SECONDS, environment, mpiexec


@pytest.fixture(params=["openmpi", "mpich", "openmpi5"])
def flavour(request: pytest.FixtureRequest) -> str:
    """Which MPI."""
    name: str = request.param
    return name


@pytest.fixture
def run(flavour: str, tmp_path: Path) -> Callable[..., str]:
    """Runs a program of `programs/` on so many ranks; what they printed.

    All must come to their last line, and mpiexec must end with `status`; None: with any.
    """
    env = environment(flavour, tmp_path)

    def run(ranks: int, program: str, *arguments: object, status: int | None = 0) -> str:
        command = [*mpiexec(flavour, ranks), sys.executable, str(HERE / "programs" / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=SECONDS)
        said = done.stdout + done.stderr
        assert status in (None, done.returncode), said
        assert sorted(line for line in done.stdout.splitlines() if line.startswith("done: ")) == sorted(
            f"done: rank {rank} of {ranks}" for rank in range(ranks)
        ), said
        return done.stdout

    return run
