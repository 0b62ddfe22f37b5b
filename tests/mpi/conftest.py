"""MPI programs for the tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mpi_library import HERE, SECONDS, environment


@pytest.fixture(params=["openmpi", "mpich"])
def flavour(request: pytest.FixtureRequest) -> str:
    """Which MPI."""
    name: str = request.param
    return name


@pytest.fixture
def run(flavour: str, tmp_path: Path) -> Callable[..., str]:
    """Runs a program of `programs/` on so many ranks; all must end well. What they printed."""
    env = environment(flavour, tmp_path)

    def run(ranks: int, program: str, *arguments: object) -> str:
        command = [f"mpiexec.{flavour}", "-n", str(ranks)]
        if flavour == "openmpi":
            command += ["--oversubscribe", "--allow-run-as-root"]
        command += [sys.executable, str(HERE / "programs" / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=SECONDS)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert sorted(line for line in done.stdout.splitlines() if line.startswith("done: ")) == sorted(
            f"done: rank {rank} of {ranks}" for rank in range(ranks)
        ), said
        return done.stdout

    return run
