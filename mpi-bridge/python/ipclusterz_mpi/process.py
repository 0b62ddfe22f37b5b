"""What this process tells about its MPI: libraries that are loaded already, and the programs that started it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .families import is_mpi_library

__all__ = ["Starter", "family_of_program", "loaded_libraries", "starter"]

# Between a rank and its starter there may be shells and wrappers, such as `numactl` or `singularity`.
_GENERATIONS = 12


class Starter(NamedTuple):
    """A program of an MPI that started this process.

    Parameters
    ----------
    path : Path
        Its file.
    family : str
        The family of its MPI.
    """

    path: Path
    family: str


def loaded_libraries() -> list[Path]:
    """The MPI libraries that this process has loaded, such as that of an mpi4py that was imported before."""
    found: dict[Path, None] = {}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.rstrip("\n").split(maxsplit=5)
            if len(fields) == 6 and is_mpi_library(path := Path(fields[5])):
                found[path] = None
    return list(found)


def starter() -> Starter | None:
    """The program of an MPI that this process descends from; None where there is none, such as under srun."""
    for path in _ancestors():
        family = family_of_program(path.name)
        if family is not None:
            return Starter(path, family)
    return None


def family_of_program(name: str) -> str | None:
    """The family of a program that starts ranks; None where its name does not say it."""
    if name.startswith(("orte", "prte", "ompi")) or name.endswith(".openmpi"):
        return "openmpi"
    if name.startswith("hydra_") or name.endswith((".hydra", ".mpich")):
        return "mpich"
    return None


def _ancestors() -> Iterator[Path]:
    """The programs that this process descends from, those of other users left out."""
    process = os.getppid()
    for _ in range(_GENERATIONS):
        if process <= 1:
            return
        with contextlib.suppress(OSError):
            yield Path(os.readlink(f"/proc/{process}/exe"))
        try:
            status = Path(f"/proc/{process}/stat").read_text(errors="replace")
        except OSError:
            return
        # The name stands in brackets, and may have any characters in it.
        process = int(status.rpartition(")")[2].split()[1])
