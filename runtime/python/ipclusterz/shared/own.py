"""The cluster whose engine this process is, for clients that are made in its tasks.

The engine fills this in. Processes that a task starts find their engine's connection file in the environment.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Protocol

    class Here(Protocol):
        """An engine as the clients in its tasks need it."""

        id: int
        uuid: str
        run_id: str

        @property
        def busy(self) -> bool:
            """Whether a task runs."""

        @property
        def forked(self) -> bool:
            """Whether this process is a fork of the engine."""

        def takes(self, function: tuple[bytes, bytes] | None) -> bool:
            """Whether it is the right engine for a load-balanced call of a function; given as hash and code."""

        def lacks(self, needs: str) -> str:
            """What it lacks for a task beside the one that runs, in words; given as JSON. Empty: nothing."""

        def run(
            self, op: Any, function: tuple[bytes, bytes] | None, frames: Sequence[Any], needs: str | None = None
        ) -> tuple[Literal["ok", "error"], Sequence[Any], bool]:
            """Do what a task would: how it ended, the frames of its reply, and whether an interrupt ended it."""


__all__ = ["ENGINE_FILE", "here", "is_here"]

ENGINE_FILE = "IPCLUSTERZ_ENGINE_FILE"
"""The variable with the path of an engine's connection file, in its process and in those that its tasks start."""

_here: Here | None = None


def here() -> Here | None:
    """The engine that this process is, or was forked from."""
    return _here


def is_here(engine: Here) -> None:
    """This process is that engine from here on."""
    global _here
    _here = engine
