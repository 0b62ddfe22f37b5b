"""The IPython shell of an engine: magics, ``In``/``Out`` history in memory, no terminal.

It keeps IPython from printing: the value of a cell and its error go back in the reply, not to the standard output.
Imported only by `shell.make_shell`, because IPython is optional and slow to import.
"""

from __future__ import annotations

from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from .namespace import Namespace

__all__ = ["IPythonShell"]


class _KeepingHook(DisplayHook):
    """Keeps the text of the last value instead of printing it."""

    text: str | None = None

    def start_displayhook(self) -> None:
        self.text = None

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: object = None) -> None:
        self.text = format_dict.get("text/plain")

    def finish_displayhook(self) -> None:
        pass


class _EngineShell(InteractiveShell):
    """An `InteractiveShell` that leaves the engine's streams, hooks and signals alone."""

    displayhook_class = _KeepingHook

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

    def showtraceback(self, *_args: object, **_keywords: object) -> None:
        """The error goes back in the reply."""

    def showsyntaxerror(self, *_args: object, **_keywords: object) -> None:
        """The error goes back in the reply."""


class IPythonShell:
    """Runs cells through IPython; see `shell.PlainShell` for the methods."""

    def __init__(self, namespace: Namespace) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.color_info = False
        config.InteractiveShell.xmode = "Plain"
        self._shell: Any = _EngineShell.instance(config=config, user_module=namespace.module)

    def run(self, code: str, silent: bool) -> tuple[int, str | None]:
        """Run a cell; raises what it raised."""
        shell = self._shell
        shell.displayhook.text = None
        result = shell.run_cell(code, store_history=not silent, silent=silent)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        return result.execution_count or shell.execution_count, None if silent else shell.displayhook.text

    def reset(self) -> None:
        """Give back the names that IPython itself keeps in the namespace."""
        self._shell.reset(new_session=False)
