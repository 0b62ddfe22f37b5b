"""Loads the extension that fits the MPI library of this process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import extensions
from .errors import VARIABLE_HINT, MPILibraryError
from .library import open_library, share
from .process import loaded_libraries
from .search import check_variable, named_file, search

__all__ = ["About", "about", "load"]


class About(NamedTuple):
    """What was built into this package, and what it is loaded with.

    Parameters
    ----------
    version : str
        The version of this package.
    serves : tuple of str
        The families whose libraries it can be loaded with.
    family : str
        The family of the library that is loaded.
    path : str
        The file of the library.
    says : str
        What the library says about its version.
    why : str
        Why it was chosen.

    Examples
    --------
    >>> import ipclusterz_mpi
    >>> ipclusterz_mpi.about().family
    'openmpi'
    """

    version: str
    serves: tuple[str, ...]
    family: str
    path: str
    says: str
    why: str


_loaded: tuple[Any, About] | None = None


def load() -> Any:
    """The extension module, loaded at the first call with the MPI library of this process.

    Raises
    ------
    MPILibraryError
        When no library can be used.

    Examples
    --------
    >>> import ipclusterz_mpi
    >>> ipclusterz_mpi.load().library_version()
    'Open MPI v4.1.4'
    """
    return _once()[0]


def about() -> About:
    """What is loaded, and why; loads it.

    Raises
    ------
    MPILibraryError
        When no library can be used.

    Examples
    --------
    >>> import ipclusterz_mpi
    >>> ipclusterz_mpi.about().says
    'Open MPI v4.1.4'
    """
    return _once()[1]


def _once() -> tuple[Any, About]:
    global _loaded
    if _loaded is None:
        module, path, why = (_of_site if extensions.BUILT_ON_SITE else _prebuilt)(os.environ)
        said = " ".join(module.library_version().split())
        _loaded = module, About(module.VERSION, extensions.serves(), module.FAMILY, path, said, why)
    return _loaded


def _prebuilt(environment: Mapping[str, str]) -> tuple[Any, str, str]:
    """The extension for the family of the library that was found."""
    others = set(loaded_libraries())
    library, why = search(environment, extensions.serves())
    try:
        share(library)
        module = extensions.extension(str(library.family))
    except (ImportError, OSError) as error:
        raise MPILibraryError(
            f"the extension for {library.family} cannot be loaded with {library.path} ({library.says}): {error}",
            f"use another version of that MPI, or build the extension with this one; {VARIABLE_HINT}",
        ) from error
    new = [path for path in loaded_libraries() if path not in others]
    return module, _file_of(library.path, new), why


def _of_site(environment: Mapping[str, str]) -> tuple[Any, str, str]:
    """The one extension of a build for the library that it is linked to."""
    serves = extensions.serves()
    check_variable(environment, serves)
    present = loaded_libraries()
    named = named_file(environment)
    try:
        if named:
            share(open_library(named))
        module = extensions.extension(None)
    except (ImportError, OSError) as error:
        raise MPILibraryError(
            f"this build for {' '.join(serves)} cannot be loaded: {error}",
            "load the module of the MPI that it was built with, or build it with the MPI that starts the ranks; "
            + VARIABLE_HINT,
        ) from error
    libraries = loaded_libraries()
    if len(libraries) > 1:
        raise MPILibraryError(
            f"this process has loaded more than one MPI: {' and '.join(map(str, libraries))}",
            f"this build is for {' '.join(serves)}: have other modules use the same MPI (for mpi4py: MPI4PY_LIBMPI)",
        )
    why = "it was loaded already" if present else "this build is linked to it"
    return module, str(libraries[0]) if libraries else "unknown", why


def _file_of(path: Path, new: list[Path]) -> str:
    """The file of a library that may have been asked for by its name alone."""
    return str(new[0] if len(new) == 1 and "/" not in str(path) else path)
