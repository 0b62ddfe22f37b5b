"""Runs the code of one page from its first block to its last, as its reader would; prints what differs.

A program of its own, so that a page has a ``__main__``, an IPython and folders to itself. A page that starts clusters
at the shell has these alone; for any other one there are four engines.
"""

from __future__ import annotations

import doctest
import io
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Timer
from traceback import format_exc
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from pages import CHECKED, FIGURE, FLAGS, Block, blocks_of, difference, entries
from traitlets.config import Config

import ipclusterz as ipz

COMMAND_SECONDS = 30
END_SECONDS = 20


def main(page: Path) -> str:
    """What differs; empty when nothing does."""
    blocks = blocks_of(page.read_text())
    config = Config(HistoryManager={"enabled": False}, InteractiveShell={"colors": "nocolor"})
    shell = InteractiveShell.instance(config=config)
    # As IPython and Jupyter have it: files beside the session can be imported, behind all else.
    sys.path.append("")
    failures = []
    with ExitStack() as stack:
        languages = {block.language for block in blocks}
        if "console" not in languages and languages & {"python", "ipython"}:
            stack.callback(ipz.Cluster(n=4, cluster="default").start().stop)
        for number, block in enumerate(blocks):
            if wrong := run(block, blocks[number + 1 :], shell, stack):
                failures.append(f"{page}:{block.line}:\n{wrong}")
    return "\n".join(failures)


def run(block: Block, later: list[Block], shell: InteractiveShell, stack: ExitStack) -> str:
    """Run one block, each kind in its way."""
    if block.language == FIGURE:
        return ""
    if block.language in CHECKED:
        if block.file:
            block.write(Path.cwd(), Path.home())
        return ""
    if block.language == "console":
        return terminal(block.text, stack)
    if block.language == "ipython":
        return "".join(cell(typed, printed, shell) for typed, printed in entries(block.text, r"In ", r" *\.\.\.: ?"))
    if ">>> " in block.text:
        return session(block, shell.user_ns)
    if block.file:
        block.write(Path.cwd(), Path.home())
        return "" if any(block.file in other.text for other in later) else f"nothing runs {block.file}"
    try:
        exec(compile(block.text, f"line {block.line}", "exec"), shell.user_ns)
    except Exception:
        return format_exc()
    return ""


def terminal(text: str, stack: ExitStack) -> str:
    """At the shell. The last command of a block may stay in the foreground, until the page ends."""
    wrong, commands = [], entries(text, r"\$ ", "> ")
    for position, (typed, wanted) in enumerate(commands):
        last = position == len(commands) - 1
        process = subprocess.Popen(["bash", "-c", typed], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        stack.callback(interrupt, process)
        printed, deadline = "", Timer(COMMAND_SECONDS, process.kill)
        deadline.start()
        for line in process.stdout or ():
            printed += line
            if last and wanted and not difference(wanted, printed):
                break
        else:
            if process.wait() == -signal.SIGKILL:
                wrong.append(f"{typed}: not done within {COMMAND_SECONDS} s\n")
        deadline.cancel()
        wrong.append(difference(wanted, printed))
    return "".join(wrong)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, if it still runs."""
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=END_SECONDS)


def session(block: Block, names: dict[str, Any]) -> str:
    """At Python's prompt."""
    test = doctest.DocTestParser().get_doctest(block.text, {}, block.language, "", block.line - 1)
    test.globs = names
    told = io.StringIO()
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.write, clear_globs=False)
    return told.getvalue()


class Typed(io.StringIO):
    """Answers to what a cell asks, echoed as by a terminal."""

    def readline(self, size: int | None = -1, /) -> str:
        line = super().readline(-1)
        sys.stdout.write(line)
        return line


def cell(typed: str, wanted: str, shell: InteractiveShell) -> str:
    """At IPython's prompt."""
    number, _, code = typed.removeprefix("[").partition("]:")
    shell.execution_count = int(number)
    answers = "".join(f"{answer}\n" for answer in re.findall(r"^ipdb> (.*)$", wanted, re.MULTILINE))
    printed, keyboard = io.StringIO(), sys.stdin
    with redirect_stdout(printed), redirect_stderr(printed):
        sys.stdin = Typed(answers)
        try:
            shell.run_cell(code.removeprefix(" "), store_history=True)
        finally:
            sys.stdin = keyboard
    wrong = difference(wanted, printed.getvalue())
    return wrong and f"In [{number}]:{code}\n{wrong}"


if __name__ == "__main__":
    told = main(Path(sys.argv[1]))
    print(told)
    sys.exit(bool(told))
