"""No orphan ever: whatever is killed or cut off, after the lease there is no engine, tunnel, job or file left.

The lease is a few seconds here. Each test runs through SSH, mpiexec and Slurm: what ends an engine that nobody watches
any more is the engine itself, and what ends a job or another host's process is a guard or `ipclusterz gc`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import sites
import slurm
from helpers import until
from hosts import VirtualHosts
from sites import IPCLUSTERZ, CommandFailed, Site

LEASE = 4
# Silence is noticed after 9 s, and then the lease begins.
GONE_SECONDS = 45.0

pytestmark = pytest.mark.timeout(150)

LEASE_TABLE = f"[engines]\nlease = {LEASE}\n"


def _on(name: str, *arguments: str, called: str = "") -> Any:
    return pytest.param((name, arguments), id=called or "-".join((name, *arguments)))


BLOCKS = "[batch]\nblocks = { min = 1, max = 2, nodes = 1 }\n"

SSH = [_on("ssh", "libssh2"), _on("ssh", "openssh")]
SLURM = _on("batch", "slurm")
# What these leave is of the same kinds, so that they are tried with the most frequent crash alone.
OTHERS = [
    _on("batch", "slurm", "[batch]\narray = true\n", called="slurm-array"),
    _on("batch", "slurm", BLOCKS, called="slurm-blocks"),
    _on("mpiexec", "mpich"),
    _on("gridengine"),
]


@pytest.fixture(params=[*SSH, _on("mpiexec", "openmpi"), SLURM])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Hosts with engines elsewhere than the controller."""
    name, arguments = request.param
    hosts = request.getfixturevalue({"ssh": "separate", "gridengine": "gridengine"}.get(name, "hosts"))
    made: Site = getattr(sites, name)(hosts, *arguments)
    with made.stopped_at_the_end():
        yield made


def pid_outside(site: Site, text: str) -> int:
    """The process on the login host whose command line has this text, as pids are outside."""
    found = [pid for pid, line in site.hosts.processes(site.login).items() if text in line and "guard" not in line]
    assert len(found) == 1, site.hosts.processes(site.login)
    return found[0]


def left_running(site: Site) -> list[str]:
    """Processes on all hosts, and jobs. Files need a `gc`."""
    return [line for line in site.remains() if "process" in line or line.startswith("job ")]


def wait_until_nothing_runs(site: Site) -> None:
    until(lambda: not left_running(site), GONE_SECONDS, lambda: "still there:\n" + "\n".join(left_running(site)))


def collect(site: Site) -> None:
    """`gc` removes the files, says what it did, and finds nothing the second time."""
    site.ipclusterz("gc")
    until(lambda: not site.remains(), 10, lambda: "\n".join(site.remains()))
    assert site.ipclusterz("gc")["found"] == []


def test_the_launcher_is_killed(site: Site) -> None:
    kill_the_launcher(site)


@pytest.mark.parametrize("site", OTHERS, indirect=True)
def test_another_launcher_is_killed(site: Site) -> None:
    kill_the_launcher(site)


def kill_the_launcher(site: Site) -> None:
    report = site.start(4, profile=LEASE_TABLE)
    site.hosts.exec(site.login, "kill", "-KILL", str(report["launcher_pid"]))
    wait_until_nothing_runs(site)
    collect(site)


@pytest.mark.parametrize("site", [SLURM], indirect=True)
@pytest.mark.parametrize("guard", ["guard", "no-guard"])
def test_the_launcher_is_killed_while_its_job_waits(site: Site, guard: str) -> None:
    profile = site.write_profile('[batch]\npartition = "closed"\n')
    command = [IPCLUSTERZ, "-n", "4", "--profile", profile, "--cluster", site.cluster]
    with site.popen(*command, stderr=subprocess.PIPE) as starting:
        assert starting.stderr is not None
        # Said of a job that is in the record.
        said = ""
        while "is pending" not in said:
            line = starting.stderr.readline()
            assert line, said
            said += line
        assert len(slurm.live_jobs(site.hosts)) == 1
        for pid, line in site.hosts.processes(site.login).items():
            if guard == "no-guard" or "guard" not in line:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    if guard == "no-guard":
        assert len(slurm.live_jobs(site.hosts)) == 1, "it would begin some day for nobody"
        site.ipclusterz("gc")
    wait_until_nothing_runs(site)
    collect(site)


@contextlib.contextmanager
def tunnel(site: Site, where: int, *arguments: str) -> Iterator[int]:
    """A tunnel to the login host that is open on another one; its pid. Killed, and not asked to end, afterwards."""
    before = site.hosts.processes(where)
    command = [IPCLUSTERZ, "tunnel", "root@head", "--cluster", site.cluster, "--json", *arguments]
    with site.hosts.popen(where, command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["cluster"] == site.cluster
        (pid,) = (
            pid
            for pid, line in site.hosts.processes(where).items()
            if pid not in before and line.startswith(str(IPCLUSTERZ))
        )
        try:
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("site", SSH, indirect=True)
def test_tunnels_are_killed(site: Site, request: pytest.FixtureRequest) -> None:
    # Started on the login host, so that the engine needs no host to itself.
    site.start(1, profile=LEASE_TABLE)
    backend, where = request.node.callspec.params["site"][1][0], 3
    there = Site(site.hosts, "", login=where, cluster="lab")

    def states() -> dict[str | None, str]:
        return {tunnel["name"]: tunnel["state"] for tunnel in there.ipclusterz("list")["tunnels"]}

    with tunnel(site, where, "--backend", backend, "--as", "lab"), tunnel(site, where, "--backend", backend):
        assert states() == {"lab": "open", None: "open"}
        status = there.status()
        assert (status["state"], status["tunnel"]) == ("tunnel", {"host": "root@head", "cluster": site.cluster})
        assert len(status["controller"]["engines"]) == 1
        stop, again = ("stop", "--cluster", "lab"), ("tunnel", "root@head", "--as", "lab")
        for command, code in ((stop, 3), (again, 4)):
            done = there.run(IPCLUSTERZ, *command)
            assert done.returncode == code, done.stderr
            assert f'a tunnel to cluster "{site.cluster}" on root@head' in done.stderr
        assert there.ipclusterz("gc")["found"] == []
    # Whatever `ssh` they had went with them.
    until(lambda: not site.hosts.processes(where), 10, lambda: str(site.hosts.processes(where)))
    assert states() == {"lab": "stale", None: "stale"}
    left = [line for line in site.remains() if line.startswith("n3: ")]
    assert any(line.endswith("clusters/lab/client.json") for line in left)
    found = there.ipclusterz("gc", "--dry-run")["found"]
    assert [line for line in site.remains() if line.startswith("n3: ")] == left
    assert there.ipclusterz("gc")["found"] != []
    assert not [line for line in site.remains() if line.startswith("n3: ")], found
    assert there.ipclusterz("gc")["found"] == []


@pytest.mark.parametrize("site", [SSH[0]], indirect=True)
def test_the_name_of_a_killed_tunnel_is_free(site: Site) -> None:
    site.start(1, profile=LEASE_TABLE)
    there = Site(site.hosts, "", login=3, cluster="lab")
    with tunnel(site, 3, "--as", "lab"):
        refused = there.run(IPCLUSTERZ, "-n", "1", "--cluster", "lab")
        assert refused.returncode == 4, refused.stderr
        assert '"lab" is no cluster but a tunnel to' in refused.stderr
    # Free for a cluster, and for another tunnel; neither finds anything of the one before.
    there.ipclusterz("start", "-n", "1", "--daemonize")
    assert there.status()["state"] == "running"
    assert there.ipclusterz("list")["tunnels"] == []
    there.stop()
    with tunnel(site, 3, "--as", "lab"):
        pass
    with tunnel(site, 3, "--as", "lab") as pid:
        until(lambda: there.status()["state"] == "tunnel", 10)
        os.kill(pid, signal.SIGTERM)
        until(lambda: not site.hosts.processes(3), 10, lambda: str(site.hosts.processes(3)))
        left = [line for line in site.remains() if line.startswith("n3: ")]
        assert not left, left


def test_the_controller_is_killed(site: Site) -> None:
    report = site.start(4, profile=LEASE_TABLE + "[controller]\nrestart = false\n")
    site.hosts.exec(site.login, "kill", "-KILL", str(report["controller_pid"]))
    wait_until_nothing_runs(site)
    collect(site)


def test_launcher_controller_and_guard_are_killed_at_once(site: Site) -> None:
    site.start(4, profile=LEASE_TABLE)
    for pid in site.hosts.processes(site.login):
        # One may end with another.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # Nobody is left on this host: the engines end by themselves, and gc cancels a job that outlives them.
    until(lambda: not [line for line in left_running(site) if "ipclusterz.engine" in line], GONE_SECONDS)
    site.ipclusterz("gc")
    wait_until_nothing_runs(site)
    collect(site)


def test_the_login_host_is_cut_off(site: Site) -> None:
    site.start(4, profile=LEASE_TABLE)
    site.hosts.cut(site.login)
    others = [index for index in range(len(site.hosts.names)) if index != site.login]
    engines = lambda: [  # noqa: E731
        line for index in others for line in site.hosts.processes(index).values() if "ipclusterz.engine" in line
    ]
    assert len(engines()) >= 4
    until(lambda: not engines(), GONE_SECONDS, lambda: "\n".join(engines()))
    site.hosts.mend(site.login)
    site.stop()
    wait_until_nothing_runs(site)


def test_the_login_host_crashes_and_comes_back(site: Site) -> None:
    site.start(4, profile=LEASE_TABLE)
    if site.hosts.slurm:
        # What is tested is not what Slurm forgets.
        slurm.save_state(site.hosts)
    site.hosts.kill(site.login)
    site.hosts.boot(site.login)
    if not isinstance(site.hosts, VirtualHosts) or not site.hosts.shared:
        # The host's home went with it, and so did every record; the engines must go by themselves.
        wait_until_nothing_runs(site)
        return
    until(lambda: site.run("true").returncode == 0, 10)
    site.ipclusterz("gc")
    wait_until_nothing_runs(site)
    collect(site)


def test_stop_after_a_crash_says_what_it_found(site: Site) -> None:
    report = site.start(4, profile=LEASE_TABLE)
    site.hosts.exec(site.login, "kill", "-KILL", str(report["launcher_pid"]))

    def status_of_stop() -> int:
        try:
            site.stop()
        except CommandFailed as failed:
            return failed.status
        return 0

    # While the guard is cleaning up, `stop` says so (4). Whoever does it, then there is nothing (3).
    until(lambda: status_of_stop() == 3, GONE_SECONDS)
    wait_until_nothing_runs(site)
    collect(site)
