"""The `ipclusterz` command, which starts clusters and opens tunnels: where it is, its questions, its end."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from ..error import ClusterError
from ..wheels import PACKAGE
from ..words import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen

__all__ = ["answer_to", "has_user", "other_release", "program", "send", "send_answer", "terminate"]

# How long the command may take to tell its version, from a slow file system.
_PATIENCE = 10.0


def program() -> str:
    """Path of the `ipclusterz` command: the one installed with this package, else one on PATH."""
    folders = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    folders.append(Path(sysconfig.get_path("scripts", f"{os.name}_user")))
    for folder in folders:
        candidate = folder / "ipclusterz"
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    found = shutil.which("ipclusterz")
    if found is None:
        places = ", ".join(str(folder) for folder in dict.fromkeys(folders))
        raise ClusterError(
            f"the ipclusterz command was not found: looked in {places} and on PATH",
            hint=f"it comes with the package: {sys.executable} -m pip install --force-reinstall {PACKAGE}",
        )
    return found


def other_release(command: str) -> str:
    """What to say of a command that did not do what it was asked to: a line if it is of another release than this."""
    # Only for a start that failed.
    import subprocess

    from .._core import VERSION

    try:
        said = subprocess.run([command, "--version"], capture_output=True, timeout=_PATIENCE, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    name, _, rest = said.decode(errors="replace").partition(" ")
    release = rest.split(" ")[0].strip()
    if name != "ipclusterz" or release in ("", VERSION):
        return ""
    return f"\n  it is ipclusterz {printable(release)}, and this package is {VERSION}: install both from one wheel"


def has_user() -> bool:
    """Whether somebody can be asked: on a terminal, or in a notebook."""
    return "ipykernel" in sys.modules or (sys.stdin is not None and sys.stdin.isatty())


def answer_to(question: str) -> str | None:
    """What the user answers to a question of the command, not shown while it is typed; None: nobody can be asked."""
    return getpass.getpass(printable(question)) if has_user() else None


def send_answer(process: Popen[bytes], answer: str | None) -> None:
    """Answer a question of the command.

    An answer of several lines is none: the rest would be taken for the next one.
    """
    send(process, "-\n" if answer is None or "\n" in answer else f"+{answer}\n")


def send(process: Popen[bytes], line: str) -> None:
    """Write a line to the command's standard input."""
    assert process.stdin is not None
    # A command that has ended says why on its way out.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(line.encode())
        process.stdin.flush()


def terminate(process: Popen[bytes], owner: int) -> bool:
    """Ask the command to end; False when it has ended, or belongs to the process `owner` that this one is a fork of."""
    if os.getpid() != owner:
        return False
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # What was still to be written is of no use any more.
            with contextlib.suppress(OSError):
                pipe.close()
    if process.poll() is not None:
        return False
    process.terminate()
    return True
