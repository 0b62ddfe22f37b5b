"""This engine as the clients in its tasks see it: what it is, and how it does a task of theirs while its own waits."""

from __future__ import annotations

from ..shared.progress import progress
from .failure import error_frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from .._core import Engine
    from ..shared.serialize import Frame
    from .calls import Calls
    from .state import State

__all__ = ["Here"]


class Here:
    """What `ipclusterz.shared.own` describes.

    Parameters
    ----------
    core : ipclusterz._core.Engine
        The registered engine.
    calls : Calls
        What it can do.
    state : State
        Whether it does something.
    """

    def __init__(self, core: Engine, calls: Calls, state: State) -> None:
        self.id = core.id
        self.uuid = core.uuid
        self.run_id = core.run_id
        self.core = core
        self.calls = calls
        self.state = state

    @property
    def busy(self) -> bool:
        return self.state.busy

    @property
    def forked(self) -> bool:
        return self.state.forked

    def takes(self, function: tuple[bytes, bytes] | None) -> bool:
        # What has dependencies may have to go to another engine.
        return function is None or not self.calls.is_dependent(_given("apply", function, ()))

    def lacks(self, needs: str) -> str:
        return self.calls.resources.lacks(needs)

    def run(
        self, op: Any, function: tuple[bytes, bytes] | None, frames: Sequence[Frame], needs: str | None = None
    ) -> tuple[Literal["ok", "error"], Sequence[Frame], bool]:
        calls, begun, interrupts = self.calls, progress.begun, self.state.interrupts
        try:
            return "ok", calls.of[op](_given(op, function, frames, needs)), False
        except BaseException as error:
            reply = error_frames(error, op, self.id, calls.called_with)
            error.__traceback__ = None
            return "error", reply, self.state.interrupts != interrupts
        finally:
            calls.called_with = ""
            progress.begun = begun


def _given(op: str, function: tuple[bytes, bytes] | None, frames: Sequence[Frame], needs: str | None = None) -> Any:
    return _Given(op, function, frames, needs)


class _Given:
    """A task of a client in this process, with what `Calls` needs of a `_core.Task`."""

    __slots__ = ("_code", "frames", "function", "kind", "needs", "op")
    group = None

    def __init__(
        self, op: str, function: tuple[bytes, bytes] | None, frames: Sequence[Frame], needs: str | None
    ) -> None:
        self.op = self.kind = op
        self.needs = needs
        self.function = function[0] if function else None
        self._code = function[1] if function else b""
        self.frames = list(frames)

    def function_code(self) -> bytes:
        return self._code
