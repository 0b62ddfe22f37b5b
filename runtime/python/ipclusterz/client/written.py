"""What the calls of a result write and display: shown while somebody waits, and kept for whoever asks.

How it is shown on the standard streams is in `output` and `follow`.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import copy_context

from .displays import published, settled
from .future import LazyFuture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from typing_extensions import Self

    from .output import Output

__all__ = ["Written"]


class Written(LazyFuture):
    """The part of `AsyncResult` that is about output."""

    if TYPE_CHECKING:
        _single: bool

        def _leave(self, interrupt: KeyboardInterrupt) -> None: ...

    _shown: Output | None = None
    # Displays are shown, too.
    _streams = False

    @property
    def outputs(self) -> list[list[dict[str, Any]]]:
        """What the calls have displayed until now: for each answer its figures, tables and so on, as mime bundles."""
        logs = [settled(self._pending.output_since(index, 0)[1]) for index in range(len(self._pending))]
        return [[content for stream, content in log if stream == "display"] for log in logs]

    def display_outputs(self, group: str = "engine") -> None:
        """Wait, and show what the calls wrote and displayed.

        Parameters
        ----------
        group : {"engine", "type", "order"}
            One engine after the other; or all standard output first, then errors, then displays; or like that, with
            the first display of each engine before the second ones.
        """
        # Most results are never shown, and what shows them takes time to import.
        from .follow import display_outputs

        self._wait(None, None)
        display_outputs(self, group)

    @contextmanager
    def stream_output(self) -> Iterator[Self]:
        """Context manager: in its block, what the calls write and display is shown as it comes.

        Waiting does that by itself for what is written. This is for cells of code, for figures, for results that are
        `quiet`, and for when something else is done meanwhile.

        Yields
        ------
        AsyncResult
            The result itself.

        Examples
        --------
        >>> ar = rc[:2].execute("print('hello')", block=False)
        >>> with ar.stream_output():
        ...     done = ar.wait()
        [stdout:...] hello
        [stdout:...] hello
        """
        quiet, streams = self.quiet, self._streams
        self.quiet, self._streams = False, True
        self.__dict__["_context"] = copy_context()
        try:
            self._watch()
            yield self
        finally:
            self._show()
            self._pause()
            self.quiet, self._streams = quiet, streams

    @property
    def stdout(self) -> Any:
        """What the calls have written to standard output until now: one text, or a list for several engines."""
        return self._output(0)

    @property
    def stderr(self) -> Any:
        """What the calls have written to standard error until now: one text, or a list for several engines."""
        return self._output(1)

    @property
    def data(self) -> Any:
        """What the calls have published until now (`publish_data`): one dictionary, or a list for several engines."""
        found = [published(self._pending.published(index)) for index in range(len(self._pending))]
        return found[0] if self._single else found

    # -- inside -------------------------------------------------------------------------------------------------

    def _wait(self, timeout: float | None, shows: Callable[[], None] | None) -> bool:
        try:
            ready = self._pending.wait(timeout, shows)
        except KeyboardInterrupt as error:
            self._leave(error)
            raise
        if not ready:
            self._pause()
        return ready

    @property
    def _shows(self) -> Callable[[], None] | None:
        """What a wait calls when something was written."""
        return None if self.quiet else self._show

    def _show(self, at_once: bool = True) -> None:
        """Show what was written since this was called last; `at_once` also what is no complete line."""
        shown = self._shown
        if shown is None:
            # Most calls write nothing.
            from .output import Output

            shown = self._shown = self.__dict__.setdefault("_shown", Output(self._pending))
        shown.show(at_once, self._streams)

    def _is_written_here(self) -> bool:
        """Whether a wait here has just shown what was written: then the rest is shown, else all counts as shown."""
        if self._shown is None or not self._shown.was_shown_here():
            self._pending.take_output()
            return False
        self._show()
        return True

    def _pause(self) -> None:
        """Other lines follow."""
        if self._shown is not None:
            self._shown.pause()

    def _output(self, which: int) -> Any:
        texts = [self._pending.outputs(index)[which] for index in range(len(self._pending))]
        return texts[0] if self._single else texts
