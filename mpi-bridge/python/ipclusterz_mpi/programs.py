"""What the site's own mpicc and mpiexec say about where their library is."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .families import family_of_file, family_of_version, is_mpi_library
from .process import family_of_program

__all__ = ["Mpiexec", "files_of_mpicc", "mpiexec"]

# A program may have to come over a network, on a busy host.
_PATIENCE = 20.0


class Mpiexec(NamedTuple):
    """The mpiexec on PATH.

    Parameters
    ----------
    path : Path
        Its file.
    family : str or None
        The family of its MPI; None where neither its name nor its version says it.
    """

    path: Path
    family: str | None


def files_of_mpicc(environment: Mapping[str, str]) -> tuple[str, list[Path]]:
    """The libraries that mpicc, or what MPICC names, links programs to; and its name."""
    command = environment.get("MPICC") or "mpicc"
    words = _words(_answer(command, "-show", environment))
    folders = [Path(word[2:]) for word in words if word.startswith("-L")]
    names = [f"lib{word[2:]}.so" for word in words if word.startswith("-l")]
    files = [
        path for folder in folders for name in names for path in (folder / name, *sorted(folder.glob(f"{name}.*")))
    ]
    # A library's plain name may be a script for the linker, or lead to a file whose name says its family.
    return command, [
        path for path in files if is_mpi_library(path) and path.exists() and family_of_file(path.resolve())
    ]


def mpiexec(environment: Mapping[str, str]) -> Mpiexec | None:
    """The mpiexec on PATH; None where there is none."""
    found = shutil.which("mpiexec", path=environment.get("PATH"))
    if found is None:
        return None
    path = Path(found).resolve()
    return Mpiexec(path, family_of_program(path.name) or family_of_version(_version(found, environment)))


def _version(program: str, environment: Mapping[str, str]) -> str:
    text = _answer(program, "--version", environment)
    # What hydra and PRRTE, the starters of MPICH and of Open MPI 5, call themselves.
    return text.replace("HYDRA", "MPICH").replace("OpenRTE", "Open MPI").replace("prterun", "Open MPI")


def _answer(program: str, option: str, environment: Mapping[str, str]) -> str:
    found = shutil.which(program, path=environment.get("PATH"))
    if found is None:
        return ""
    try:
        done = subprocess.run(
            [found, option], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # A quotation mark without its other half.
        return text.split()
