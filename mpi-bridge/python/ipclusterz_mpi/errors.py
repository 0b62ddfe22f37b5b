"""Why there is no MPI for this process, in words."""

from __future__ import annotations

__all__ = ["VARIABLE_HINT", "MPILibraryError"]

VARIABLE_HINT = "the variable IPCLUSTERZ_MPI can name the library: IPCLUSTERZ_MPI=/path/to/libmpi.so.40"


class MPILibraryError(ImportError):
    """There is no MPI library that this process can use.

    Parameters
    ----------
    message : str
        What was looked at, and what is wrong with each library.
    hint : str
        What to do about it.

    Examples
    --------
    >>> error = MPILibraryError("no MPI library can be loaded", "load the module of your MPI")
    >>> error.hint
    'load the module of your MPI'
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}\nhint: {hint}")
        self.message = message
        self.hint = hint
