"""All that an engine uses of MPI. Nothing in `ipclusterz.mpi` knows engines: a program of mpiexec's needs none."""

from __future__ import annotations

from typing import Any

from . import missing
from .bridge import about, bridge
from .epochs import begin
from .groups import lent as group
from .world import start

__all__ = ["addresses", "attach", "begin", "chosen", "group", "start"]


def chosen() -> str:
    """The MPI library of this engine, and why it is that one."""
    library = about()
    return f"{library.says}, {library.path}, chosen because {library.why}"


def addresses() -> list[int]:
    """Functions of the extension module for the engine's own threads, which end waits without the interpreter."""
    told: list[int] = bridge().addresses()
    return told


def attach(engine: Any) -> None:
    """Have ranks ask each other through this engine what they are doing.

    Parameters
    ----------
    engine : ipclusterz._core.Engine
        The registered engine of this process.
    """
    missing.engine = engine
