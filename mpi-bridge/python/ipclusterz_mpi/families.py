"""The families of MPI libraries. Those of one family share a binary interface: one extension serves them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["FAMILIES", "Family", "family_of_file", "family_of_version", "is_mpi_library"]


class Family(NamedTuple):
    """Libraries that share a binary interface.

    Parameters
    ----------
    name : str
        Its name in the variable IPCLUSTERZ_MPI.
    title : str
        What it is called in messages.
    files : tuple of str
        Names of the library's file, those of most sites first.
    brands : tuple of str
        Words by which a library of this family tells its version.
    """

    name: str
    title: str
    files: tuple[str, ...]
    brands: tuple[str, ...]


# Open MPI has kept its file name, and with it its interface, from version 3 on. Those of the other family have agreed
# on MPICH's (https://www.mpich.org/abi/); Debian calls MPICH's own file otherwise, and Cray has one for each compiler.
FAMILIES = {
    family.name: family
    for family in (
        Family("openmpi", "Open MPI 4 and 5", ("libmpi.so.40",), ("Open MPI",)),
        Family(
            "mpich",
            "MPICH and what shares its interface (MVAPICH, Intel MPI, Cray MPICH)",
            ("libmpi.so.12", "libmpich.so.12", "libmpi_cray.so.12", "libmpi_gnu.so.12"),
            ("MPICH", "MVAPICH", "Intel(R) MPI", "ParaStation"),
        ),
    )
}

# Not the libraries beside it: libmpi_cxx, libmpi_mpifh, libmpi_usempif08, libmpi_gtl_cuda and so on.
_COMPILERS = "cray|gnu|intel|aocc|amd|nvidia|pgi"
_FILE = re.compile(rf"lib(?:mpi|mpich|mpi_abi|mpi_(?:{_COMPILERS})[\d_]*)(?:-[\da-f]+)?\.so(?:\.[\d.]+)?")


def is_mpi_library(path: Path) -> bool:
    """Whether a file is an MPI library by its name."""
    return _FILE.fullmatch(path.name) is not None


def family_of_file(path: Path) -> str | None:
    """The family that has files of this name; None where the name does not say it."""
    for family in FAMILIES.values():
        if any(path.name == file or path.name.startswith(f"{file}.") for file in family.files):
            return family.name
    return None


def family_of_version(version: str) -> str | None:
    """The family of a library that tells its version so; None: another one."""
    for family in FAMILIES.values():
        if any(brand.lower() in version.lower() for brand in family.brands):
            return family.name
    return None
