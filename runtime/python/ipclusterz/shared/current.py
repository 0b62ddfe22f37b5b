"""The task that an engine runs, for the code of the task itself."""

from __future__ import annotations

from .own import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["RunningTask", "current", "task"]


class RunningTask:
    """What a task has for itself.

    Attributes
    ----------
    resources : dict
        What it asked for of the resources of its engine, by name: an amount, or True for a tag. ``gpus`` is the list of
        the ids of its GPUs.
    """

    def __init__(self, resources: dict[str, Any]) -> None:
        self.resources = resources

    def __repr__(self) -> str:
        return f"<RunningTask: {self.resources}>"


class _Current:
    has: RunningTask | None = None


current = _Current()


def task() -> RunningTask:
    """The task that runs on this engine.

    Raises
    ------
    RuntimeError
        When this process is no engine.

    Examples
    --------
    >>> rc.load_balanced_view().apply_sync(lambda: __import__("ipclusterz").task().resources)
    {}
    """
    if here() is None:
        raise RuntimeError("no task runs here: this process is no engine, and started by none")
    return current.has or RunningTask({})
