"""No orphan ever: whatever is killed or cut off, after the lease there is no engine, tunnel, job or file left.

The lease is a few seconds here. Each test runs through SSH, mpiexec and Slurm: what ends an engine that nobody watches
any more is the engine itself, and what ends a job or another host's process is a guard or `ipclusterz gc`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import sites
import slurm
from helpers import until
from hosts import VirtualHosts
from sites import CommandFailed, Site

LEASE = 4
# Silence is noticed after 9 s, and then the lease begins.
GONE_SECONDS = 45.0

pytestmark = pytest.mark.timeout(150)

LEASE_TABLE = f"[engines]\nlease = {LEASE}\n"


def _on(name: str, *arguments: str) -> Any:
    return pytest.param((name, arguments), id="-".join((name, *arguments)))


@pytest.fixture(
    params=[
        _on("ssh", "libssh2"),
        _on("ssh", "openssh"),
        _on("mpiexec", "openmpi"),
        _on("batch", "slurm"),
    ]
)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Hosts with engines elsewhere than the controller."""
    name, arguments = request.param
    hosts = request.getfixturevalue("separate" if name == "ssh" else "hosts")
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
    report = site.start(4, profile=LEASE_TABLE)
    site.hosts.exec(site.login, "kill", "-KILL", str(report["launcher_pid"]))
    wait_until_nothing_runs(site)
    collect(site)


def test_the_controller_is_killed(site: Site) -> None:
    report = site.start(4, profile=LEASE_TABLE)
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
