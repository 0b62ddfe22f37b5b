"""Virtual hosts: several machines on this one, with addresses, daemons and files of their own.

Each host is a process 1 in fresh net, uts, mount, ipc and pid namespaces (`scripts/testbed/host-init`), joined with the
others and with the outside by a bridge. Host 0 is called `head`, the others `n1`, `n2` and so on. Links can be cut,
limited or made lossy, and a host can be killed whole. What Slurm needs on top is in `slurm.py`.

Nothing but a folder in /tmp outlives this process, whatever happens to it: namespaces end with the last process in
them, network devices with their namespace, and those processes with this one (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil
import slurm as slurm_files
from helpers import until
from host_files import write_files
from system import (
    REMOVE_STATE,
    REPOSITORY,
    Commands,
    HostsError,
    child_of,
    describe,
    end,
    expect_ready,
    in_network,
    pid_namespace,
    processes_in,
    run,
    spawn,
    user_environment,
)

# What a host runs by itself. A session's `sshd` and a job's `slurmstepd` are not of these.
_DAEMONS = {"munged", "slurmctld", "slurmscriptd", "slurmd", "slurmdbd", "mariadbd"}
_serial = itertools.count()


class VirtualHosts(Commands):
    """A head and `n` further hosts.

    Parameters
    ----------
    n
        Number of hosts beside the head.
    shared
        Whether all hosts have one home folder and see `folder`. Otherwise each has a home of its own, empty but for
        `.ssh`, and of `folder` only what configures the host.
    slurm
        Whether the head runs slurmctld and the others slurmd.
    accounting
        Whether that Slurm has accounts, qualities of service and a record of jobs: see `accounting.py`.

    Attributes
    ----------
    folder : Path
        Seen at the same path outside, and on all hosts when they share.
    home : Path
        The user's home, on every host at the same path.
    gateway : str
        Address of the outside on the hosts' network.
    """

    def __init__(self, n: int, *, shared: bool = True, slurm: bool = False, accounting: bool = False) -> None:
        if os.geteuid() != 0:
            raise HostsError("virtual hosts need root: run the tests as root, for example `sudo make test`")
        self.count = n + 1
        self.shared = shared
        self.slurm = slurm
        self.accounting = accounting
        self.names = ["head", *(f"n{index}" for index in range(1, self.count))]
        self._link = f"iz{os.getpid()}x{next(_serial)}"[-15:]
        self._keepers: dict[int, subprocess.Popen[str]] = {}
        self._inits: dict[int, int] = {}
        self._switch: subprocess.Popen[str] | None = None
        self._subnet, self._claim = _claim_subnet()
        self.gateway = f"{self._subnet}.1"
        self.folder = Path(tempfile.mkdtemp(prefix="izh", dir="/tmp"))
        self.home = self.folder / "home"
        atexit.register(self.close)
        try:
            write_files(self)
            self._start_switch()
            for index in range(self.count):
                self._begin_boot(index)
            for index in range(self.count):
                self._end_boot(index)
            if slurm:
                slurm_files.wait_for_nodes(self)
        except BaseException as error:
            self.close()
            # So that the daemons' words are not lost with the folder.
            error.add_note(self._words)
            raise

    # -- what a host is -----------------------------------------------------------------------------------------

    def address(self, index: int) -> str:
        """Address of a host."""
        return f"{self._subnet}.{10 + index}"

    def index(self, name: str) -> int:
        """Number of the host with that name."""
        return self.names.index(name)

    def is_up(self, index: int) -> bool:
        """Whether a host runs."""
        return index in self._inits

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a user who has logged in on a host."""
        environment = user_environment("root", self.home, 0)
        if self.slurm:
            environment["SLURM_CONF"] = str(self.folder / "etc/slurm.conf")
        return environment | dict(extra or {})

    def root(self, index: int) -> Path:
        """Root folder of a host's file system, as it can be reached from outside."""
        return Path(f"/proc/{self._inits[index]}/root")

    # -- commands -----------------------------------------------------------------------------------------------

    def argv(self, index: int, command: Sequence[str | os.PathLike[str]]) -> list[str]:
        """What runs a command on a host from outside. The command is killed when the process outside is."""
        if index not in self._inits:
            raise HostsError(f"host {self.names[index]} is down")
        enter = ["nsenter", "-t", str(self._inits[index]), "-n", "-u", "-m", "-i", "-p", f"--wd={self.home}"]
        return [*enter, "setpriv", "--pdeathsig", "KILL", *map(os.fspath, command)]

    def processes(self, index: int) -> dict[int, str]:
        """What runs on a host beside its own daemons: command lines by pid, as pids are outside."""
        init = self._inits.get(index)
        found = {}
        for pid in processes_in(pid_namespace(init)) if init else []:
            try:
                process = psutil.Process(pid)
                line = " ".join(process.cmdline()) or process.name()
                daemon = process.name() in _DAEMONS or line.startswith(("sleep infinity", "sshd: /"))
                own = daemon and (process.ppid() == init or process.name() == "slurmscriptd")
                if pid != init and not own and process.status() != psutil.STATUS_ZOMBIE:
                    found[pid] = line
            except psutil.NoSuchProcess:
                continue
        return found

    # -- trouble ------------------------------------------------------------------------------------------------

    def cut(self, index: int) -> None:
        """Pull the network cable of a host: packets vanish in both directions, connections stay as they are."""
        self._ip_on_switch("link", "set", f"v{index}", "down")

    def mend(self, index: int) -> None:
        """Take back what `cut`, `limit`, `lossy` and `wall` did to a host."""
        self._ip_on_switch("link", "set", f"v{index}", "up")
        for place, device in ((self._switch_pid, f"v{index}"), (self._inits[index], "eth0")):
            in_network(place, "tc", "qdisc", "del", "dev", device, "root", check=False)
        in_network(self._inits[index], "nft", "-f", "-", input="table inet trouble\ndelete table inet trouble\n")

    def limit(self, index: int, rate: str) -> None:
        """Let no more than `rate` (such as `10mbit`) through to a host and from it."""
        for place, device in ((self._switch_pid, f"v{index}"), (self._inits[index], "eth0")):
            # At 10 Gbit/s more than that passes between two ticks of the kernel's clock.
            burst = "1mb" if rate.endswith("gbit") else "64kb"
            bucket = ["tbf", "rate", rate, "burst", burst, "latency", "100ms"]
            in_network(place, "tc", "qdisc", "replace", "dev", device, "root", *bucket)

    def lossy(self, index: int, percent: int) -> None:
        """Drop so many of a hundred packets to a host, and from it."""
        rule = f"numgen random mod 100 < {percent} drop"
        self._nft(index, input_rule=f'iifname "eth0" {rule}', output_rule=f'oifname "eth0" {rule}')

    def wall(self, index: int) -> None:
        """Let a host open no connection to others; others can still open connections to it."""
        self._nft(index, output_rule='oifname "eth0" tcp flags & (syn | ack) == syn drop')

    def wall_port(self, index: int, port: int) -> None:
        """Drop what a host sends to a port of others, as a firewall does that says nothing."""
        self._nft(index, output_rule=f'oifname "eth0" tcp dport {port} drop')

    def kill(self, index: int) -> None:
        """Crash a host: all its processes are gone at once, and so is its network."""
        keeper, init = self._keepers.pop(index), self._inits.pop(index)
        namespace = pid_namespace(init)
        os.kill(init, signal.SIGKILL)
        end(keeper)
        until(lambda: not processes_in(namespace), message=lambda: f"still there: {processes_in(namespace)}")
        # The kernel takes a network apart some time after the last process in it has ended.
        until(lambda: f"v{index}@" not in self._ip_on_switch("-brief", "link"), message=f"v{index} is still there")

    def boot(self, index: int) -> None:
        """Start a host that was killed. What it had in memory, so in /tmp and on its own home, is gone."""
        self._begin_boot(index)
        self._end_boot(index)

    def repair(self) -> None:
        """Take back all trouble, and end what tests left running, by force."""
        for index in range(self.count):
            if index not in self._inits:
                self.boot(index)
            else:
                self.mend(index)
            for pid in self.processes(index):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.run(index, ["sh", "-c", REMOVE_STATE])
        if self.slurm:
            slurm_files.cancel_all(self)
            if slurm_files.idle_nodes(self) < self.count - 1:
                slurm_files.resume_nodes(self)
            slurm_files.wait_for_nodes(self, 60)

    # -- beginning and end --------------------------------------------------------------------------------------

    def close(self) -> None:
        """End all hosts, and make sure that nothing of them is left."""
        atexit.unregister(self.close)
        if not self.folder.exists():
            return
        self._words = self._last_words()
        namespaces = {pid_namespace(init) for init in self._inits.values()}
        for init in self._inits.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGKILL)
        # By hand, because the kernel takes up to two seconds to do it after the switch has ended.
        run("ip", "link", "delete", self._link, check=False)
        for keeper in [*self._keepers.values(), *([self._switch] if self._switch else [])]:
            keeper.kill()
            end(keeper)
        self._keepers.clear()
        self._inits.clear()
        self._switch = None
        self._claim.close()
        shutil.rmtree(self.folder)

        def left() -> list[str]:
            found = [pid for namespace in namespaces for pid in processes_in(namespace)]
            for pid in found:
                # One whose parent has ended is a child of this process, which nobody else waits for.
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            return [describe(pid) for pid in found]

        # Killed ones that wait for a busy disk end when it has answered.
        until(lambda: not left(), 60, lambda: f"processes of virtual hosts are still there: {left()}")
        until(lambda: not Path("/sys/class/net", self._link).exists(), message=f"{self._link} is still there")

    def __enter__(self) -> VirtualHosts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_switch(self) -> None:
        """The bridge has a namespace of its own, so that all links end with one process, even if this one is killed."""
        script = "ip link add br0 type bridge && ip link set br0 up && echo ready && exec sleep infinity"
        self._switch = self._spawn(["unshare", "--net", "sh", "-c", script])
        expect_ready(self._switch, "the switch")
        run("ip", "link", "add", self._link, "type", "veth", "peer", "name", "out", "netns", str(self._switch_pid))
        self._ip_on_switch("link", "set", "out", "master", "br0", "up")
        run("ip", "addr", "add", f"{self.gateway}/24", "dev", self._link)
        run("ip", "link", "set", self._link, "up")

    @property
    def _switch_pid(self) -> int:
        assert self._switch is not None
        return self._switch.pid

    def _begin_boot(self, index: int) -> None:
        name = self.names[index]
        keep = [self.folder if self.shared else self.folder / "etc"]
        keep += [REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)]
        script = [REPOSITORY / "scripts/testbed/host-init", index, name, self.address(index), self.folder, self.home]
        slurm = "accounting" if self.accounting else "yes" if self.slurm else "no"
        script += ["SHARED" if self.shared else "PRIVATE", slurm, *_outermost(keep)]
        spaces = ["--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        log = self.folder / "log" / f"{name}.init"
        keeper = self._keepers[index] = self._spawn(["unshare", *spaces, *map(str, script)], log)
        init = self._inits[index] = child_of(keeper)
        peer = ["peer", "name", "eth0", "netns", str(init)]
        # From inside the switch, both ends: a name outside could clash.
        self._ip_on_switch("link", "add", f"v{index}", "type", "veth", *peer)
        self._ip_on_switch("link", "set", f"v{index}", "master", "br0", "up")
        assert keeper.stdin is not None
        keeper.stdin.write("go\n")
        keeper.stdin.close()

    def _end_boot(self, index: int) -> None:
        expect_ready(self._keepers[index], f"host {self.names[index]}")

    def _spawn(self, command: list[str], log: Path | None = None) -> subprocess.Popen[str]:
        return spawn(command, log or self.folder / "log/switch", self.environment())

    def _ip_on_switch(self, *arguments: str) -> str:
        return in_network(self._switch_pid, "ip", *arguments)

    def _nft(self, index: int, input_rule: str = "", output_rule: str = "") -> None:
        chains = ""
        for hook, rule in (("input", input_rule), ("output", output_rule)):
            chains += f"chain {hook} {{ type filter hook {hook} priority 0; {rule}; }}\n" if rule else ""
        table = "table inet trouble"
        text = f"{table}\ndelete {table}\n{table} {{\n{chains}}}\n"
        in_network(self._inits[index], "nft", "-f", "-", input=text)

    _words = ""

    def _last_words(self) -> str:
        words = ""
        for log in sorted((self.folder / "log").glob("*")):
            if text := log.read_text(errors="replace").strip():
                words += f"--- {log.name}\n" + "\n".join(text.splitlines()[-10:]) + "\n"
        return words


def _claim_subnet() -> tuple[str, socket.socket]:
    """A network that nothing here uses. Held by an abstract socket, which no two processes can bind."""
    taken = run("ip", "-4", "route", "show", "table", "all") + run("ip", "-4", "-brief", "addr")
    start = os.getpid()
    for step in range(250):
        subnet = f"10.77.{1 + (start + step) % 250}"
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0ipclusterz-testbed-{subnet}")
        except OSError:
            claim.close()
            continue
        if f"{subnet}." not in taken:
            return subnet, claim
        claim.close()
    raise HostsError("no network of 10.77.1.0/24 to 10.77.250.0/24 is free")


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """The folders of these that are below /tmp, where a host has its own files, without those inside another."""
    below = {path.resolve() for path in paths if Path("/tmp") in path.resolve().parents}
    return sorted(path for path in below if not below & set(path.parents))
