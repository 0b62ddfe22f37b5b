"""A real IPython in a terminal of its own, and the command `ipclusterz` in another one.

Both are typed into as by hand, line by line; nothing here knows what they should answer.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect

__all__ = ["Command", "IPython"]

_BIN = Path(sys.executable).parent
_SIZE = (100, 200)

# prompt_toolkit switches "bracketed paste" on when it draws a prompt and off when the input is accepted: in between
# is what the cell printed.
_ACCEPTED = re.escape("\x1b[?2004l")
_PROMPT = re.escape("\x1b[?2004h") + r"[^\n]*?(In \[\d+\]: ?|ipdb> ?)[^\n]*?" + re.escape("\x1b[?25h")
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\r|\x07")

_END_OF_LINE, _BACK_TO_START = "\r", "\x15"


class IPython:
    """One session, from its first prompt on.

    Parameters
    ----------
    folder : Path
        Where its settings and history would be.

    Attributes
    ----------
    transcript : list of str
        All that was typed and printed, without the terminal's control sequences.
    """

    def __init__(self, folder: Path) -> None:
        self.transcript: list[str] = []
        self._process = pexpect.spawn(
            str(_BIN / "ipython"),
            [
                "--no-banner",
                "--no-confirm-exit",
                "--colors=nocolor",
                "--HistoryManager.enabled=False",
                "--TerminalInteractiveShell.autoindent=False",
                "--TerminalInteractiveShell.autosuggestions_provider=None",
                # Completions are printed below each other, not drawn as a menu.
                "--TerminalInteractiveShell.display_completions=readlinelike",
            ],
            # This terminal does not answer the question where its cursor is.
            env=os.environ | {"IPYTHONDIR": str(folder), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            dimensions=_SIZE,
            encoding="utf-8",
        )
        self._process.delaybeforesend = None
        self._wait_for(_PROMPT, 30)
        self._prompt: str = self._process.match[1].strip()

    def enter(self, cell: str, timeout: float = 20) -> str:
        """Type a cell, wait for the next prompt, and return what was printed before it.

        Parameters
        ----------
        cell : str
            A cell of several lines is ended with an empty one.
        timeout : float
            Seconds to wait.
        """
        self.transcript.append(f"{self._prompt} {cell}")
        lines = cell.split("\n")
        for line in [*lines, ""] if len(lines) > 1 else lines:
            self._process.send(line + _END_OF_LINE)
        self._wait_for(_ACCEPTED, timeout)
        self._wait_for(_PROMPT, timeout)
        printed = _ESCAPE.sub("", self._process.before).strip("\n")
        self.transcript.append(printed)
        self._prompt = self._process.match[1].strip()
        return printed

    def complete(self, start: str, timeout: float = 10) -> str:
        """Type the start of a line and TAB, and take the line back.

        Returns
        -------
        str
            The completions that are offered; empty when there are none after `timeout` seconds.
        """
        self._process.send(start + "\t")
        offered = ""
        if self._process.expect([_ACCEPTED, pexpect.TIMEOUT], timeout=timeout) == 0:
            self._wait_for(_PROMPT, timeout)
            offered = _ESCAPE.sub("", self._process.before).strip("\n")
        self.transcript.append(f"{self._prompt} {start}<TAB>\n{offered}")
        self._process.send(_BACK_TO_START)
        return offered

    def _wait_for(self, pattern: str, timeout: float) -> None:
        try:
            self._process.expect(pattern, timeout=timeout)
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            self.transcript.append(_ESCAPE.sub("", self._process.before))
            what = f"no answer within {timeout:g} s" if isinstance(error, pexpect.TIMEOUT) else "the session ended"
            raise AssertionError("\n".join([*self.transcript, f"--- {what}"])) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._process.send("exit" + _END_OF_LINE)
            self._process.expect(pexpect.EOF, timeout=20)
        self._process.close(force=True)


class Command:
    """A command that stays in the foreground of a terminal until Ctrl-C.

    Parameters
    ----------
    line : str
        As typed at the shell; the program is one of this environment.
    environment : dict
        Variables beside the present ones.
    """

    def __init__(self, line: str, environment: dict[str, str]) -> None:
        program, *arguments = line.split()
        self._process = pexpect.spawn(
            str(_BIN / program), arguments, env=os.environ | environment, dimensions=_SIZE, encoding="utf-8"
        )

    def read_until(self, pattern: str, timeout: float = 30) -> str:
        """What it printed, up to and with the line in which the pattern is found."""
        self._process.expect(f"{pattern}[^\n]*\n", timeout=timeout)
        return _ESCAPE.sub("", self._process.before + self._process.after)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.sendintr()
        try:
            self._process.expect(pexpect.EOF, timeout=20)
        finally:
            self._process.close(force=True)
