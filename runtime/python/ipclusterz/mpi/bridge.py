"""The extension module `ipclusterz_mpi`, which is built on site with the MPI that starts the engines."""

from __future__ import annotations

from typing import Any

from ..error import MPIError
from ..wheels import BRIDGE

__all__ = ["bridge"]

_native: Any = None


def bridge() -> Any:
    """The extension module, imported at the first call.

    Raises
    ------
    MPIError
        When it is not installed, or was built for another MPI.
    """
    global _native
    if _native is None:
        try:
            import ipclusterz_mpi  # type: ignore[import-not-found, unused-ignore]
        except ModuleNotFoundError:
            raise MPIError(
                "this Python has no MPI for ipclusterz: install it where the engines run, with the MPI that starts "
                f"them, by `pip install {BRIDGE}`"
            ) from None
        except ImportError as error:
            raise MPIError(
                f"the MPI for ipclusterz cannot be loaded: {error}; build it with the MPI that starts the engines, by "
                f"`pip install {BRIDGE}`"
            ) from error
        _native = ipclusterz_mpi
    return _native
