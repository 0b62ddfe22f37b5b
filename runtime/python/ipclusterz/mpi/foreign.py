"""Communicators handed to mpi4py and taken from it, by MPI's handle: no copy is made."""

from __future__ import annotations

from typing import Any

__all__ = ["of_mpi4py", "to_mpi4py"]


def to_mpi4py(handle: int) -> Any:
    """An mpi4py communicator with that handle."""
    import ctypes

    from mpi4py import MPI  # type: ignore[import-not-found, unused-ignore]

    comm = MPI.Intracomm()
    size = MPI._sizeof(MPI.Comm)
    ctypes.memmove(MPI._addressof(comm), handle.to_bytes(8, "little")[:size], size)
    return comm


def of_mpi4py(comm: Any) -> int:
    """The handle of an mpi4py communicator."""
    import ctypes

    from mpi4py import MPI  # type: ignore[import-not-found, unused-ignore]

    if not isinstance(comm, MPI.Intracomm):
        raise TypeError(f"comm: {comm!r} is no intracommunicator of mpi4py")
    return int.from_bytes(ctypes.string_at(MPI._addressof(comm), MPI._sizeof(MPI.Comm)), "little")
