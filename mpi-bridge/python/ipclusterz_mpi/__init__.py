"""MPI for the engines of ipclusterz: an extension module, and the choice of the MPI library that it is loaded with.

Users meet it as `ipclusterz.mpi`. A wheel that was built beforehand has an extension for each family of MPI libraries,
and no library: `load` finds the one that has started this process. A build of a site has one extension, which is linked
to the library of the site's mpicc. In reading order:

- `families`: which libraries share a binary interface, and what their files are called
- `library`: opens a library, and asks it what it is
- `process`: libraries that this process has already, and the program that started it
- `programs`: what mpicc and mpiexec on PATH say
- `clues`: where to look, and for which family
- `errors`, `search`: tries what was found, or says why nothing can be used
- `extensions`, `choice`: what was built into this package, and loading it

Importing this package loads no MPI.

Examples
--------
>>> import ipclusterz_mpi
>>> ipclusterz_mpi.serves()
('openmpi', 'mpich')
>>> ipclusterz_mpi.about().says
'Open MPI v4.1.4'
"""

from __future__ import annotations

from .choice import About, about, load
from .clues import VARIABLE
from .errors import MPILibraryError
from .extensions import serves

__all__ = ["VARIABLE", "About", "MPILibraryError", "about", "load", "serves"]


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Imported when it is needed: reading what an installer wrote takes longer than everything else here.
    from importlib.metadata import version

    return version("ipclusterz-mpi")
