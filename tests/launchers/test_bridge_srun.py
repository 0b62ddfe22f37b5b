"""The MPI bridge under Slurm's srun, on several hosts: the programs of `tests/mpi`.

With MPICH these also show that a world over several hosts ends: MPI_Finalize of MPICH before 4.2 may never return
there.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from hosts import VirtualHosts
from mpi_library import HERE, environment

RANKS = 6
# Which interface of Slurm's each library speaks.
INTERFACES = {"openmpi": "pmix", "mpich": "pmi2"}


@pytest.mark.parametrize("flavour", list(INTERFACES))
@pytest.mark.parametrize("program", ["collectives.py", "sequence.py", "objects.py"])
@pytest.mark.timeout(90)
def test_under_srun(hosts: VirtualHosts, flavour: str, program: str) -> None:
    folder = Path(tempfile.mkdtemp(dir=hosts.folder))
    env = environment(flavour, folder)
    # Each host has its own /tmp.
    del env["TMPDIR"]
    passed = {name: env[name] for name in ("PYTHONPATH", "MPI4PY_MPIABI", "LD_LIBRARY_PATH") if name in env}
    command = ["srun", f"--mpi={INTERFACES[flavour]}", f"--ntasks={RANKS}", "--nodes=3", sys.executable]
    done = hosts.run(0, [*command, HERE / "programs" / program, "7"], passed, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    lines = sorted(line for line in done.stdout.splitlines() if line.startswith("done: "))
    assert lines == [f"done: rank {rank} of {RANKS}" for rank in range(RANKS)], said
