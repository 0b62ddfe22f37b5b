"""Grid Engine for real: one virtual host on which Debian's Grid Engine lies over this machine's files, in memory.

`scripts/testbed/gridengine-fetch` unpacks it once into `target/`; `gridengine-init` lays it over and starts it. Jobs
are an ordinary user's, for Grid Engine runs none of root.
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
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from helpers import until
from system import (
    REMOVE_STATE,
    REPOSITORY,
    Commands,
    HostsError,
    child_of,
    end,
    expect_ready,
    pid_namespace,
    processes_in,
    spawn,
    user_environment,
)

SLOTS = 16
USER = "tester"
_ROOT = "/var/lib/gridengine"
_FETCH_SECONDS = 90
# What the host runs by itself. A job's `sge_shepherd` is not of these.
_DAEMONS = {"sge_qmaster", "sge_execd"}


class GridEngine(Commands):
    """A host called `sgehost` with Grid Engine, its queue `main.q` and its parallel environment `smp`.

    Attributes
    ----------
    home : Path
        Home of the user that commands are run as. Seen on the host alone.
    """

    names = ("sgehost",)
    slurm = False

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise HostsError("virtual hosts need root: run the tests as root, for example `sudo make test`")
        target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
        unpacked = target / "testbed/gridengine"
        subprocess.run([REPOSITORY / "scripts/testbed/gridengine-fetch", unpacked], check=True, timeout=_FETCH_SECONDS)
        self.folder = Path(tempfile.mkdtemp(prefix="izg", dir="/tmp"))
        self.home = Path("/home", USER)
        self._keeper: subprocess.Popen[str] | None = None
        self._init = 0
        atexit.register(self.close)
        try:
            (self.folder / "mount").mkdir()
            script = [REPOSITORY / "scripts/testbed/gridengine-init", unpacked, self.folder / "mount", USER, SLOTS]
            keep = {REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)} - {Path("/usr")}
            spaces = ["--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
            command = ["unshare", *spaces, *map(str, [*script, *sorted(keep)])]
            self._keeper = spawn(command, self.folder / "log", {"PATH": os.environ["PATH"]})
            self._init = child_of(self._keeper)
            expect_ready(self._keeper, "Grid Engine")
        except BaseException as error:
            error.add_note((self.folder / "log").read_text(errors="replace"))
            self.close()
            raise

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of the user."""
        uid = int(subprocess.check_output(self._enter("id", "-u", USER), text=True))
        environment = user_environment(USER, self.home, uid)
        return environment | {"SGE_ROOT": _ROOT, "SGE_CELL": "default"} | dict(extra or {})

    def argv(self, index: int, command: Sequence[str | os.PathLike[str]]) -> list[str]:
        """What runs a command on the host as its user. The command is killed when the process outside is."""
        if index != 0:
            raise HostsError("Grid Engine has one host")
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
                own = process.ppid() == self._init and (process.name() in _DAEMONS or line == "sleep infinity")
                if pid != self._init and not own and process.status() != psutil.STATUS_ZOMBIE:
                    found[pid] = line
        return found

    def is_up(self, index: int) -> bool:
        """Whether the host runs."""
        return index == 0

    def live_jobs(self) -> list[str]:
        """Jobs that wait, run or are just ending."""
        return self.exec(0, "qstat").splitlines()[2:]

    def repair(self) -> None:
        """End what a test left running, by force."""
        self.run(0, ["qdel", "-u", USER])
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
        until(lambda: not processes_in(namespace), message="processes of Grid Engine are still there")
        shutil.rmtree(self.folder)

    def __enter__(self) -> GridEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enter(self, *command: str) -> list[str]:
        enter = ["nsenter", "-t", str(self._init), "-n", "-u", "-m", "-i", "-p", "-r"]
        return [*enter, "env", "-C", str(self.home), *command]
