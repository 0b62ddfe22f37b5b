"""Commands and processes of this machine, for what makes virtual hosts on it."""

from __future__ import annotations

import os
import select
import subprocess
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from helpers import OUTLIVE_A_TEST, until

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
# What is fetched for tests.
TESTBED = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "testbed"
COMMAND_SECONDS = 20.0
FETCH_SECONDS = 90.0

# So that what one test left is not held against the next.
REMOVE_STATE = 'rm -rf "$HOME/.local/state/ipclusterz" "$XDG_RUNTIME_DIR/ipclusterz" /dev/shm/ipclusterz*'

# Of the environment of the tests, what a user on a virtual host has too.
_PASSED = ("LANG", "LC_ALL", "PYTHONPATH", "TERM")


class HostsError(Exception):
    """Virtual hosts that could not be made, or a command on them that failed."""


def pid_namespace(pid: int | str) -> str:
    """The pid namespace of a process; empty when there is no such process."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def processes_in(namespace: str) -> list[int]:
    return [
        int(name) for name in os.listdir("/proc") if name.isdigit() and namespace and pid_namespace(name) == namespace
    ]


def describe(pid: int) -> str:
    """A process for a message: its state and its command."""
    try:
        process = psutil.Process(pid)
        return f"{pid} {process.status()} {' '.join(process.cmdline()) or process.name()}"
    except psutil.Error:
        return f"{pid} has just ended"


def run(*command: str, **options: Any) -> str:
    """A command of this machine that must succeed."""
    check = options.pop("check", True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, **options)
    if check and done.returncode != 0:
        raise HostsError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def unpack(name: str, file: str, packages: Sequence[str]) -> Path:
    """The folder in `target/` with the files of Debian packages, which are fetched once; `file` is one of them."""
    folder = TESTBED / name
    subprocess.run([REPOSITORY / "scripts/testbed/unpack", folder, file, *packages], check=True, timeout=FETCH_SECONDS)
    return folder


def in_network(pid: int, *command: str, **options: Any) -> str:
    return run("nsenter", "-t", str(pid), "-n", *command, **options)


def user_environment(user: str, home: Path, uid: int) -> dict[str, str]:
    """The environment of a user who has just logged in, with the tests' virtual environment in front."""
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return environment | {
        "HOME": str(home),
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/bash",
        "PATH": f"{SCRIPTS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "XDG_RUNTIME_DIR": f"/run/user/{uid}",
    }


def spawn(command: list[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start what is to run for longer than a test, and to end with this process, however that ends."""
    with open(log, "a") as errors:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=env,
            start_new_session=True,
        )
    OUTLIVE_A_TEST.add(process.pid)
    return process


def expect_ready(process: subprocess.Popen[str], what: str) -> None:
    """Wait for the line that a spawned script prints when it has started."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 2 * COMMAND_SECONDS)
    if not readable or process.stdout.readline() != "ready\n":
        raise HostsError(f"{what} did not start")


def end(process: subprocess.Popen[str]) -> None:
    """Reap what was spawned and is about to end."""
    process.wait(COMMAND_SECONDS)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    OUTLIVE_A_TEST.discard(process.pid)


def child_of(unshare: subprocess.Popen[str]) -> int:
    """Process 1 of the namespace that was made."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    until(lambda: unshare.poll() is not None or children.read_text(), message="unshare has no child")
    if unshare.poll() is not None:
        raise HostsError("unshare ended at once: has this process the rights to make namespaces?")
    return int(children.read_text())


class Commands(ABC):
    """Running commands on hosts that are numbered from 0."""

    @abstractmethod
    def argv(self, index: int, command: Sequence[str | os.PathLike[str]]) -> list[str]:
        """What runs a command on a host from outside. The command is killed when the process outside is."""

    @abstractmethod
    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a user who has logged in on a host."""

    def popen(
        self,
        index: int,
        command: Sequence[str | os.PathLike[str]],
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Start a command on a host."""
        options = {"text": True, "stdin": subprocess.DEVNULL} | options
        return subprocess.Popen(self.argv(index, command), env=self.environment(env), **options)

    def run(
        self,
        index: int,
        command: Sequence[str | os.PathLike[str]],
        env: Mapping[str, str] | None = None,
        timeout: float = COMMAND_SECONDS,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host and return how it ended and what it wrote."""
        options = {"capture_output": True} | options
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        return subprocess.run(
            self.argv(index, command), env=self.environment(env), timeout=timeout, text=True, **options
        )

    def exec(
        self, index: int, *command: str | os.PathLike[str], timeout: float = COMMAND_SECONDS, **options: Any
    ) -> str:
        """Run a command on a host and return what it wrote; an error when it fails."""
        done = self.run(index, command, timeout=timeout, **options)
        if done.returncode != 0:
            line = f"on host {index}, `{' '.join(map(str, command))}`"
            raise HostsError(f"{line} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def write(self, index: int, path: str | os.PathLike[str], text: str) -> None:
        """Write a file on a host; its folder is made when it is not there."""
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1"'
        self.exec(index, "sh", "-c", script, "sh", path, input=text)

    def read(self, index: int, path: str | os.PathLike[str]) -> str:
        """Read a file on a host."""
        return self.exec(index, "cat", path)
