"""What the engine's loop, its signal handler and its streams must agree on."""

from __future__ import annotations

__all__ = ["State"]


class State:
    """Flags of one engine process.

    Attributes
    ----------
    busy : bool
        User code is running: an interrupt is for it, and so is what is written.
    task : int
        The controller's number of the task that runs, or ran last; or the number of a frontend's cell, below zero.
    forked : bool
        This is a child that user code forked off; the connection belongs to its parent.
    aimed : int or None
        The task, or cell of a frontend, that the next interrupt is meant for; None: whatever runs.
    interrupts : int
        How many interrupts user code has got.
    folder : str
        Where the engine's connection file is.
    """

    __slots__ = ("_held", "aimed", "busy", "folder", "forked", "interrupts", "task")

    def __init__(self, folder: str = "") -> None:
        self.folder = folder
        self.busy = False
        self.task = 0
        self.forked = False
        self.aimed: int | None = None
        self.interrupts = 0
        # An interrupt waits for the end of a block in which it must not be raised; None outside of one.
        self._held: bool | None = None

    def on_interrupt(self, _signal: int, _frame: object) -> None:
        """Signal handler: interrupt user code, and nothing else."""
        aimed, self.aimed = self.aimed, None
        if aimed not in (None, self.task):
            # What was to be interrupted has ended meanwhile.
            return
        if self._held is not None:
            self._held = True
        elif self.busy:
            self.interrupts += 1
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        """Begin a block that an interrupt must not break off: it is raised at the end."""
        self._held = False

    def __exit__(self, *_error: object) -> None:
        held, self._held = self._held, None
        if held:
            self.interrupts += 1
            raise KeyboardInterrupt

    def after_fork(self) -> None:
        """Fork hook of the child."""
        self.forked = True
