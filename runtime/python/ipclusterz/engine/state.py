"""What the engine's loop, its signal handler and its streams must agree on."""

from __future__ import annotations

__all__ = ["State"]


class State:
    """Flags of one engine process.

    Attributes
    ----------
    busy : bool
        User code is running: an interrupt is for it, and so is what is written.
    forked : bool
        This is a child that user code forked off; the connection belongs to its parent.
    """

    __slots__ = ("busy", "forked")

    def __init__(self) -> None:
        self.busy = False
        self.forked = False

    def on_interrupt(self, _signal: int, _frame: object) -> None:
        """Signal handler: interrupt user code, and nothing else."""
        if self.busy:
            raise KeyboardInterrupt

    def after_fork(self) -> None:
        """Fork hook of the child."""
        self.forked = True
