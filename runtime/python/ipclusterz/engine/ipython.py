"""The IPython shell of an engine: magics, ``In``/``Out`` history in memory, rich display, no terminal.

It keeps IPython from printing: the value of a cell and its error go back in the reply, what the code displays goes to
the engine's stream of displays, one line of JSON each:

====================  ====================================================================================
data, metadata        a mime bundle as in Jupyter's messages: images are base64 text
display_id, update    when the display has an id, and whether it replaces what was displayed under that id
clear                 instead of all these, true or "wait": forget what was displayed until now
====================  ====================================================================================

Imported only by `shell.make_shell`, because IPython is optional and slow to import.
"""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from IPython.core import page
from IPython.core.async_helpers import get_asyncio_loop
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ..shared.namespace import Namespace
from .streams import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from .outcome import Outcome

__all__ = ["IPythonShell"]


class _KeepingHook(DisplayHook):
    """Keeps the last value's mime bundle instead of printing its text."""

    data: dict[str, Any]
    metadata: dict[str, Any]

    def forget(self) -> None:
        self.data, self.metadata = {}, {}

    def start_displayhook(self) -> None:
        self.forget()

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        self.data, self.metadata = _portable(format_dict), _portable(md_dict or {})

    def log_output(self, format_dict: dict[str, Any]) -> None:
        """IPython would keep every bundle for ever."""

    def finish_displayhook(self) -> None:
        pass


class _Publisher(DisplayPublisher):
    """Sends what is displayed to the client, in its place between what is printed."""

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        source: object = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_others: object,
    ) -> None:
        if not installed["display"].live:
            # A thread, while no cell runs: its text has a place in the log, its pictures have none.
            print(data.get("text/plain", ""))
            return
        entry: dict[str, Any] = {"data": _portable(data), "metadata": _portable(metadata or {})}
        if transient and "display_id" in transient:
            entry |= {"display_id": str(transient["display_id"]), "update": update}
        _send(entry)

    def clear_output(self, wait: bool = False) -> None:
        if installed["display"].live:
            _send({"clear": "wait" if wait else True})


def _send(entry: dict[str, Any]) -> None:
    installed["display"].write(json.dumps(entry) + "\n")


def _portable(bundle: dict[str, Any]) -> dict[str, Any]:
    """A mime bundle, or its metadata, as a client can read it that has no class of the engine's."""
    return {str(mime): _portable_content(content) for mime, content in bundle.items()}


def _portable_content(content: Any) -> Any:
    if isinstance(content, str):
        return str(content)
    if isinstance(content, bytes):
        return b64encode(content).decode("ascii")
    return json.loads(json.dumps(content, default=repr))


class _EngineShell(InteractiveShell):
    """An `InteractiveShell` that leaves the engine's streams, hooks and signals alone."""

    displayhook_class = _KeepingHook
    display_pub_class = _Publisher
    _shows = False

    def init_sys_modules(self) -> None:
        """``__main__`` is the user's module already."""

    def init_virtualenv(self) -> None:
        """The engine's interpreter is the environment."""

    def init_io(self) -> None:
        """The streams are the engine's."""

    def ask_exit(self) -> None:
        """What ``exit()`` calls: the end of the cell, not of the engine."""
        raise SystemExit

    def enable_gui(self, gui: str | None = None) -> None:
        """An engine has no event loop for windows."""

    @contextmanager
    def _tee(self, channel: str) -> Iterator[None]:
        """IPython would keep all output for ever."""
        yield

    def showtraceback(
        self,
        exc_tuple: Any = None,
        filename: str | None = None,
        tb_offset: int | None = None,
        exception_only: bool = False,
        running_compiled_code: bool = False,
    ) -> None:
        """Show what does not end the cell, an error in a script of ``%run`` for instance; the cell's is answered."""
        if running_compiled_code or exception_only:
            return
        self._shows = True
        try:
            super().showtraceback(exc_tuple, filename, tb_offset)
        finally:
            self._shows = False

    def showsyntaxerror(self, filename: str | None = None, running_compiled_code: bool = False) -> None:
        """As `showtraceback`, which calls this."""
        if self._shows:
            super().showsyntaxerror(filename, running_compiled_code)  # type: ignore[no-untyped-call]

    def _showtraceback(self, etype: object, evalue: object, stb: list[str]) -> None:
        print(self.InteractiveTB.stb2text(stb), file=sys.stderr)


class IPythonShell:
    """Runs cells through IPython: a `shell.Shell`."""

    def __init__(self, namespace: Namespace) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        # Jedi takes seconds to be imported; IPython itself completes what there is in the namespace.
        config.IPCompleter.use_jedi = False
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.color_info = False
        config.InteractiveShell.xmode = "Plain"
        self._shell: Any = _EngineShell.instance(config=config, user_module=namespace.module)
        self._shell.loop_runner = _run_coroutine
        _prefer_inline_figures(self._shell)
        _relay_comms()
        for name in ("connect_info", "qtconsole"):
            self._shell.register_magic_function(_of_consoles(name), "line", name)
        # What `name?` shows is displayed; there is no terminal for a pager.
        self._shell.set_hook("show_in_pager", page.as_hook(page.display_page), 90)  # type: ignore[no-untyped-call]

    @property
    def count(self) -> int:
        number: int = self._shell.execution_count - 1
        return number

    def run(self, code: str, silent: bool) -> Outcome:
        shell = self._shell
        hook = shell.displayhook
        hook.forget()
        result = shell.run_cell(code, store_history=not silent, silent=silent)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        count = None if silent else result.execution_count
        return {"count": self.count if count is None else count, "data": hook.data, "metadata": hook.metadata}

    def reset(self) -> None:
        """Give back the names that IPython itself keeps in the namespace."""
        self._shell.reset(new_session=False)


def _relay_comms() -> None:
    """Have widgets reach the client; without the package comm there are none."""
    if find_spec("comm") is None:
        return
    from .comms import relay

    relay()


def _of_consoles(name: str) -> Any:
    """A magic of `consoles`, which is imported when it is used."""

    def magic(line: str) -> None:
        from . import consoles

        getattr(consoles, name)(line)

    return magic


def _prefer_inline_figures(shell: Any) -> None:
    """Let figures be displayed when their cell ends, as in a notebook, unless the user has chosen another backend."""
    if "MPLBACKEND" in os.environ or find_spec("matplotlib_inline") is None:
        return
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    matplotlib: Any = sys.modules.get("matplotlib")
    if matplotlib is None:
        return
    # It was imported before it could see the variable. Before 3.10 it does not tell whether a choice was made.
    try:
        chosen = matplotlib.get_backend(auto_select=False)
    except TypeError:
        return
    if chosen is None:
        shell.enable_matplotlib("inline")


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a cell that awaits something. On an interrupt it is cancelled; IPython would leave it behind in the loop."""
    from asyncio import CancelledError

    loop: Any = get_asyncio_loop()  # type: ignore[no-untyped-call]
    cell = loop.create_task(coroutine)
    interrupted = False
    while True:
        try:
            result = loop.run_until_complete(cell)
            break
        except KeyboardInterrupt:
            if cell.done():
                raise
            interrupted = True
            cell.cancel()
    if interrupted and isinstance(result.error_in_exec, CancelledError):
        # Where the code was is in the cancelled coroutine's traceback.
        raise KeyboardInterrupt().with_traceback(result.error_in_exec.__traceback__)
    return result
