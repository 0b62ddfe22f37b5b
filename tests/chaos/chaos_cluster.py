"""The cluster under chaos, on three virtual hosts: its processes, and what is left of them.

The head has the launcher, the controller, the engines that the launcher starts as ranks of an MPI program, and two
clients. The other hosts have engines and a client each, over TCP. The cluster's folder is on a small disk of the head.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from helpers import until
from hosts import VirtualHosts
from mpi_library import BUILDS
from system import HostsError

HEAD, OTHERS = 0, (1, 2)
LOAD = Path(__file__).parent / "programs" / "load.py"
DISK = "/tmp/disk"
DISK_MIB = 256
KEPT = 'controller.keep_results_bytes="96 MiB"'
"""What the sessions keep: more than is submitted until a killed client has a successor, and less than the disk has."""
NAME = "chaos"
# Where one is killed, the others go on; when all are gone, they are started again.
RANKS = (
    'engines.launcher="mpiexec"',
    'engines.on_rank_loss="shrink"',
    f'engines.env={{PYTHONPATH="{BUILDS["openmpi5"]}", IPCLUSTERZ_MPI="openmpi"}}',
    'mpiexec.program="mpiexec.openmpi"',
    "mpiexec.oversubscribe=true",
    "mpiexec.allow_root=true",
)
"""The engines of the head are the ranks of an MPI program."""
LOCAL_ENGINES = 4
FIRST_OTHER_ENGINE = 100
"""Ids of engines on other hosts, each used once."""
# More than the commands wait themselves.
COMMAND_SECONDS = 90.0


@dataclass
class Process:
    """A process of the cluster: its role, where it is, and its pids outside and there."""

    role: str
    host: int
    pid: int
    inner: int
    name: str
    engine: int = -1

    def signal(self, number: int) -> None:
        """Send it a signal; it may have ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


@dataclass
class Run:
    """One life of the cluster, from a start to its end, and the clients that it had."""

    number: int
    began: float = field(default_factory=time.time)
    killed: float | None = None
    clients: list[str] = field(default_factory=list)


class ChaosCluster:
    """The cluster, as a context manager which ends it and its hosts."""

    def __init__(self, seed: int, lease: float, settle: float) -> None:
        self.seed, self.lease, self.settle = seed, lease, settle
        self.runs: list[Run] = []
        self._engines: dict[int, tuple[int, subprocess.Popen[str]]] = {}
        self._clients: dict[str, tuple[int, subprocess.Popen[str]]] = {}
        self._lives: Counter[str] = Counter()
        self._next_engine = FIRST_OTHER_ENGINE
        self._next_client = 0

    def __enter__(self) -> ChaosCluster:
        self.hosts = VirtualHosts(len(OTHERS))
        try:
            self.folder = self.hosts.folder / "chaos"
            (self.folder / "clients").mkdir(parents=True)
            (self.folder / "logs").mkdir()
            self.hosts.exec(
                HEAD, "sh", "-c", f"mkdir {DISK} && mount -t tmpfs -o size={DISK_MIB}m,mode=700 none {DISK}"
            )
            self.start()
        except BaseException:
            self.hosts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end_carriers()
        self.hosts.close()

    def _end_carriers(self) -> None:
        """End what brought engines and clients to other hosts."""
        for _host, carrier in [*self._engines.values(), *self._clients.values()]:
            carrier.kill()
            carrier.wait()
        self._engines.clear()
        self._clients.clear()

    # -- starting and ending ------------------------------------------------------------------------------------

    @property
    def disk(self) -> Path:
        """The small disk, from outside."""
        return self.hosts.root(HEAD) / DISK.lstrip("/")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `ipclusterz` on the head."""
        env = {"IPCLUSTERZ_HOME": DISK}
        return self.hosts.run(HEAD, ["ipclusterz", *words], env=env, timeout=COMMAND_SECONDS)

    def start(self) -> None:
        """Start the cluster, with all its engines and clients."""
        listen = ["--listen", "0.0.0.0:0", "--advertise", self.hosts.address(HEAD)]
        keys = [f"engines.lease={self.lease}", "logs.keep=all", "engines.hash_seed=1", KEPT, *RANKS]
        settings = [word for key in keys for word in ("--set", key)]
        words = ["start", "-n", str(LOCAL_ENGINES), "--cluster", NAME, "--restart", "--daemonize", "--json"]
        # The clients of a run end with it: what they left is nobody's.
        words += ["--discard"] if self.runs else []
        done = self.command(*words, *listen, *settings)
        if done.returncode != 0:
            raise HostsError(f"the cluster did not start: {done.stderr}")
        for role in ("client", "engine"):
            copy = self._connection(role)
            copy.write_bytes((self.disk / "clusters" / NAME / f"{role}.json").read_bytes())
            copy.chmod(0o600)
        self.runs.append(Run(len(self.runs)))
        for host in (*OTHERS, OTHERS[0]):
            self.add_engine(host)
        for host in (HEAD, HEAD, *OTHERS):
            self.add_client(host)

    def _connection(self, role: str) -> Path:
        """The file that hosts other than the head have."""
        return self.folder / f"{role}.json"

    def add_engine(self, host: int) -> None:
        """Start an engine on another host."""
        engine = self._next_engine
        self._next_engine += 1
        words = ["-m", "ipclusterz.engine", "--connection-file", str(self._connection("engine"))]
        words += ["--engine-id", str(engine), "--lease", str(self.lease)]
        log = self.folder / "logs" / f"engine-{engine}.log"
        self._engines[engine] = (host, self._popen(host, words, log))

    def add_client(self, host: int) -> None:
        """Start a client on a host, in a session of its own."""
        name = f"c{self._next_client}"
        self._next_client += 1
        self.runs[-1].clients.append(name)
        self._go_on(name, host)

    def _go_on(self, name: str, host: int) -> None:
        """Start the first client of a session, or the next."""
        self._lives[name] += 1
        file = f"{DISK}/clusters/{NAME}/client.json" if host == HEAD else str(self._connection("client"))
        words = [
            str(LOAD),
            "--connection",
            file,
            "--name",
            name,
            "--life",
            str(self._lives[name]),
            "--seed",
            str(self.seed),
        ]
        words += ["--folder", str(self.folder), "--settle", str(self.settle), "--ranks", str(FIRST_OTHER_ENGINE)]
        self._clients[name] = (host, self._popen(host, words, self.folder / "logs" / f"client-{name}.log"))

    def _popen(self, host: int, words: list[str], log: Path) -> subprocess.Popen[str]:
        with log.open("a") as out:
            return self.hosts.popen(host, [sys.executable, *words], stdout=out, stderr=out)

    def replace_dead(self) -> None:
        """Start another engine for one elsewhere that was killed, and another client in the session of one."""
        for engine, (host, process) in list(self._engines.items()):
            if process.poll() is not None:
                del self._engines[engine]
                self.add_engine(host)
        for name, (host, process) in list(self._clients.items()):
            if process.poll() is not None:
                self._go_on(name, host)

    # -- who is there -------------------------------------------------------------------------------------------

    def processes(self) -> Iterator[Process]:
        """The processes of the cluster that run."""
        for host in range(self.hosts.count):
            for pid, line in self.hosts.processes(host).items():
                with contextlib.suppress(OSError, psutil.Error):
                    if (process := _known(host, pid, line)) is not None:
                        yield process

    def chosen(self, role: str) -> list[Process]:
        """Those of a role, in an order that is the same each time."""
        found = [process for process in self.processes() if process.role == role]
        return sorted(found, key=lambda process: (process.host, process.name, process.pid))

    def kill(self, process: Process) -> None:
        """Kill a process, and wait until it is known to be dead where it has to be replaced from here."""
        process.signal(signal.SIGKILL)
        carriers = {"client": self._clients.get(process.name), "engine": self._engines.get(process.engine)}
        if (carrier := carriers.get(process.role)) is None:
            return

        def has_ended() -> bool:
            # It has stopped itself, if the command was stopped.
            carrier[1].send_signal(signal.SIGCONT)
            return carrier[1].poll() is not None

        until(has_ended, COMMAND_SECONDS, process.name)

    def resume(self, process: Process) -> None:
        """Let a process go on that was stopped."""
        process.signal(signal.SIGCONT)
        # What brings a command to a host (`nsenter`) stops itself when the command is stopped.
        for _host, carrier in [*self._engines.values(), *self._clients.values()]:
            if carrier.poll() is None:
                carrier.send_signal(signal.SIGCONT)

    # -- the disk -----------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Fill the disk to its last byte."""
        with (self.disk / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def empty(self) -> None:
        """Take the filler away."""
        (self.disk / "filler").unlink(missing_ok=True)

    # -- the end ------------------------------------------------------------------------------------------------

    def finish_clients(self) -> list[str]:
        """Let clients end when they have all answers; who has not."""
        (self.folder / "stop").touch()
        deadline = time.monotonic() + self.settle + 30
        late = []
        for name, (_host, process) in self._clients.items():
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                late.append(name)
                process.kill()
                process.wait()
        self._clients.clear()
        return late

    def unfinished(self) -> str:
        """What the controller has to do, when nothing should be; empty if it is idle."""
        done = self.command("status", "--cluster", NAME, "--json", "--timeout", "30")
        if done.returncode != 0:
            return f"status: {done.stderr.strip()}"
        pending = json.loads(done.stdout)["controller"]["pending"]
        return f"{pending} tasks are pending" if pending else ""

    def stop(self) -> str:
        """End the cluster in order; what the command says when it fails."""
        done = self.command("stop", "--cluster", NAME, "--json")
        self._connection("client").unlink()
        self._connection("engine").unlink()
        return "" if done.returncode == 0 else f"stop: {done.stderr.strip()}"

    def kill_launcher(self) -> None:
        """Kill the launcher: with it, all of the cluster has to end."""
        self.runs[-1].killed = time.time()
        for process in self.chosen("launcher"):
            process.signal(signal.SIGKILL)
        # As a shared home folder would have it.
        self._connection("client").unlink()
        self._connection("engine").unlink()

    def left(self) -> list[str]:
        """Wait until the processes of the cluster have ended; what is left of it then."""
        with contextlib.suppress(AssertionError):
            until(lambda: not self._running(), self.lease + 20)
        left = self._running()
        for host in range(self.hosts.count):
            for pid in self.hosts.processes(host):
                os.kill(pid, signal.SIGKILL)
        self._end_carriers()
        left += self._removed_by_gc()
        for host in range(self.hosts.count):
            root = self.hosts.root(host)
            left += [str(path) for path in (root / "run/user/0/ipclusterz").glob("*")]
            left += [str(path) for path in (root / "dev/shm").glob("*")]
        left += [str(path) for path in (self.disk / "clusters").glob("*/*.json")]
        return left

    def _removed_by_gc(self) -> list[str]:
        """After a kill of the launcher, `gc` may have to remove something. It must be able to."""
        if self.runs[-1].killed is None:
            return []
        done = self.command("gc")
        return [] if done.returncode == 0 else [f"gc: {done.stderr.strip()}"]

    def _running(self) -> list[str]:
        found = []
        for host, name in enumerate(self.hosts.names):
            found += [f"{name}: process {pid}: {line}" for pid, line in self.hosts.processes(host).items()]
        return found

    def keep_logs(self) -> None:
        """Copy the logs of a life of the cluster beside those of its clients."""
        target = self.folder / "logs" / f"cluster-{self.runs[-1].number}"
        shutil.copytree(self.disk / "clusters" / NAME / "logs", target, dirs_exist_ok=True)


def _known(host: int, pid: int, line: str) -> Process | None:
    """The role of a process, by its command line."""
    words = line.split()
    value = lambda option: words[words.index(option) + 1]  # noqa: E731
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    inner = next(int(text.split()[-1]) for text in status if text.startswith("NSpid:"))
    if words[:2] == ["ipclusterz", "start"] and "--report-descriptor" in line:
        return Process("launcher", host, pid, inner, "launcher")
    if words[:2] == ["ipclusterz", "controller"]:
        return Process("controller", host, pid, inner, "controller")
    if words[1:3] == ["-m", "ipclusterz.engine"]:
        engine = int(value("--engine-id")) if "--engine-id" in words else int(value("--first-engine-id")) + _rank(pid)
        return Process("engine", host, pid, inner, f"engine {engine:03}", engine)
    if str(LOAD) in words:
        return Process("client", host, pid, inner, value("--name"))
    return None


def _rank(pid: int) -> int:
    """The rank of a process that Open MPI has started."""
    return int(psutil.Process(pid).environ()["OMPI_COMM_WORLD_RANK"])
