"""The examples of `examples/mpi`: what they run on engines, among plain ranks; and all of them, on real clusters."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clusters import START_SECONDS, mpi_cluster
from mpi_library import SECONDS

pytestmark = pytest.mark.timeout(SECONDS + START_SECONDS)

EXAMPLES = Path(__file__).parents[2] / "examples/mpi"
# Enough for several checkpoints on both sides of the loss.
HEAT = ["--size", "60", "--steps", "200", "--every", "20"]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_what_they_run_on_engines(run: Callable[..., str], ranks: int, tmp_path: Path) -> None:
    run(ranks, "examples.py", tmp_path / "heat")


def start(cluster: str, folder: Path, name: str, *arguments: str) -> str:
    """Run an example beside a cluster; what it prints."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    env = {**os.environ, "IPCLUSTERZ_CLUSTER": cluster}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(folder.iterdir()) == [], "it leaves nothing behind"
    return done.stdout


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A folder to run them in."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module", params=["openmpi", "mpich"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Four ranks."""
    with mpi_cluster(request.param, 4, tmp_path_factory.mktemp(f"examples-{request.param}")) as name:
        yield name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("psum", "the sum of 0 to 15 is 120.0: right"),
        ("eigenvalues", r"engine 3: average max eigenvalue is 10\.\d+; of all 10\.\d+, the largest 1[12]\.\d+"),
        ("power_iteration", r"largest eigenvalue is 599.930481134, after \d+ steps\nnumpy says .*: the same"),
    ],
)
def test_an_example(cluster: str, work: Path, name: str, said: str) -> None:
    assert re.search(said, start(cluster, work, name))


def test_heat_without_a_loss(cluster: str, work: Path) -> None:
    # A second time, and another plate: what an earlier run has left on the engines is not taken for this one's.
    for size in ("60", "60", "50"):
        said = start(cluster, work, "heat", *HEAT, "--size", size)
        assert "step 200, the last 200 by 4 ranks" in said
        assert "the same as alone" in said


@pytest.mark.parametrize(("flavour", "policy"), [("openmpi", "shrink"), ("openmpi", "restart"), ("mpich", "restart")])
def test_heat_goes_on_when_a_rank_is_killed(flavour: str, policy: str, tmp_path: Path, work: Path) -> None:
    survivors = "[0, 1, 3]" if policy == "shrink" else "[0, 1, 2, 3]"
    with mpi_cluster(flavour, 4, tmp_path / "heat", policy) as name:
        said = start(name, work, "heat", *HEAT, "--lose", "2")
    assert f"epoch 2: engines {survivors} go on" in said
    assert "step 200, the last 100 by" in said
    assert "the same as alone" in said
