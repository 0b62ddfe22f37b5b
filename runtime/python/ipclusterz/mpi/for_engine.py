"""All that an engine uses of MPI. Nothing in `ipclusterz.mpi` knows engines: a program of mpiexec's needs none."""

from __future__ import annotations

from typing import Any

from . import missing
from .bridge import bridge
from .epochs import begin
from .groups import of as group
from .world import library, start

__all__ = ["addresses", "attach", "begin", "group", "library", "start"]


def addresses() -> tuple[int, int, int]:
    """Functions of the extension module for the engine's I/O thread, which ends waits without the interpreter."""
    native = bridge()
    return native.end_epoch_address(), native.calls_address(), native.break_off_address()


def attach(engine: Any) -> None:
    """Have ranks ask each other through this engine what they are doing.

    Parameters
    ----------
    engine : ipclusterz._core.Engine
        The registered engine of this process.
    """
    missing.engine = engine
