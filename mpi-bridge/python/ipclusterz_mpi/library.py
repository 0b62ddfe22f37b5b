"""Opens an MPI library, asks it what it is, and makes its functions known to the extension, which names no file."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import NamedTuple

from .families import family_of_version

__all__ = ["Library", "open_library", "share"]

# More than the longest text that a library may write, MPICH's 8192.
_ROOM = 16384


class Library(NamedTuple):
    """An open MPI library.

    Parameters
    ----------
    path : Path
        Its file, or the name that the loader was asked for.
    family : str or None
        Its family; None: it is of none that this package knows.
    says : str
        What it says about its version.
    """

    path: Path
    family: str | None
    says: str


def open_library(path: Path) -> Library:
    """Open a library, for itself alone.

    Raises
    ------
    OSError
        When it cannot be loaded, is no MPI library, or has the standard binary interface.
    """
    handle = ctypes.CDLL(str(path), mode=os.RTLD_LOCAL | os.RTLD_NOW)
    try:
        ask = handle.MPI_Get_library_version
    except AttributeError:
        raise OSError(f"{path}: it is no MPI library: it has no MPI_Get_library_version") from None
    if _is_standard(handle):
        raise OSError(f"{path}: it has the standard binary interface of MPI 5.0, for which there is no extension yet")
    # May be called before MPI_Init (MPI 3.1, section 8.1.1).
    text, length = ctypes.create_string_buffer(_ROOM), ctypes.c_int()
    if ask(text, ctypes.byref(length)) != 0:
        raise OSError(f"{path}: it does not tell its version")
    version = text.value.decode(errors="replace").strip()
    return Library(path, family_of_version(version), _first_line(version))


def share(library: Library) -> None:
    """Have extensions that are loaded from now on find the functions of a library that is open.

    Raises
    ------
    OSError
        When it is not open.
    """
    ctypes.CDLL(str(library.path), mode=os.RTLD_GLOBAL | os.RTLD_NOW | os.RTLD_NOLOAD)


def _is_standard(handle: ctypes.CDLL) -> bool:
    """Whether handles are those of the standard's own binary interface (MPI 5.0, section 20.1), whoever made it."""
    try:
        ask = handle.MPI_Abi_get_version
    except AttributeError:
        return False
    major, minor = ctypes.c_int(-1), ctypes.c_int(-1)
    return ask(ctypes.byref(major), ctypes.byref(minor)) == 0 and major.value > 0


def _first_line(version: str) -> str:
    """As `MPI_Get_library_version` begins, without what cannot be printed."""
    line = next(iter(version.splitlines()), "").split(",")[0].replace("\t", " ").strip()
    return "".join(character for character in line if character.isprintable())
