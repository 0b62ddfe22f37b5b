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
from .failure import brief, error_frames, tell_in_log
from .origin import begin
from .state import State
from .streams import end_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from .._core import Engine, Task
    from ..shared.serialize import Frame
    from .resources import Resources

__all__ = ["Loop"]

# So often the error of one task may fail to be told: a signal's handler may raise meanwhile, but not each time.
_TRIES = 100


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
    resources : Resources
        What tasks may have of the engine's.

    Attributes
    ----------
    calls : Calls
        What tasks do.
    """

    __slots__ = ("_core", "_current", "_engine_id", "_state", "_tries", "calls")

    def __init__(self, core: Engine, namespace: Namespace, state: State, resources: Resources) -> None:
        self._core = core
        self._engine_id = core.id
        self.calls = Calls(namespace, state, resources)
        self._state = state
        self._current: Task | None = None
        self._tries = 0

    def run(self) -> None:
        """Serve until the cluster shuts the engine down."""
        raised: BaseException | None = None
        while True:
            try:
                self._serve_on(raised)
                return
            except BaseException as error:
                # A signal's handler raised it between two turns of the inner loop.
                raised = error

    def _serve_on(self, raised: BaseException | None) -> None:
        while True:
            try:
                if raised is not None:
                    self._answer_raised(raised)
                    raised = None
                self._serve()
                return
            except BaseException as error:
                # A signal's handler raised it while nothing ran, or in the few instructions around user code.
                self._state.busy = False
                raised = error

    def _serve(self) -> None:
        next_task = self._core.next_task
        finish = self._core.finish
        operations = self.calls.of
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
                    end_fork(0)
                finish(task, "ok", frames)
            except BaseException as error:
                state.busy = False
                self._fail(task, error)
            self._current = task = None
            # Arguments and result are freed now, not when the next task comes.
            frames = []

    def _fail(self, task: Task, error: BaseException) -> None:
        if self._state.forked:
            end_fork(1)
        if task.kind == "reform":
            # For the controller, which reads text alone.
            frames: list[Frame] = [f"{type(error).__name__}: {error}".encode()]
        else:
            frames = error_frames(error, task.kind, self._engine_id, self.calls.called_with)
        self.calls.called_with = ""
        # The exception holds the frames of user code, and these its locals: let go of them.
        error.__traceback__ = None
        outcome = self._outcome_of(error)
        self._core.finish(task, outcome, frames, brief(error) if task.op == "collective" else "")

    def _outcome_of(self, error: BaseException) -> Literal["error", "unmet", "again"]:
        """What becomes of the task: another engine may do it, or it may be done once more."""
        unmet = isinstance(error, UnmetDependency)
        begun, progress.begun = progress.begun, True
        again, self.calls.retry_on = self.calls.retry_on, ()
        if unmet:
            return "error" if begun else "unmet"
        return "again" if again and isinstance(error, again) else "error"

    def _answer_raised(self, error: BaseException) -> None:
        """Answer the task that was there with what a signal's handler raised; without one, tell it in the log."""
        if self._current is not None:
            self._tries += 1
            if self._tries > _TRIES:
                _give_up(self._core)
            # A task that was answered already is not answered again.
            self._fail(self._current, error)
            self._current = None
            self._tries = 0
        elif not isinstance(error, KeyboardInterrupt):
            tell_in_log(error)


def _give_up(core: Engine) -> None:
    """End the process: user code has broken what errors are told with, and nothing could ever be answered again."""
    core.log(
        True, "ipclusterz: the engine ends: no error can be told, because user code replaced what Python itself needs\n"
    )
    os._exit(1)
