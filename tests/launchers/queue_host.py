"""Queues for real, each on a virtual host of its own: a layer in memory over files that have the queue.

`scripts/testbed` has what fetches these files once into `target/`, and what is process 1 of the host. Jobs are an
ordinary user's: Grid Engine runs none of root, and HTCondor those of nobody.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import psutil
from helpers import until
from system import (
    REMOVE_STATE,
    REPOSITORY,
    TESTBED,
    Commands,
    HostsError,
    child_of,
    end,
    expect_ready,
    pid_namespace,
    processes_in,
    spawn,
    unpack,
    user_environment,
)

SLOTS = 16
USER = "tester"


class QueueHost(Commands):
    """A host with a queue. What is special about a queue is in its class.

    Attributes
    ----------
    home : Path
        Home of the user that commands are run as. Seen on the host alone.
    """

    names: Sequence[str]
    slurm = False
    # Of the scripts, and for messages.
    queue: str
    # What the host runs by itself. What a job's processes belong to is not of these.
    daemons: frozenset[str]
    variables: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise HostsError("virtual hosts need root: run the tests as root, for example `sudo make test`")
        files = self.files()
        self.folder = Path(tempfile.mkdtemp(prefix="izg", dir="/tmp"))
        self.home = Path("/home", USER)
        self._keeper: subprocess.Popen[str] | None = None
        self._init = 0
        atexit.register(self.close)
        try:
            (self.folder / "mount").mkdir()
            init = REPOSITORY / f"scripts/testbed/{self.queue}-init"
            script = [init, files, self.folder / "mount", USER, SLOTS]
            keep = {REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)} - {Path("/usr")}
            spaces = ["--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
            command = ["unshare", *spaces, *map(str, [*script, *sorted(keep)])]
            self._keeper = spawn(command, self.folder / "log", {"PATH": os.environ["PATH"]})
            self._init = child_of(self._keeper)
            expect_ready(self._keeper, self.queue)
        except BaseException as error:
            error.add_note((self.folder / "log").read_text(errors="replace"))
            self.close()
            raise

    @abstractmethod
    def files(self) -> Path:
        """The folder with the queue's files, which are fetched if they are not there."""

    @abstractmethod
    def live_jobs(self) -> list[str]:
        """Jobs that wait, run or are just ending."""

    @abstractmethod
    def end_all_jobs(self) -> None:
        """Have the queue end all jobs."""

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of the user."""
        uid = int(subprocess.check_output(self._enter("id", "-u", USER), text=True))
        environment = user_environment(USER, self.home, uid)
        return environment | dict(self.variables) | dict(extra or {})

    def argv(self, index: int, command: Sequence[str | os.PathLike[str]]) -> list[str]:
        """What runs a command on the host as its user. The command is killed when the process outside is."""
        if index != 0:
            raise HostsError("a queue has one host")
        become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        # Once more, because a change of user takes that back.
        return self._enter(*become, "setpriv", "--pdeathsig", "KILL", *map(os.fspath, command))

    def processes(self, index: int = 0) -> dict[int, str]:
        """What runs on the host beside its own daemons: command lines by pid, as pids are outside."""
        found = {}
        for pid in processes_in(pid_namespace(self._init)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                line = " ".join(process.cmdline()) or process.name()
                own = process.name() in self.daemons or (process.ppid() == self._init and line == "sleep infinity")
                if pid != self._init and not own and process.status() != psutil.STATUS_ZOMBIE:
                    found[pid] = line
        return found

    def is_up(self, index: int) -> bool:
        """Whether the host runs."""
        return index == 0

    def repair(self) -> None:
        """End what a test left running, by force."""
        self.end_all_jobs()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.run(0, ["sh", "-c", REMOVE_STATE])

    def close(self) -> None:
        """End the host, and make sure that nothing of it is left."""
        atexit.unregister(self.close)
        if not self.folder.exists():
            return
        namespace = pid_namespace(self._init) if self._init else ""
        if self._keeper is not None:
            # Process 1 first: its parent reaps it then.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init or self._keeper.pid, signal.SIGKILL)
            end(self._keeper)
            self._keeper = None
        until(lambda: not processes_in(namespace), message=f"processes of {self.queue} are still there")
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enter(self, *command: str) -> list[str]:
        enter = ["nsenter", "-t", str(self._init), "-n", "-u", "-m", "-i", "-p", "-r"]
        return [*enter, "env", "-C", str(self.home), *command]


class GridEngine(QueueHost):
    """A host called `sgehost` with Debian's Grid Engine, its queue `main.q` and its parallel environment `smp`."""

    names = ("sgehost",)
    queue = "gridengine"
    daemons = frozenset({"sge_qmaster", "sge_execd"})
    variables: ClassVar = {"SGE_ROOT": "/var/lib/gridengine", "SGE_CELL": "default"}

    def files(self) -> Path:
        packages = [f"gridengine-{part}" for part in ("common", "master", "exec", "client")]
        return unpack(self.queue, "usr/sbin/sge_qmaster", [*packages, "libjemalloc2"])

    def live_jobs(self) -> list[str]:
        return self.exec(0, "qstat").splitlines()[2:]

    def end_all_jobs(self) -> None:
        self.run(0, ["qdel", "-u", USER])


class HTCondor(QueueHost):
    """A host called `condorhost` with Debian 13 and its HTCondor. Its files take minutes to fetch."""

    names = ("condorhost",)
    queue = "condor"
    daemons = frozenset(
        f"condor_{name}"
        for name in (
            "master",
            "procd",
            "shared_port",
            "collector",
            "negotiator",
            "schedd",
            "startd",
            "shadow",
            "starter",
        )
    )

    def files(self) -> Path:
        folder = TESTBED / self.queue
        subprocess.run([REPOSITORY / "scripts/testbed/condor-fetch", folder], check=True, timeout=1800)
        return folder

    def live_jobs(self) -> list[str]:
        return self.exec(0, "condor_q", "-af", "ClusterId", "JobStatus").splitlines()

    def end_all_jobs(self) -> None:
        self.run(0, ["condor_rm", "-all"])
