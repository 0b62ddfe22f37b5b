"""The magics of engines that are about their kernel: ``%connect_info`` and ``%qtconsole``. Both bind it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

from IPython.core.error import UsageError

from .kernel import bind_kernel

__all__ = ["connect_info", "qtconsole"]

# Seconds in which a console that cannot start has said so.
_START = 1.0


def connect_info(_line: str = "") -> None:
    """%connect_info: how frontends connect to this engine."""
    info = bind_kernel()
    file = info.pop("connection_file")
    print(json.dumps(info, indent=2))
    print(f"This is in the connection file {file} on {os.uname().nodename}.")


def qtconsole(line: str = "") -> None:
    """%qtconsole [OPTIONS]: open a Qt console that is connected to this engine, on the engine's host."""
    name = "jupyter-qtconsole"
    program = shutil.which(name) or shutil.which(name, path=os.path.dirname(sys.executable))
    if program is None:
        raise UsageError(
            f"{name} is not there on {os.uname().nodename}: pip install qtconsole; "
            "or connect from elsewhere with what %connect_info says"
        )
    command = [program, "--existing", bind_kernel()["connection_file"], *shlex.split(line)]
    with tempfile.TemporaryFile() as said:
        # A session of its own: an interrupt of the engine is not for it, and it may outlive the engine.
        console = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
        try:
            status = console.wait(_START)
        except subprocess.TimeoutExpired:
            return
        if status:
            said.seek(0)
            last = said.read().decode(errors="replace").strip()[-1000:]
            raise UsageError(f"{name} ended with status {status}: {last}")
