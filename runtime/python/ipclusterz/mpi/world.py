"""The world of this engine: MPI's beginning, the communicator of the set, the extension module."""

from __future__ import annotations

import atexit
import os
from typing import Any

from ..error import MPIError
from .communicator import Comm

__all__ = ["comm", "from_mpi4py", "library", "native", "thread_level"]

TIMEOUT = 3600.0

_native: Any = None
_comm: Comm | None = None
_level = ""


def native() -> Any:
    """The extension module.

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
                "them, by `pip install ./mpi-bridge`"
            ) from None
        except ImportError as error:
            raise MPIError(
                f"the MPI for ipclusterz cannot be loaded: {error}; build it with the MPI that starts the engines, by "
                "`pip install ./mpi-bridge`"
            ) from error
        _native = ipclusterz_mpi
    return _native


def initialize() -> str:
    """Initialise MPI unless mpi4py or somebody else has; the thread level that it has.

    Whoever initialises MPI finalises it. At the end of the process, unless a rank was lost: that would wait for ever.
    """
    global _level
    if not _level:
        own, _level = native().initialize()
        if own:
            atexit.register(_finalize)
    return _level


def _finalize() -> None:
    if _comm is None or _comm.broken is None:
        native().finalize()


def comm() -> Comm:
    """The communicator of the engines of this set, in the order of their ids.

    A duplicate of MPI_COMM_WORLD, so that its messages never mix with those of other users of that. All ranks must call
    it for the first time together.

    Raises
    ------
    MPIError
        When this engine is not a rank of an MPI program, or has no extension module for MPI.

    Examples
    --------
    >>> from ipclusterz import mpi  # doctest: +SKIP
    >>> mpi.comm().allreduce(1)  # doctest: +SKIP
    """
    global _comm
    if _comm is None:
        bridge = native()
        if not bridge.is_initialized() and not _is_rank():
            raise MPIError(
                "this engine is not a rank of an MPI program: start the engines by mpiexec or srun, "
                'with launcher = "mpiexec" in the profile, or --profile mpiexec or slurm-mpi'
            )
        initialize()
        _comm = Comm(bridge.world(1, TIMEOUT), "world", TIMEOUT)
    return _comm


def _is_rank() -> bool:
    from ..engine.world import rank

    try:
        rank(os.environ)
    except ValueError:
        return False
    return True


def library() -> str:
    """Name and version of the MPI library."""
    version: str = native().library_version()
    return version


def thread_level() -> str:
    """What threads may call MPI: "single", "funneled", "serialized" or "multiple"."""
    return initialize()


def from_mpi4py(other: Any) -> Comm:
    """A communicator of mpi4py as one of ours, without a copy; it stays mpi4py's to free."""
    from .foreign import of_mpi4py

    epoch = comm().epoch
    return Comm(native().of_handle(of_mpi4py(other), epoch), "from mpi4py", TIMEOUT)
