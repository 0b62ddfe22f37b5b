"""The virtual hosts themselves: that they are what the other tests take them for, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import slurm
from helpers import until
from hosts import VirtualHosts
from queue_host import GridEngine
from sshd import Sshd
from system import HostsError, run

NODES = ["n1", "n2", "n3"]


def devices(pid: int) -> set[str]:
    """Network devices outside of the virtual hosts of that process."""
    return {path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(f"iz{pid}x")}


def test_slurm_runs_on_all_nodes(hosts: VirtualHosts) -> None:
    assert sorted(hosts.exec(0, "srun", "-N3", "hostname").split()) == NODES
    job = hosts.exec(0, "sbatch", "--parsable", "--wrap=srun hostname", "-N2", "--output=job.out").strip()
    until(lambda: slurm.job_states(hosts, job) == {"COMPLETED"}, message=lambda: str(slurm.jobs(hosts)))
    assert len(set(hosts.read(0, hosts.home / "job.out").split())) == 2


def test_slurm_counts_gpus(hosts: VirtualHosts) -> None:
    devices = hosts.exec(0, "srun", "-N2", "--gres=gpu:2", "printenv", "CUDA_VISIBLE_DEVICES").split()
    assert devices == ["0,1", "0,1"]


def test_mpi_has_one_world(hosts: VirtualHosts) -> None:
    program = "from mpi4py import MPI; print(MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size, MPI.Get_processor_name())"
    command = ["srun", "--mpi=pmix", "-N3", "-n6", sys.executable, "-c", program]
    ranks = sorted(line.split() for line in hosts.exec(0, *command).splitlines())
    assert [(rank, size) for rank, size, _ in ranks] == [(str(rank), "6") for rank in range(6)]
    assert {host for _, _, host in ranks} == set(NODES)


def test_hosts_have_their_own_files_and_names(hosts: VirtualHosts, separate: VirtualHosts) -> None:
    for some in (hosts, separate):
        some.write(1, "/tmp/here", "on n1")
        assert some.exec(1, "hostname").strip() == "n1"
        assert some.run(2, ["test", "-e", "/tmp/here"]).returncode == 1
        assert not Path("/tmp/here").exists()
        some.exec(1, "rm", "/tmp/here")
    hosts.write(1, hosts.home / "common", "seen by all")
    assert hosts.read(3, hosts.home / "common") == (hosts.home / "common").read_text() == "seen by all"
    separate.write(1, separate.home / "own", "seen by one")
    assert separate.run(3, ["test", "-e", separate.home / "own"]).returncode == 1
    assert not (separate.home / "own").exists()


@pytest.mark.parametrize("kind", ["hosts", "separate"])
def test_ssh_between_hosts(kind: str, request: pytest.FixtureRequest) -> None:
    some: VirtualHosts = request.getfixturevalue(kind)
    assert some.exec(0, "ssh", "n1", "hostname; ssh n2 hostname; pwd").split() == ["n1", "n2", str(some.home)]
    assert some.exec(3, "ssh", "-W", "n1:22", "n2", stdin=subprocess.DEVNULL).startswith("SSH-2.0-")
    changed = some.run(0, ["ssh", "-o", "UserKnownHostsFile=/dev/null", "n1", "hostname"])
    assert "Host key verification failed" in changed.stderr


def test_the_outside_reaches_hosts_and_hosts_the_outside(hosts: VirtualHosts) -> None:
    with socket.create_connection((hosts.address(2), 22), timeout=5) as connection:
        assert connection.recv(8) == b"SSH-2.0-"
    with socket.create_server((hosts.gateway, 0)) as server:
        server.settimeout(5)
        port = server.getsockname()[1]
        hosts.exec(1, "bash", "-c", f"echo hello >/dev/tcp/outside/{port}")
        connection, peer = server.accept()
        with connection:
            assert (connection.recv(9), peer[0]) == (b"hello\n", hosts.address(1))


def answers(hosts: VirtualHosts, index: int) -> bool:
    try:
        with socket.create_connection((hosts.address(index), 22), timeout=1) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def test_a_cut_cable(hosts: VirtualHosts) -> None:
    hosts.cut(1)
    assert not answers(hosts, 1)
    assert answers(hosts, 2)
    hosts.mend(1)
    until(lambda: answers(hosts, 1))


def test_a_wall_is_passed_in_one_direction(hosts: VirtualHosts) -> None:
    hosts.wall(1)
    assert answers(hosts, 1)
    assert hosts.run(1, ["timeout", "1", "bash", "-c", "echo </dev/tcp/n2/22"]).returncode == 124
    hosts.mend(1)
    hosts.exec(1, "bash", "-c", "echo </dev/tcp/n2/22")


def seconds_for(hosts: VirtualHosts, index: int, size: int) -> float:
    """Time that so many bytes take from a host to the outside."""
    with socket.create_server((hosts.gateway, 0)) as server:
        server.settimeout(20)
        command = f"head -c {size} /dev/zero >/dev/tcp/outside/{server.getsockname()[1]}"
        with hosts.popen(index, ["bash", "-c", command]):
            connection, _ = server.accept()
            with connection:
                began = time.monotonic()
                received = 0
                while block := connection.recv(1 << 16):
                    received += len(block)
    assert received == size
    return time.monotonic() - began


def test_a_limited_link(hosts: VirtualHosts) -> None:
    size = 1_000_000
    hosts.limit(1, "8mbit")
    assert seconds_for(hosts, 1, size) > 0.6
    hosts.mend(1)
    assert seconds_for(hosts, 1, size) < 0.6


def test_a_lossy_link(hosts: VirtualHosts) -> None:
    hosts.lossy(2, 30)
    pings = hosts.run(0, [sys.executable, "-c", _DATAGRAMS.format(address=hosts.address(2))])
    arrived = int(hosts.exec(2, sys.executable, "-c", _COUNT))
    assert 0 < arrived < 900, pings.stderr


# UDP to a port where nobody listens: the host's own counter says how many came through.
_DATAGRAMS = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for _ in range(1000):
        sender.sendto(b"x", ("{address}", 9))
"""
_COUNT = """
lines = [line.split() for line in open("/proc/net/snmp") if line.startswith("Udp:")]
print(dict(zip(*lines))["NoPorts"])
"""


def test_a_host_that_crashes_comes_back_empty(hosts: VirtualHosts) -> None:
    hosts.write(3, "/tmp/in-memory", "x")
    running = hosts.popen(3, ["sleep", "60"])
    hosts.kill(3)
    assert running.wait(5) != 0
    assert not answers(hosts, 3)
    assert hosts.processes(3) == {}
    hosts.boot(3)
    until(lambda: answers(hosts, 3))
    assert hosts.run(3, ["test", "-e", "/tmp/in-memory"]).returncode == 1
    slurm.wait_for_nodes(hosts)
    assert hosts.exec(0, "srun", "-w", "n3", "hostname").strip() == "n3"


def test_processes_are_found_wherever_they_hide(hosts: VirtualHosts) -> None:
    hosts.exec(2, "sh", "-c", "setsid sh -c 'exec sleep 61' </dev/null >/dev/null 2>&1 &")
    until(lambda: "sleep 61" in hosts.processes(2).values())
    assert "sleep 61" not in {**hosts.processes(0), **hosts.processes(1)}.values()
    for pid in hosts.processes(2):
        os.kill(pid, signal.SIGKILL)


def test_a_command_ends_with_the_one_outside(hosts: VirtualHosts) -> None:
    command = hosts.popen(1, ["sleep", "62"])
    until(lambda: "sleep 62" in hosts.processes(1).values())
    command.kill()
    command.wait()
    until(lambda: not hosts.processes(1))


@pytest.mark.parametrize("slurm_too", [False, True])
def test_closing_leaves_nothing(slurm_too: bool) -> None:
    before = devices(os.getpid())
    hosts = VirtualHosts(2, slurm=slurm_too)
    job = hosts.popen(0, ["srun", "-N2", "sleep", "63"] if slurm_too else ["sleep", "63"])
    until(lambda: any("sleep 63" in line for line in hosts.processes(1 if slurm_too else 0).values()))
    assert devices(os.getpid()) != before
    inside = [pid for index in range(3) for pid in hosts.processes(index)]
    hosts.close()
    assert job.wait(5) != 0
    assert devices(os.getpid()) == before
    assert not hosts.folder.exists()
    assert not any(map(runs, inside))
    hosts.close()


def test_two_sets_side_by_side(hosts: VirtualHosts) -> None:
    with VirtualHosts(1) as first, VirtualHosts(1) as second:
        assert len({some.gateway for some in (first, second, hosts)}) == 3
        assert [some.exec(0, "ssh", "n1", "hostname") for some in (first, second)] == ["n1\n", "n1\n"]


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


SCRIPT = """
import sys
from hosts import VirtualHosts
from sshd import Sshd
from system import HostsError, run
hosts = VirtualHosts(2)
print(hosts.folder, hosts._link, *hosts._inits.values(), flush=True)
sys.stdin.read()
"""


def test_hosts_end_with_their_process() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child, child.stdin, child.stdout:
        folder, link, *pids = child.stdout.readline().split()
        assert devices(child.pid) == {link}
        child.kill()
        child.wait()
        until(lambda: not any(runs(int(pid)) for pid in pids))
        until(lambda: not devices(child.pid))
    # Files are what the kernel does not clean up.
    subprocess.run(["rm", "-r", folder], check=True)


def test_grid_engine_runs_jobs(gridengine: GridEngine) -> None:
    gridengine.write(
        0, gridengine.home / "job.sh", f"{sys.executable} -c 'import ipclusterz'; echo $SGE_TASK_ID >>out\n"
    )
    job = gridengine.exec(0, "qsub", "-terse", "-cwd", "-t", "1-3", "job.sh").strip()
    assert job == f"{job.split('.')[0]}.1-3:1"
    until(lambda: not gridengine.live_jobs(), 20, lambda: str(gridengine.live_jobs()))
    assert sorted(gridengine.read(0, gridengine.home / "out").split()) == ["1", "2", "3"]
    assert not Path("/var/lib/gridengine").exists()


def test_grid_engine_ends_a_job_with_its_processes(gridengine: GridEngine) -> None:
    gridengine.write(0, gridengine.home / "job.sh", "sleep 64 & wait\n")
    gridengine.exec(0, "qsub", "-terse", "-pe", "smp", "2", "job.sh")
    until(lambda: "sleep 64" in gridengine.processes().values(), 20)
    gridengine.exec(0, "qdel", "-u", "tester")
    until(lambda: not gridengine.processes(), 20, lambda: str(gridengine.processes()))


def test_a_private_sshd(sshd: Sshd, tmp_path: Path) -> None:
    assert sshd.ssh("echo", "$HOME").strip() == str(sshd.home)
    assert sshd.host_key_fingerprint.startswith("SHA256:")
    stranger = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    options = ["-F", "none", "-o", f"UserKnownHostsFile={sshd.known_hosts}", "-i", str(stranger), f"-p{sshd.port}"]
    with pytest.raises(HostsError, match="Permission denied"):
        run("ssh", *options, "root@127.0.0.1")
