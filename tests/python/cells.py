"""Cells for the tests of magics: run in an IPython of this process, or typed at a prompt in a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from ipclusterz import Cluster

ALL = "Parallel execution on engines: [0, 1, 2, 3]\n"


class Ran:
    """What a cell did here: its value, what it wrote and displayed, and its error."""

    def __init__(self, shell: InteractiveShell, cell: str, display: bool = False) -> None:
        with capture_output(display=display) as captured:
            execution = shell.run_cell(cell, store_history=True)
        self.stdout = captured.stdout
        self.stderr = captured.stderr
        self.displays = [output.data for output in captured.outputs] if display else []
        self.value = execution.result
        self.error = execution.error_before_exec or execution.error_in_exec


Run = Callable[..., Ran]


class Prompt:
    """IPython in a terminal."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        command = ["-m", "IPython", "--simple-prompt", "--colors=NoColor", "--no-banner", "--no-confirm-exit"]
        environment = os.environ | {"IPYTHONDIR": str(folder), "NO_COLOR": "1", "TERM": "dumb"}
        self.child = pexpect.spawn(
            sys.executable, command, env=environment, encoding="utf-8", timeout=20, echo=False, dimensions=(50, 200)
        )
        self.child.expect(r"In \[1\]: ")
        self.type("import ipclusterz")
        self.type(f"rc = ipclusterz.Client({cluster.report['client_file']!r})")
        self.type("dv = rc[:]; dv.block = True; dv.activate()")

    def type(self, line: str) -> str:
        """Type a line, and wait for the next prompt; what was shown until then."""
        self.child.sendline(line)
        return self.shown()

    def shown(self) -> str:
        self.child.expect(r"(In \[\d+\]|   \.\.\.): ")
        return str(self.child.before).replace("\r", "")

    def end(self) -> None:
        self.child.sendline("exit")
        self.child.expect(pexpect.EOF)
        self.child.close()
