"""The engine's loop: take a task, run it under guard, answer it, whatever happens.

One loop, on the main thread, so that an interrupt is a KeyboardInterrupt in user code. Heartbeats, output and sending
are on the extension module's own thread. What a task does is in `calls`.
"""

from __future__ import annotations

import os

from ..error import UnmetDependency
from ..shared.namespace import Namespace
from ..shared.progress import progress
from .calls import Calls
from .failure import error_frames
from .origin import begin
from .state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._core import Engine, Task
    from ..shared.serialize import Frame

__all__ = ["Loop"]


class Loop:
    """Runs the tasks of one engine.

    Parameters
    ----------
    core : ipclusterz._core.Engine
        The registered engine.
    namespace : Namespace
        The user's names.
    state : State
        Shared with the signal handler and the streams.
    """

    __slots__ = ("_calls", "_core", "_current", "_engine_id", "_state")

    def __init__(self, core: Engine, namespace: Namespace, state: State) -> None:
        self._core = core
        self._engine_id = core.id
        self._calls = Calls(namespace, state)
        self._state = state
        self._current: Task | None = None

    def run(self) -> None:
        """Serve until the cluster shuts the engine down."""
        while True:
            try:
                if self._current is not None:
                    self._answer_interrupted()
                self._serve()
                return
            except KeyboardInterrupt:
                # It came in the few instructions around user code; the task, if one was there, is answered above.
                self._state.busy = False

    def _serve(self) -> None:
        next_task = self._core.next_task
        finish = self._core.finish
        operations = self._calls.of
        state = self._state
        while True:
            task = next_task()
            if task is None:
                return
            self._current = task
            try:
                state.task = task.id
                begin(state.task)
                state.busy = True
                frames = operations[task.op](task)
                state.busy = False
                if state.forked:
                    os._exit(0)
                finish(task, "ok", frames)
            except BaseException as error:
                state.busy = False
                self._fail(task, error)
            self._current = task = None
            # Arguments and result are freed now, not when the next task comes.
            frames = []

    def _fail(self, task: Task, error: BaseException) -> None:
        if self._state.forked:
            os._exit(1)
        if task.kind == "reform":
            # For the controller, which reads text alone.
            frames: list[Frame] = [f"{type(error).__name__}: {error}".encode()]
        else:
            frames = error_frames(error, task.kind, self._engine_id, self._calls.called_with)
        self._calls.called_with = ""
        # The exception holds the frames of user code, and these its locals: let go of them.
        error.__traceback__ = None
        unmet = isinstance(error, UnmetDependency) and not progress.begun
        progress.begun = True
        self._core.finish(task, "unmet" if unmet else "error", frames)

    def _answer_interrupted(self) -> None:
        task, self._current = self._current, None
        if task is not None:
            self._fail(task, KeyboardInterrupt())
