"""The launcher's host is gone, and somebody on another host that shares the folder ends what it has left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sites
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import IPCLUSTERZ, CommandFailed, Site

pytestmark = pytest.mark.timeout(180)

# The launcher's host, which has no engines.
LOGIN = 3
NODES = '[batch]\ndirectives = ["--exclude=n3"]\n'


@pytest.fixture
def site(hosts: VirtualHosts) -> Iterator[Site]:
    """A second login host, from which clusters are started, and which dies."""
    made = sites.batch(hosts, more=NODES)
    made.login = LOGIN
    with made.stopped_at_the_end():
        yield made
        # What is looked for afterwards is looked for from a host that lives.
        if not hosts.is_up(LOGIN):
            hosts.boot(LOGIN)


def lose_the_host(site: Site, *, long_ago: bool = True) -> str:
    """The job that is left, after the launcher's host has died and the user works on another one."""
    (line,) = slurm.live_jobs(site.hosts)
    site.hosts.kill(LOGIN)
    site.login = 0
    if long_ago:
        age_the_sign(site)
    return line.split()[0]


def age_the_sign(site: Site) -> None:
    """The last sign of life was a minute ago."""
    (sign,) = (site.hosts.home / ".local/state/ipclusterz/clusters" / site.cluster).glob("alive")
    site.hosts.exec(0, "touch", "-d", "1 minute ago", str(sign))


def test_a_start_under_the_same_name_takes_over(site: Site, hosts: VirtualHosts) -> None:
    site.start(4)
    # While the launcher lives, nobody takes its cluster, and stopping it is the controller's business.
    site.login = 0
    with pytest.raises(CommandFailed) as caught:
        site.start(2)
    assert caught.value.status == 4
    assert "is running on n3" in caught.value.stderr
    assert "its controller answers" in caught.value.stderr
    assert site.ipclusterz("gc")["found"] == []
    assert [cluster["state"] for cluster in site.ipclusterz("list")["clusters"]] == ["elsewhere"]
    site.login = LOGIN
    job = lose_the_host(site, long_ago=False)
    command = [IPCLUSTERZ, "start", "-n", "2", "--profile", site.write_profile(), "--daemonize"]
    done = site.run(*command, "--cluster", site.cluster)
    assert done.returncode == 0, done.stderr
    assert f'cluster "{site.cluster}" of n3 is taken over: its launcher gives no sign of life' in done.stderr
    assert f"ended: Slurm job {job}" in done.stderr
    assert "not looked at: process " in done.stderr
    (line,) = slurm.live_jobs(hosts)
    assert line.split()[0] != job
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(2), 42)


def test_what_is_left_is_ended_from_another_host(site: Site, hosts: VirtualHosts) -> None:
    site.start(4)
    job = lose_the_host(site)
    found = site.ipclusterz("gc")["found"]
    (remains,) = (each for each in found if each["cluster"] == site.cluster)
    assert remains["ended"] == [f"Slurm job {job}"]
    assert remains["problem"] is None
    assert remains["not_looked_at"]
    assert all(process.endswith(" on n3") for process in remains["not_looked_at"])
    assert not slurm.live_jobs(hosts)
    assert site.ipclusterz("list")["clusters"] == []


def test_a_job_that_waits_is_shown_and_ended_by_force(site: Site, hosts: VirtualHosts) -> None:
    profile = site.write_profile('[batch]\npartition = "closed"\n')
    with site.popen(IPCLUSTERZ, "start", "-n", "2", "--profile", profile, "--cluster", site.cluster) as starting:
        until(lambda: len(slurm.live_jobs(hosts)) == 1, 40)
        until(lambda: _left(site) == [], 20)
        job = lose_the_host(site)
        starting.wait(20)
    until(lambda: _left(site) == [f"Slurm job {job}"], 60, lambda: str(site.ipclusterz("list")))
    with pytest.raises(CommandFailed) as caught:
        site.stop()
    assert caught.value.status == 7
    assert "ipclusterz stop --force" in caught.value.stderr
    assert "remove" not in caught.value.stderr, "the record holds what ends the job"
    assert len(slurm.live_jobs(hosts)) == 1
    for command in ("status", "wait", "scale"):
        with pytest.raises(CommandFailed) as caught:
            site.ipclusterz(command, *(["+1"] if command == "scale" else ["--timeout", "2"]))
        assert "gives no sign of life" in caught.value.stderr, command
        assert caught.value.status == 7 or command == "wait", command
    (stopped,) = site.ipclusterz("stop", "--force")["stopped"]
    assert stopped["forced"]
    assert stopped["ended"] == [f"Slurm job {job}"]
    assert not slurm.live_jobs(hosts)


def test_a_launcher_that_was_held_up_leaves_the_new_owner_alone(site: Site, hosts: VirtualHosts) -> None:
    report = site.start(2)
    held = [str(pid) for pid in (report["launcher_pid"], report["controller_pid"])]
    hosts.exec(LOGIN, "kill", "-STOP", *held)
    age_the_sign(site)
    site.login = 0
    new = site.start(2)
    assert new["run_id"] != report["run_id"]
    # The launcher last: it ends the other at once.
    hosts.exec(LOGIN, "kill", "-CONT", *reversed(held))
    until(lambda: not hosts.processes(LOGIN), 30, lambda: str(hosts.processes(LOGIN)))
    assert [cluster["state"] for cluster in site.ipclusterz("list")["clusters"]] == ["running"]
    assert len(slurm.live_jobs(hosts)) == 1
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(2), 42)


def _left(site: Site) -> list[str] | None:
    clusters = site.ipclusterz("list")["clusters"]
    return clusters[0]["left"] if clusters else None
