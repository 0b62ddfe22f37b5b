"""Showing what engines write and display: while a result is on its way, or afterwards.

Every line says where it is from: ``[stdout:0] ``, ``[stderr:2] ``, and ``[output:1]`` above what an engine displays.
Lines of several engines never mix. Values are shown with the prompt ``Out[0:7]:``, the engine and its count.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import zip_longest
from signal import SIGINT
from time import monotonic

from .. import error as errors
from ..compat import zip_equal
from ..shared.entries import painter, prompted
from ..shared.reply import ExecuteReply
from ..tracebacks import one_line
from .answers import Failure, value_at
from .displays import at_prompt, entries, settled, show, show_entry
from .lines import Lines
from .signals import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .._core import Pending
    from .future import LazyFuture

__all__ = ["GROUPS", "display_outputs", "follow", "show_values"]

GROUPS = ("engine", "type", "order")
"""The orders in which `display_outputs` can show."""

# With several engines, output of about the same time is shown in their order. An unfinished line is shown after a while
# without output.
_TOGETHER_SECONDS = 0.2
_QUIET_SECONDS = 0.5

# How often a progress bar moves.
_LOOK_SECONDS = 0.1

# After Ctrl-C: how long engines may take to say what they have not begun, and then to stop what they run.
_ABORT_SECONDS = 2.0
_STOP_SECONDS = 5.0


def follow(result: LazyFuture, *, silently: bool = False, progress_after: float = -1, signal: int = SIGINT) -> None:
    """Wait for a result, and show meanwhile what its engines write and display, and a line for each that fails.

    Ctrl-C gives up what no engine has begun and interrupts the code of the others.

    Parameters
    ----------
    result : AsyncResult
        A call on chosen engines. Its errors are not raised.
    silently : bool
        Only wait.
    progress_after : float
        Seconds until a progress bar is shown, where tqdm is installed; below 0, none is.
    signal : int
        What Ctrl-C sends to the engines; 0 for nothing: then their code goes on.

    Raises
    ------
    CompositeError
        After Ctrl-C: the `KeyboardInterrupt` of each engine that stopped, and a `TimeoutError` for each that did not
        stop within some seconds or until a second Ctrl-C, whose code goes on.
    KeyboardInterrupt
        After Ctrl-C, when all engines had done their work.
    """
    follower = _Follower(result, silently)
    try:
        if progress_after < 0 or not follower.show_until(monotonic() + progress_after):
            follower.show_to_the_end(with_bar=progress_after >= 0)
        follower.lines.end()
    except KeyboardInterrupt:
        follower.lines.end()
        if not signal:
            raise
        _stop(result, follower, signal)


def display_outputs(result: LazyFuture, group: str = "engine") -> None:
    """Show what a result's engines wrote, displayed and gave, once all answers are there.

    Parameters
    ----------
    result : AsyncResult
        Is waited for.
    group : {"engine", "type", "order"}
        All of one engine before the next, in the order in which it came; or all standard output, then all standard
        error, then what was displayed, then the values; or the same with the engines' displays side by side: first
        those that were displayed first, then the second ones, and so on.

    Raises
    ------
    ValueError
        When `group` is none of these.

    Notes
    -----
    What was written is left out when a wait in the same cell, or before in a script, has just shown it.
    """
    if group not in GROUPS:
        raise ValueError(f"output is grouped by {', '.join(map(repr, GROUPS))}, not {group!r}")
    pending = result._pending
    pending.wait(None)
    logs = [settled(pending.output_since(index, 0)[1]) for index in range(len(pending))]
    if result._is_written_here():
        logs = [[(stream, content) for stream, content in log if stream == "display"] for log in logs]
    sources = list(zip_equal(result.engine_ids, logs))
    lines = Lines(one_source=False)
    if group == "engine":
        for index, (engine_id, log) in enumerate(sources):
            for stream, content in log:
                if stream == "display":
                    lines.end()
                    show_entry(engine_id, content)
                else:
                    lines.add(stream, engine_id, content)
            lines.end()
            show_values(result, [index])
        return
    for stream in ("stdout", "stderr"):
        for engine_id, log in sources:
            lines.add(stream, engine_id, "".join(text for name, text in log if name == stream))
            lines.end()
    displays = [[(engine_id, entry) for name, entry in log if name == "display"] for engine_id, log in sources]
    for of_engines in displays if group == "type" else zip_longest(*displays):
        for display in of_engines:
            if display is not None:
                show_entry(*display)
    show_values(result)


def show_values(result: LazyFuture, indexes: list[int] | None = None) -> None:
    """Show the last values of executed cells, each in its best form; answers that are errors are left out.

    Parameters
    ----------
    result : AsyncResult
        With all its answers.
    indexes : list of int, optional
        Those to show; all when left out.
    """
    pending = result._pending
    for index in range(len(pending)) if indexes is None else indexes:
        reply = value_at(pending, index, result._method)
        if not isinstance(reply, ExecuteReply) or not reply.data:
            continue
        prompt = f"Out[{reply.engine_id}:{reply.execution_count}]:"
        if set(reply.data) == {"text/plain"}:
            print(prompted(prompt, reply.data["text/plain"], painter(), "Out"))
        else:
            print(painter()("Out", prompt))
            show(reply.data, reply.metadata)


class _Follower:
    """Reads the logs of a result's calls, each piece once."""

    def __init__(self, result: LazyFuture, silently: bool) -> None:
        self._result = result
        self._silently = silently
        self._pending: Pending = result._pending
        count = len(self._pending)
        self._cursors = [0] * count
        self._version = 0
        self._alone = count == 1
        self._failed: set[int] = set()
        self.lines = Lines(self._alone)

    def show_to_the_end(self, with_bar: bool) -> None:
        """Show what comes until all answers are there."""
        bar = _bar(self._result) if with_bar else None
        if bar is None:
            self.show_until(None)
            return
        with bar:
            while not self.show_until(monotonic() + _LOOK_SECONDS):
                bar.update(self._pending.done() - bar.n)
            bar.update(self._pending.done() - bar.n)

    def show_until(self, deadline: float | None) -> bool:
        """Show what comes until all answers are there; False when they are not at the deadline."""
        pending = self._pending
        while True:
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                return False
            self._wait(left)
            # Asked before the output is read: when all answers are there, so is all output.
            complete = pending.done() == len(pending)
            if not self._silently:
                self._show_news()
                if not complete:
                    self._show_failed()
            if complete:
                return True

    def _wait(self, left: float | None) -> None:
        timeout = left
        if self.lines.unfinished:
            timeout = _QUIET_SECONDS if left is None else min(left, _QUIET_SECONDS)
        pending = self._pending
        version = pending.wait_news(self._version, timeout)
        if version == self._version:
            self.lines.show_unfinished()
        elif not self._alone:
            end = monotonic() + _TOGETHER_SECONDS
            while pending.done() < len(pending) and (rest := end - monotonic()) > 0:
                version = pending.wait_news(version, rest)
        self._version = version

    def _show_news(self) -> None:
        engine_ids = self._result.engine_ids
        for index, cursor in enumerate(self._cursors):
            self._cursors[index], pieces = self._pending.output_since(index, cursor)
            if not pieces:
                continue
            engine_id = engine_ids[index]
            for stream, text in pieces:
                if stream == "display":
                    self._show_entries(engine_id, text)
                else:
                    self.lines.add(stream, engine_id, text)
        self.lines.flush()

    def _show_failed(self) -> None:
        """Say which engines have failed, while others are still at work."""
        for index, status in enumerate(self._pending.statuses()):
            if status in ("ok", None) or index in self._failed:
                continue
            self._failed.add(index)
            value = value_at(self._pending, index, self._result._method)
            if isinstance(value, Failure):
                self.lines.note(one_line(value.error))
        self.lines.flush()

    def _show_entries(self, engine_id: int, text: str) -> None:
        for entry in entries(text):
            self.lines.end_of(engine_id)
            if "clear" not in entry:
                show_entry(engine_id, entry)
            elif self._alone and at_prompt():
                # One of several engines must not wipe what the others have shown.
                from IPython.display import clear_output

                clear_output(wait=entry["clear"] == "wait")  # type: ignore[no-untyped-call]


def _bar(result: LazyFuture) -> Any:
    """A progress bar; None where that cannot be."""
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError:
        return None
    return tqdm(total=len(result._pending), initial=result._pending.done(), desc=result._method, unit="engine")


def _stop(result: LazyFuture, follower: _Follower, signal: int) -> NoReturn:
    pending = result._pending
    # A second Ctrl-C ends the wait for what does not stop.
    with suppress(KeyboardInterrupt):
        pending.cancel(_ABORT_SECONDS)
        open_ones = [engine_id for index, engine_id in enumerate(result.engine_ids) if not pending.is_done(index)]
        # No engine is known of a call that none has begun.
        if running := [engine_id for engine_id in open_ones if engine_id >= 0]:
            client: Any = result._client
            tell(client._core, signal, running, True, client.status)
        follower.show_until(monotonic() + _STOP_SECONDS)
    follower.lines.end()
    failed: list[errors.IpclusterzError] = []
    going_on: list[int] = []
    for index, engine_id in enumerate(result.engine_ids):
        if pending.is_done(index):
            value = value_at(pending, index, result._method)
            if isinstance(value, Failure):
                failed.append(value.error)
            continue
        going_on.append(engine_id)
        late = errors.TimeoutError("the code has not stopped and goes on")
        late.engine_id, late.method = engine_id, result._method
        failed.append(late)
    if not failed:
        raise KeyboardInterrupt
    message = f"interrupted in call to method: {result._method}"
    if going_on:
        message += f" (client.interrupt({going_on}) tries again, client.shutdown({going_on}) ends the engines)"
    raise errors.CompositeError(message, failed) from None
