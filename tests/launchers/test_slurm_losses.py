"""Jobs of Slurm that lose engines one by one, that get fewer than they asked for, and that nobody waits for."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from prompt import Prompt
from sites import IPCLUSTERZ, CommandFailed, Site

pytestmark = pytest.mark.timeout(180)

_ARRAY = "[batch]\narray = true\n"


def _kill(site: Site, prompt: Prompt, engine: int) -> None:
    """Kill an engine, and return when the client has seen it go."""
    pid, host, _ = prompt.do(user.describe)[engine]
    (uuid,) = [found["uuid"] for found in site.engines().values() if found["id"] == engine]
    site.hosts.exec(site.hosts.index(host), "kill", "-9", str(pid))
    prompt.do(user.wait_until_gone, [uuid])


@contextlib.contextmanager
def _others(hosts: VirtualHosts, nodes: int) -> Iterator[Any]:
    """Somebody else's job on so many nodes, until its standard input is closed."""
    command = ["salloc", "--quiet", "--exclusive", f"-N{nodes}", "sh", "-c", "echo in; read _"]
    with hosts.popen(0, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as others:
        assert others.stdin is not None
        assert others.stdout is not None
        assert others.stdout.readline() == "in\n"
        yield others.stdin


# -- lost engines -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["", _ARRAY], ids=["job", "array"])
def test_an_engine_comes_back_in_its_job(site: Site, hosts: VirtualHosts, batch: str) -> None:
    site.start(4, "--restart", profile=batch)
    jobs = slurm.live_jobs(hosts)
    with site.prompt() as prompt:
        before = prompt.do(user.describe)
        for _ in range(2):
            _kill(site, prompt, 2)
            assert prompt.do(user.wait_for_ids, [0, 1, 2, 3]) == [0, 1, 2, 3]
        after = prompt.do(user.describe)
    assert {engine for engine in after if after[engine] != before[engine]} == {2}
    assert slurm.live_jobs(hosts) == jobs, "the job is the same"
    losses = site.status()["progress"]["losses"]
    assert [(loss["engines"], loss["how"], loss["then"]) for loss in losses] == [
        ([2], "signal: 9 (SIGKILL)", "started again")
    ] * 2
    site.stop()
    until(lambda: not slurm.live_jobs(hosts), 20, lambda: str(slurm.live_jobs(hosts)))


def test_engines_of_a_lost_node_come_back_in_a_job_of_their_own(site: Site, hosts: VirtualHosts) -> None:
    site.start(4, "--restart")
    with site.prompt() as prompt:
        places = {engine: host for engine, (_, host, _) in prompt.do(user.describe).items()}
        # The job's script runs on the first node; with that, the job would be over.
        last = max(places.values())
        lost = sorted(engine for engine, host in places.items() if host == last)
        hosts.kill(hosts.index(last))
        until(lambda: len(slurm.live_jobs(hosts)) == 2, 90, site.launcher_log)
        assert prompt.do(user.wait_for_ids, [0, 1, 2, 3], 60, timeout=70) == [0, 1, 2, 3]
        after = {engine: host for engine, (_, host, _) in prompt.do(user.describe).items()}
    assert [engine for engine in places if after[engine] == last] == []
    assert {engine for engine in places if after[engine] != places[engine]} == set(lost)
    site.stop()
    hosts.boot(hosts.index(last))
    until(lambda: not slurm.live_jobs(hosts), 60, lambda: str(slurm.live_jobs(hosts)))


def test_a_lost_engine_is_missed_and_another_one_can_be_had(site: Site) -> None:
    site.start(4)
    with site.prompt() as prompt:
        _kill(site, prompt, 2)
        shown = site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout
        assert "wanted 4, there 3: 1 is lost and not started again; `ipclusterz scale 4 --cluster" in shown
        until(lambda: "signal: 9 (SIGKILL)" in str(site.status()["progress"]["losses"]), 20)
        assert site.ipclusterz("scale", "4")["engines"] == 4
        assert len(prompt.do(user.answers)) == 4
        assert "lost and not started again" not in site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout
        _kill(site, prompt, 1)
        scaled = site.ipclusterz("scale", "+1")
        assert (scaled["before"], scaled["wanted"], scaled["engines"]) == (3, 4, 4)


# -- fewer than asked for ---------------------------------------------------------------------------------------


def test_an_array_in_a_busy_queue_is_good_with_fewer(site: Site, hosts: VirtualHosts) -> None:
    cores = slurm.CPUS_PER_NODE
    with _others(hosts, 1) as others:
        started = site.start(3 * cores, "--min", str(2 * cores), profile=_ARRAY)
        assert len(started["engines"]) == 2 * cores
        waiting = f"tasks {2 * cores + 1}-{3 * cores} of job"
        # The queue is asked every second.
        until(lambda: waiting in str([found["said"] for found in site.status()["progress"]["sets"]]), 20)
        shown = site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout
        assert f"{cores} of {3 * cores} wanted engines are not there yet" in shown
        assert waiting in shown
        assert "are pending" in shown
        with site.prompt() as prompt:
            assert len(prompt.do(user.answers)) == 2 * cores
        others.close()
        assert len(site.ipclusterz("wait", "-n", str(3 * cores), "--timeout", "60")["engines"]) == 3 * cores
    assert "not there yet" not in site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout


def test_tasks_that_wait_in_the_queue_have_no_deadline_but_the_queues(site: Site, hosts: VirtualHosts) -> None:
    count = str(3 * slurm.CPUS_PER_NODE)
    with _others(hosts, 1) as others:
        with pytest.raises(CommandFailed) as caught:
            site.start(int(count), profile=_ARRAY + "queue_timeout = 5\n")
        assert "waited too long (batch.queue_timeout): tasks 9-12 of job" in caught.value.stderr
        until(lambda: len(slurm.live_jobs(hosts)) == 1, 20, lambda: str(slurm.live_jobs(hosts)))
        file = site.write_profile(_ARRAY + "[engines]\ntimeout = 4\n")
        start = ["start", "-n", count, "--profile", file, "--daemonize", "--cluster", site.cluster]
        with site.popen(IPCLUSTERZ, *start) as starting:
            until(lambda: len(_sets(site)) == 1 and _sets(site)[0]["ready"] == 8, 30)
            began = _sets(site)[0]["seconds"]
            # Longer than engines.timeout.
            until(lambda: _sets(site)[0]["seconds"] > began + 6, 30)
            others.close()
            assert starting.wait(60) == 0


def _sets(site: Site) -> list[dict[str, Any]]:
    """How far the sets of a cluster are, if it can be asked yet."""
    with contextlib.suppress(CommandFailed):
        return list((site.status()["progress"] or {"sets": []})["sets"])
    return []


# -- nobody waits -----------------------------------------------------------------------------------------------


def test_a_start_that_nobody_waits_for(site: Site, hosts: VirtualHosts) -> None:
    with _others(hosts, 3) as others:
        start = ["start", "-n", "4", "--profile", site.write_profile()]
        accepted = site.ipclusterz(*start, "--no-wait")
        (job,) = [line.split()[0] for line in slurm.live_jobs(hosts) if "PENDING" in line]
        assert (accepted["engines_wanted"], accepted["started"]) == (4, [f"Slurm job {job}"])
        assert site.status()["state"] == "starting"
        others.close()
        assert len(site.ipclusterz("wait", "-n", "4", "--timeout", "60")["engines"]) == 4
    site.stop()


def test_why_a_start_failed_that_nobody_waited_for_is_told_later(site: Site) -> None:
    profile = site.write_profile('[engines]\nsetup = ["echo nothing works here >&2", "exit 3"]\n')
    site.ipclusterz("start", "-n", "4", "--profile", profile, "--no-wait")
    with pytest.raises(CommandFailed, match="nothing works here") as caught:
        site.ipclusterz("wait", "-n", "4", "--timeout", "60")
    assert caught.value.status == 5, caught.value.stderr
    with pytest.raises(CommandFailed, match=r"(?s)ended \d+ s ago: .*nothing works here") as caught:
        site.status()
    assert caught.value.status == 3, caught.value.stderr
    # The next start begins anew.
    site.start(2)
    site.stop()
    with pytest.raises(CommandFailed, match="there is no cluster"):
        site.status()


def test_who_logs_out_keeps_the_place_in_the_queue(site: Site, hosts: VirtualHosts) -> None:
    with _others(hosts, 3) as others:
        start = ["start", "-n", "4", "--profile", site.write_profile(), "--daemonize", "--cluster", site.cluster]
        with site.popen(IPCLUSTERZ, *start, stderr=subprocess.PIPE) as starting:
            until(lambda: any("PENDING" in line for line in slurm.live_jobs(hosts)), 30)
            hosts.exec(0, "sh", "-c", "kill -HUP $(pgrep -f '[-]-daemonize')")
            assert starting.stderr is not None
            said = starting.stderr.read()
            assert starting.wait(20) == 130, said
        assert "hung up; the start goes on in the background" in said
        assert any("PENDING" in line for line in slurm.live_jobs(hosts))
        others.close()
        assert len(site.ipclusterz("wait", "-n", "4", "--timeout", "60")["engines"]) == 4
