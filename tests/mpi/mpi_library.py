"""How MPI programs of this folder are started: with each library, and the extension module for it."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent
# `make` puts them there: the build of a site, from its sdist, and the wheel that is for all libraries.
BUILT = HERE.parents[1] / "target/mpi-bridge"
BUILDS = {"openmpi": BUILT / "openmpi", "mpich": BUILT / "wheel", "openmpi5": BUILT / "wheel"}
OPENMPI5 = HERE.parents[1] / "target/openmpi5"
SECONDS = 150


def environment(flavour: str, folder: Path) -> dict[str, str]:
    """Variables with which ranks load that library, mpi4py among them."""
    paths = [str(BUILDS[flavour]), str(HERE), os.environ.get("PYTHONPATH", "")]
    env = {
        **os.environ,
        "PYTHONPATH": ":".join(filter(None, paths)),
        "MPI4PY_MPIABI": flavour.removesuffix("5"),
        "TMPDIR": str(folder),
    }
    # Lines of several ranks are written in one piece each only where Python buffers them.
    env["PYTHONUNBUFFERED"] = ""
    if flavour == "mpich":
        # It looks for libmpi.so.12, and Debian's MPICH is called otherwise.
        (folder / "libmpi.so.12").symlink_to(next(Path("/usr/lib").glob("*/libmpich.so.12")))
        env["LD_LIBRARY_PATH"] = str(folder)
        # Its UCX looks at all network cards, and cannot stand that those of other tests' virtual hosts come and go.
        env["UCX_TLS"] = "self,sm"
    if flavour == "openmpi5":
        env["LD_LIBRARY_PATH"] = str(OPENMPI5 / "lib")
    return env


def starter(flavour: str) -> str:
    """The program that starts its ranks."""
    return str(OPENMPI5 / "bin/mpiexec") if flavour == "openmpi5" else f"mpiexec.{flavour}"


def mpiexec(flavour: str, ranks: int) -> list[str]:
    """The command; where there are more ranks than cores, those that wait give theirs up."""
    command = [starter(flavour), "-n", str(ranks)]
    if flavour == "mpich":
        return command
    yields = "1" if ranks > len(os.sched_getaffinity(0)) else "0"
    return [*command, "--oversubscribe", "--allow-run-as-root", "--mca", "mpi_yield_when_idle", yields]
