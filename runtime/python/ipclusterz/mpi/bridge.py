"""The extension module `ipclusterz_mpi`, which is built on site with the MPI that starts the engines."""

from __future__ import annotations

from typing import Any

from ..error import MPIError

__all__ = ["bridge"]

# What the package uses of the extension module. It changes with `INTERFACE` in mpi-bridge/src/lib.rs, and only when the
# one would not work with the other any more.
INTERFACE = 1

_native: Any = None


def bridge() -> Any:
    """The extension module, imported at the first call.

    Raises
    ------
    MPIError
        When it is not installed, was built for another MPI, or is of a release that does not fit.
    """
    global _native
    if _native is None:
        try:
            import ipclusterz_mpi  # type: ignore[import-not-found, unused-ignore]
        except ModuleNotFoundError:
            raise MPIError(
                "this Python has no MPI for ipclusterz: install it where the engines run, with the MPI that starts "
                "them, by `pip install ./mpi-bridge`"
            ) from None
        except ImportError as error:
            raise MPIError(
                f"the MPI for ipclusterz cannot be loaded: {error}; build it with the MPI that starts the engines, by "
                "`pip install ./mpi-bridge`"
            ) from error
        _check(ipclusterz_mpi)
        _native = ipclusterz_mpi
    return _native


def _check(native: Any) -> None:
    # The first ones did not say it.
    theirs = getattr(native, "INTERFACE", 1)
    if theirs == INTERFACE:
        return
    from .._core import VERSION

    number = getattr(native, "VERSION", "of no known release")
    raise MPIError(
        f"the MPI for ipclusterz does not fit: ipclusterz_mpi {number} has interface {theirs}, and ipclusterz "
        f"{VERSION} needs {INTERFACE} ({native.__file__}); build it again from the sources of ipclusterz "
        f"{VERSION}, by `pip install ./mpi-bridge`"
    )
