"""Where to look for the MPI library of this process, and which family it is of: the nearest evidence first."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from . import process
from .families import FAMILIES, family_of_file
from .programs import files_of_mpicc, mpiexec

__all__ = ["VARIABLE", "Clue", "Wish", "clues", "wish"]

# Says which MPI is to be used: a family, or the file of a library.
VARIABLE = "IPCLUSTERZ_MPI"

# What only the mpiexec of one family sets for its ranks: Open MPI's, MPICH's hydra, HPE's PALS, MVAPICH's.
_MARKS = {
    "OMPI_COMM_WORLD_SIZE": "openmpi",
    "MPI_LOCALNRANKS": "mpich",
    "PALS_LOCAL_SIZE": "mpich",
    "MV2_COMM_WORLD_SIZE": "mpich",
}


class Wish(NamedTuple):
    """Which family this process needs.

    Parameters
    ----------
    family : str or None
        The family; None: nothing says it.
    why : str
        What says it.
    starter : Path or None
        The program that started the process, if that is of an MPI.
    """

    family: str | None
    why: str
    starter: Path | None


class Clue(NamedTuple):
    """A place where libraries were looked for.

    Parameters
    ----------
    source : str
        What led there.
    files : tuple of Path
        The libraries that were found there.
    """

    source: str
    files: tuple[Path, ...]


def wish(environment: Mapping[str, str]) -> Wish:
    """Which family started this process, by the program that it descends from or by its variables."""
    starter = process.starter()
    if starter is not None:
        return Wish(starter.family, f"{starter.path} started this process", starter.path)
    for name, family in _MARKS.items():
        if name in environment:
            return Wish(family, f"the variable {name} is set", None)
    return Wish(None, "nothing says which MPI started this process", None)


def clues(wanted: Wish, environment: Mapping[str, str]) -> Iterator[Clue]:
    """Places with libraries, the nearest first. Programs are asked only when what comes before them was no use."""
    families = [wanted.family] if wanted.family else _preferred(environment)
    if wanted.starter:
        yield Clue(f"beside {wanted.starter}", _beside(wanted.starter, families))
    folders = [Path(folder) for folder in environment.get("LD_LIBRARY_PATH", "").split(":") if folder]
    yield Clue("in LD_LIBRARY_PATH", _in_folders(folders, families))
    yield Clue(f"in the environment of this Python, {sys.prefix}", _in_folders([Path(sys.prefix, "lib")], families))
    command, files = files_of_mpicc(environment)
    yield Clue(f"by `{command} -show`", tuple(file for file in files if family_of_file(file.resolve()) in families))
    program = mpiexec(environment)
    if program is not None:
        yield Clue(f"beside {program.path}", _beside(program.path, [program.family] if program.family else families))
    names = tuple(Path(file) for family in families for file in FAMILIES[family].files)
    yield Clue("where the system looks for libraries", names)


def _preferred(environment: Mapping[str, str]) -> list[str]:
    """All families. Under srun that which more often speaks what the ranks were given comes first: PMIx or PMI-2."""
    speaks_pmi2 = "PMI_RANK" in environment and "PMIX_RANK" not in environment
    return sorted(FAMILIES, reverse=not speaks_pmi2)


def _beside(program: Path, families: list[str]) -> tuple[Path, ...]:
    prefix = program.parent.parent
    libraries = prefix / "lib"
    # Debian's folders have the names of architectures; Intel MPI had one for each kind of build.
    debian = sorted(libraries.glob("*-linux-gnu*")) if libraries.is_dir() else []
    return _in_folders([libraries, prefix / "lib64", *debian, libraries / "release"], families)


def _in_folders(folders: list[Path], families: list[str]) -> tuple[Path, ...]:
    return tuple(
        path
        for folder in folders
        for family in families
        for file in FAMILIES[family].files
        if (path := folder / file).exists() and family_of_file(path.resolve()) in (family, None)
    )
