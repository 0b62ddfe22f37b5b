"""A stage for attacks of other users: a mount namespace with a /tmp, /dev/shm and /home of its own, and two users.

Needs root. The machine's own folders are not touched: the namespace goes with its keeper.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["ANNA", "BIN", "MALLORY", "Stage"]

ANNA, MALLORY = 4242, 65534
BIN = Path(sys.executable).parent

# The interpreter may be in a home folder that lets nobody in: then that part of it is shown at its place.
_SCRIPT = """
set -e
mount --make-rprivate /
if [ -n "$interpreter" ]; then
    mkdir -p /mnt
    mount --bind "$interpreter" /mnt
    mount -t tmpfs -o mode=755 none "$home"
    mkdir -p "$interpreter"
    mount --move /mnt "$interpreter"
fi
cp /etc/passwd "$kept/passwd"
cp /etc/group "$kept/group"
echo "anna:x:4242:4242::/home/anna:/bin/sh" >>"$kept/passwd"
printf 'anna:x:4242:\\nlab:x:2000:anna,nobody\\n' >>"$kept/group"
mount --bind "$kept/passwd" /etc/passwd
mount --bind "$kept/group" /etc/group
mount -t tmpfs -o mode=1777 none /tmp
mount -t tmpfs -o mode=1777 none /dev/shm
mount -t tmpfs -o mode=755 none /home
mkdir -m 700 /home/anna
chown 4242:4242 /home/anna
echo ready
read -r _
"""


class Stage:
    """The namespace, as a context manager."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept

    def __enter__(self) -> Stage:
        home, prefix = Path.home(), Path(sys.base_prefix)
        inside = prefix.is_relative_to(home)
        interpreter = home / prefix.relative_to(home).parts[0] if inside else ""
        variables = {"kept": str(self._kept), "home": str(home), "interpreter": str(interpreter)}
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "ready\n", "this process has not the rights to make namespaces"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.communicate("\n")

    def command(self, user: int, *words: str, folder: str = "") -> list[str]:
        """A command on the stage, as a user, in a folder or at home."""
        home = "/home/anna" if user == ANNA else "/tmp"
        variables = {"HOME": home, "PATH": f"{BIN}:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        settings = [f"{name}={value}" for name, value in variables.items()]
        shell = ["sh", "-c", f'cd {shlex.quote(folder or home)} && exec "$@"', "sh"]
        return ["nsenter", "-m", "-t", str(self._keeper.pid), "--", *become, "env", "-i", *settings, *shell, *words]

    def run(self, user: int, *words: str, folder: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = self.command(user, *words, folder=folder)
        return subprocess.run(command, capture_output=True, text=True, timeout=50, **options)

    def shell(self, user: int, script: str) -> str:
        """Run a shell script that has to succeed; what it prints."""
        done = self.run(user, "sh", "-ec", script)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, user: int, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program."""
        return self.run(user, str(BIN / "python"), "-c", script, *arguments)

    def start(self, user: int, *words: str) -> subprocess.Popen[str]:
        """Start a command that prints a line when it is ready."""
        process = subprocess.Popen(self.command(user, *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline(), "it ended at once"
        return process
