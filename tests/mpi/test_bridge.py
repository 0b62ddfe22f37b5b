"""`ipclusterz.mpi` among ranks, without a cluster around them: Open MPI and MPICH, on 1, 2, 4 and 8 ranks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mpi_library import SECONDS, environment, mpiexec

import ipclusterz

pytestmark = pytest.mark.timeout(SECONDS + 30)

RANKS = [1, 2, 4, 8]
Run = Callable[..., str]


@pytest.mark.parametrize("ranks", RANKS)
def test_collectives(run: Run, ranks: int) -> None:
    run(ranks, "collectives.py")


@pytest.mark.parametrize("ranks", RANKS)
def test_objects_messages_and_groups(run: Run, ranks: int) -> None:
    run(ranks, "objects.py")


@pytest.mark.parametrize("ranks", RANKS)
def test_a_random_sequence(run: Run, ranks: int) -> None:
    run(ranks, "sequence.py", 20 + ranks)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_bad_input(run: Run, ranks: int) -> None:
    run(ranks, "errors.py")


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_counts_that_are_split(run: Run, ranks: int) -> None:
    run(ranks, "large.py", "small")


def test_which_call_each_communicator_is_in(run: Run) -> None:
    run(3, "calls.py")


@pytest.mark.parametrize("how", ["deadline", "interrupt", "lost"])
def test_a_wait_that_is_given_up(run: Run, how: str, tmp_path: Path) -> None:
    # MPI cannot be finalised then, which mpiexec calls an improper end.
    run(3, "deadline.py", how, tmp_path, status=None)


@pytest.mark.parametrize("order", ["mpi4py first", "mpi4py later", "mpi4py does not initialise"])
def test_beside_mpi4py(run: Run, order: str) -> None:
    run(2, "beside_mpi4py.py", order)


def test_without_the_extension_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from ipclusterz import mpi; mpi.comm()"], capture_output=True, text=True, timeout=60
    )
    assert "pip install ./ipclusterz_mpi-*.whl" in done.stderr.splitlines()[-1]


def test_the_command_tells_which_mpi_it_is(flavour: str, tmp_path: Path) -> None:
    env = {**environment(flavour, tmp_path), "IPCLUSTERZ_PYTHON": sys.executable}
    command = [*mpiexec(flavour, 1), sys.executable, "-m", "ipclusterz", "--version", "--verbose", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    told = json.loads(done.stdout)["python"]["bridge"]
    asked = subprocess.run([mpiexec(flavour, 1)[0], "--version"], capture_output=True, text=True, timeout=60, env=env)
    version = re.search(r"(?:Version:|\(Open(?:RTE| MPI)\)) +(\S+)", asked.stdout)
    assert version is not None
    assert re.match(rf"(Open MPI v|MPICH Version: +){re.escape(version[1])}$", told["library"]), told
    assert (told["version"], told["error"]) == (ipclusterz.__version__, None)


@pytest.mark.parametrize(
    "other",
    [
        "VERSION = '9.9.9'\n",
        "class Native:\n  VERSION, INTERFACE = '9.9.9', 99\ndef about(): pass\ndef load(): return Native\n",
    ],
    ids=["the first one", "another interface"],
)
def test_an_extension_of_another_release(tmp_path: Path, other: str) -> None:
    (tmp_path / "ipclusterz_mpi.py").write_text(other)
    done = subprocess.run(
        [sys.executable, "-c", "from ipclusterz import mpi; mpi.comm()"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert "ipclusterz-mpi 9.9.9 does not fit ipclusterz " in done.stderr
    assert done.stderr.splitlines()[-1] == "hint: install both from the same release"


def test_a_process_that_is_no_rank(flavour: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from ipclusterz import mpi; mpi.comm()"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(flavour, tmp_path),
    )
    assert "is not a rank of an MPI program" in done.stderr.splitlines()[-1]
    assert "--profile mpiexec" in done.stderr.splitlines()[-1]


def test_waits_for_a_rank_that_has_ended_its_part(run: Callable[..., str]) -> None:
    # What was given up is never matched, which not every MPI survives at its end.
    run(2, "left.py", status=None)
