"""The places where the same cluster tests run: what a user's profile says there, and what is to be expected.

A site is a launcher on hosts that are made for it. It knows the profile, where the user works, where engines are to
appear, and how to look for what a cluster left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import prompt
import slurm
from helpers import until
from hosts import VirtualHosts
from prompt import Prompt
from queue_host import GridEngine, HTCondor, QueueHost
from system import SCRIPTS, Commands

IPCLUSTERZ = SCRIPTS / "ipclusterz"
# More than any deadline of the commands themselves, which say more when it passes.
START_SECONDS = 90.0
GONE_SECONDS = 20.0


class CommandFailed(Exception):
    """A command that ended with another status than 0."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.stderr = done.stderr
        super().__init__(f"{' '.join(done.args)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")


class ThisMachine(Commands):
    """The machine of the tests, as a place. What is left on it, the tests' common `conftest.py` looks for."""

    names: Sequence[str] = (socket.gethostname(),)

    def __init__(self) -> None:
        self.home = Path(os.environ["IPCLUSTERZ_HOME"]).parent

    def argv(self, index: int, command: Sequence[str | os.PathLike[str]]) -> list[str]:
        return list(map(os.fspath, command))

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, **(extra or {})}

    def processes(self, index: int) -> dict[int, str]:
        return {}


@dataclass
class Site:
    """A launcher, and the hosts that it is tried on.

    Attributes
    ----------
    hosts
        The machines.
    profile
        What a user's profile says, TOML.
    places
        Names of the hosts that four engines are expected on, in order of their ids; `None` where any may be.
    login
        Number of the host that the user works on.
    env
        The user's environment there.
    rank
        Variable that holds an engine's rank, and what its first value is.
    together
        Whether engines of one set begin and end together.
    cluster
        Name of its cluster.
    """

    hosts: Any
    profile: str
    places: list[str] | None = None
    login: int = 0
    env: dict[str, str] = field(default_factory=dict)
    rank: tuple[str, int] | None = None
    together: bool = False
    cluster: str = f"site-{os.getpid()}"

    # -- commands -----------------------------------------------------------------------------------------------

    def run(self, *command: str | os.PathLike[str], timeout: float = START_SECONDS, **options: Any) -> Any:
        """Run a command as the user at the login place."""
        env = self.env | options.pop("env", {})
        return self.hosts.run(self.login, list(command), env=env, timeout=timeout, **options)

    def popen(self, *command: str | os.PathLike[str], **options: Any) -> subprocess.Popen[str]:
        """Start a command as the user at the login place."""
        env = self.env | options.pop("env", {})
        process: subprocess.Popen[str] = self.hosts.popen(self.login, list(command), env=env, **options)
        return process

    def ipclusterz(self, *arguments: str | os.PathLike[str], **options: Any) -> Any:
        """Run `ipclusterz ... --json` there and return the value that it prints."""
        named = () if "--cluster" in arguments or arguments[0] in ("list", "gc") else ("--cluster", self.cluster)
        done = self.run(IPCLUSTERZ, *arguments, *named, "--json", **options)
        if done.returncode != 0:
            raise CommandFailed(done)
        return json.loads(done.stdout)

    def start(self, n: int, *arguments: str, profile: str = "", **options: Any) -> Any:
        """Start a cluster that goes on in the background."""
        file = self.write_profile(profile)
        return self.ipclusterz("start", "-n", str(n), "--profile", file, "--daemonize", *arguments, **options)

    def write_profile(self, more: str = "") -> Path:
        """Write the profile, with further tables or keys in its tables, and return its path there."""
        path: Path = self.hosts.home / "profile.toml"
        self.hosts.write(self.login, path, merged(self.profile, more))
        return path

    def checks(self, *command: str | os.PathLike[str]) -> tuple[int, dict[str, Any]]:
        """The exit status of `profile check` or `doctor`, and what was found, by what was looked at."""
        done = self.run(IPCLUSTERZ, *command, "--json")
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        return done.returncode, {found["check"]: found for found in json.loads(done.stdout)["checks"]}

    def stop(self) -> Any:
        """Stop the cluster."""
        return self.ipclusterz("stop")

    def status(self) -> Any:
        """The cluster's status."""
        return self.ipclusterz("status")

    def engines(self) -> dict[int, Any]:
        """The engines that the controller knows, by id."""
        return {engine["id"]: engine for engine in self.status()["controller"]["engines"]}

    def controller_pid(self) -> int:
        """The process that answers now."""
        return int(self.status()["controller"]["pid"])

    @contextlib.contextmanager
    def prompt(self, login: int | None = None, **client: Any) -> Iterator[Prompt]:
        """A user's Python at the login place, or on another host, with a client of the cluster."""
        arguments = json.dumps({"cluster": self.cluster} | client)
        command = [sys.executable, prompt.FILE, arguments]
        where = self.login if login is None else login
        process = self.hosts.popen(where, command, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            with Prompt(process) as there:
                yield there
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def launcher_log(self) -> str:
        """What the launcher of a cluster in the background has said."""
        logs = self.ipclusterz("logs", "--launcher", "-n", "1000")["logs"]
        return "\n".join(line for log in logs for line in log["lines"])

    @contextlib.contextmanager
    def stopped_at_the_end(self) -> Iterator[None]:
        """Stop the cluster afterwards if it is still there, and check that nothing of it is left."""
        before = set(self.remains())
        try:
            yield
        finally:
            with contextlib.suppress(CommandFailed):
                self.stop()

        def left() -> list[str]:
            return sorted(set(self.remains()) - before)

        until(lambda: not left(), GONE_SECONDS, lambda: "left behind:\n" + "\n".join(left()))

    # -- what is left -------------------------------------------------------------------------------------------

    def remains(self) -> list[str]:
        """Processes, jobs and files of clusters on all hosts of the site."""
        found = []
        for index, name in enumerate(self.hosts.names):
            found += [f"{name}: process {pid} {line}" for pid, line in self.hosts.processes(index).items()]
            if not isinstance(self.hosts, ThisMachine) and self.hosts.is_up(index):
                done = self.hosts.run(index, ["sh", "-c", _FIND, "sh", self.hosts.home])
                found += [f"{name}: {path}" for path in done.stdout.splitlines()]
        if isinstance(self.hosts, QueueHost):
            found += [f"job {line}" for line in self.hosts.live_jobs()]
        elif isinstance(self.hosts, VirtualHosts) and self.hosts.slurm:
            found += [
                f"job {line}" for line in slurm.live_jobs(self.hosts) if line.split()[0] != self.env.get("SLURM_JOB_ID")
            ]
        return found


# Connection files and records anywhere, what only a running cluster has in memory, and every entry of the folders that
# are ours alone: but for the logs of a cluster, and its lock, which is never removed.
_FIND = r"""
{
for folder in "$1" "$XDG_RUNTIME_DIR" /tmp /run /dev/shm; do
    [ -d "$folder" ] && find "$folder" -xdev \( -name client.json -o -name engine.json -o -name cluster.json \)
done
find "$XDG_RUNTIME_DIR" /tmp /dev/shm -xdev \( -name '*.sock' -o -name 'ipclusterz*' -o -name 'ipz*' \) \
    ! -path "$XDG_RUNTIME_DIR/ipclusterz" ! -path "/tmp/ipclusterz-$(id -u)"
for folder in "$XDG_RUNTIME_DIR" "/tmp/ipclusterz-$(id -u)"; do
    [ -d "$folder" ] && find "$folder" -xdev -mindepth 1 ! -path "$XDG_RUNTIME_DIR/ipclusterz"
done
clusters=$1/.local/state/ipclusterz/clusters
[ -d "$clusters" ] && find "$clusters" -mindepth 2 -maxdepth 2 ! -name lock ! -name logs
} | sort -u
true
"""


def merged(profile: str, more: str) -> str:
    """A profile with the keys of another text put into its tables. The first text has each table once."""
    tables: dict[str, list[str]] = {}
    for text in (profile, more):
        table = ""
        for line in text.strip().splitlines():
            if line.startswith("["):
                table = line.strip()
            else:
                key = line.split("=")[0].strip() if "=" in line else None
                lines = tables.setdefault(table, [])
                tables[table] = [old for old in lines if key is None or old.split("=")[0].strip() != key] + [line]
    return "\n".join(f"{table}\n" + "\n".join(lines) for table, lines in tables.items()) + "\n"


def local() -> Site:
    """Processes of this machine."""
    machine = ThisMachine()
    # What a login does on this machine is not tried here: it may take long, or wait for another one that was killed.
    env = {"HOME": str(machine.home)}
    return Site(machine, _ENGINES.format(launcher="local"), places=[machine.names[0]] * 4, env=env)


def ssh(hosts: VirtualHosts, backend: str) -> Site:
    """Hosts that share nothing, reached through SSH."""
    table = f"""
[ssh]
backend = "{backend}"
hosts = [{{ host = "n1", engines = 2 }}, {{ host = "n2", engines = 2 }}, {{ host = "n3", engines = 4 }}]
"""
    return Site(hosts, _ENGINES.format(launcher="ssh") + table, places=["n1", "n1", "n2", "n2"])


def mpiexec(hosts: VirtualHosts, flavour: str) -> Site:
    """The ranks of an MPI program on two hosts."""
    table = f"""
[mpiexec]
program = "mpiexec.{flavour}"
hosts = ["n1:2", "n2:2"]
oversubscribe = true
allow_root = true
"""
    rank = {"openmpi": "OMPI_COMM_WORLD_RANK", "mpich": "PMI_RANK"}[flavour]
    profile = merged(_ENGINES.format(launcher="mpiexec") + table, mpi4py_environment(hosts, flavour))
    return Site(hosts, profile, places=["n1", "n1", "n2", "n2"], rank=(rank, 0), together=True)


def mpi4py_environment(hosts: VirtualHosts, flavour: str) -> str:
    """A table that has mpi4py, which loads Open MPI by itself, load one or the other."""
    if flavour == "openmpi":
        return '[engines.env]\nMPI4PY_MPIABI = "openmpi"\n'
    # It looks for libmpi.so.12, and Debian's MPICH is called otherwise.
    folder = hosts.home / "mpich"
    folder.mkdir(exist_ok=True)
    link = folder / "libmpi.so.12"
    if not link.is_symlink():
        link.symlink_to(next(Path("/usr/lib").glob("*/libmpich.so.12")))
    return f'[engines.env]\nLD_LIBRARY_PATH = "{folder}"\nMPI4PY_MPIABI = "mpich"\n'


def batch(hosts: VirtualHosts, extends: str = "slurm", more: str = "") -> Site:
    """A job of Slurm, submitted from the head."""
    profile = merged(f'extends = "{extends}"\n' + _ENGINES.format(launcher="batch") + _BATCH, more)
    rank = ("SLURM_PROCID", 0) if "array = true" not in more else None
    return Site(hosts, profile, rank=rank, together=extends == "slurm-mpi")


@contextlib.contextmanager
def allocation(hosts: VirtualHosts) -> Iterator[Site]:
    """Inside an allocation of all nodes, as after `salloc`: commands run on the head with the job's environment."""
    command = ["salloc", "--quiet", "--nodes=3", "--ntasks-per-node=4", "sh", "-c", "env -0; echo; read _"]
    with hosts.popen(0, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        line = shell.stdout.readline()
        env = dict(pair.split("=", 1) for pair in line.rstrip("\n").split("\0") if pair.startswith("SLURM_"))
        try:
            site = batch(hosts)
            site.env = env
            yield site
        finally:
            # The shell ends at the end of its input, and salloc gives the allocation back.
            shell.stdin.close()
            shell.wait(20)


def gridengine(host: GridEngine) -> Site:
    """A job of Grid Engine."""
    profile = 'extends = "sge"\n' + _ENGINES.format(launcher="batch") + "[batch]\npoll = 1\n"
    return Site(host, profile, places=["sgehost"] * 4)


def condor(host: HTCondor, more: str = "") -> Site:
    """A job of HTCondor."""
    profile = 'extends = "htcondor"\n' + _ENGINES.format(launcher="batch") + "[batch]\npoll = 1\n"
    return Site(host, merged(profile, more), places=["condorhost"] * 4)


_ENGINES = f"""
[engines]
launcher = "{{launcher}}"
python = "{sys.executable}"
timeout = 40
"""

_BATCH = """
[batch]
engines_per_node = 2
poll = 1
"""
