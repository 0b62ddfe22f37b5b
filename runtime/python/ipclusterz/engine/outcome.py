"""What a shell of an engine is, and what running a cell in it gives. Imported by type checkers alone."""

from __future__ import annotations

from typing import Any, Protocol, TypedDict

__all__ = ["Outcome", "Shell"]


class Outcome(TypedDict):
    """What a cell gave, beside its output. The last value is a mime bundle: {} when there is none."""

    count: int
    data: dict[str, Any]
    metadata: dict[str, Any]


class Shell(Protocol):
    """Runs the cells of one engine."""

    @property
    def count(self) -> int:
        """The number of the last cell that was not silent."""

    def run(self, code: str, silent: bool) -> Outcome:
        """Run a cell; a silent one is not counted, and its value is neither kept nor shown."""

    def reset(self) -> None:
        """Give back what is kept outside the namespace, which was cleared; the count goes on."""
