"""What is special about engines in jobs of Slurm: waiting, trouble with jobs and nodes, time limits."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest
import sites
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import IPCLUSTERZ, CommandFailed, Site

pytestmark = pytest.mark.timeout(120)


def only_job(hosts: VirtualHosts) -> str:
    (line,) = slurm.live_jobs(hosts)
    return line.split()[0]


def test_one_line_has_a_login_host_do_it(hosts: VirtualHosts) -> None:
    # n3 plays a machine outside, whose clusters are in a folder of its own.
    made = sites.batch(hosts, more='[ssh]\ncontroller = "head"\n')
    made.login = 3
    made.env = {"IPCLUSTERZ_HOME": str(hosts.home / "outside")}
    # What a site puts into the profile of every user.
    rc = hosts.home / ".bashrc"
    hosts.write(0, rc, f"export SLURM_CONF={hosts.folder}/etc/slurm.conf\n")
    try:
        with made.stopped_at_the_end():
            assert made.start(4)["host"] == "head"
            assert any("ipclusterz controller" in line for line in hosts.processes(0).values())
            assert only_job(hosts)
            with made.prompt() as prompt:
                assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
            made.stop()
            until(lambda: not slurm.live_jobs(hosts), 20, lambda: str(slurm.live_jobs(hosts)))
    finally:
        hosts.exec(0, "rm", rc)


# -- in the queue -----------------------------------------------------------------------------------------------


def test_why_a_job_waits_is_said(site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(4, profile='[batch]\npartition = "closed"\nqueue_timeout = 3\n')
    assert caught.value.status == 5
    assert "the partition is down" in caught.value.stderr
    assert slurm.live_jobs(site.hosts) == []


@pytest.mark.parametrize(
    ("count", "batch", "why"),
    [
        (2, 'partition = "closed"', "the partition is down"),
        (2, 'partition = "brief"\ntime_limit = "00:10:00"', "its time limit is longer than the partition's"),
        (9, "nodes = 9", "more nodes than the partition allows or has"),
    ],
)
def test_a_job_that_cannot_start_is_not_waited_for(site: Site, count: int, batch: str, why: str) -> None:
    profile = f"[batch]\n{batch}\n"
    with pytest.raises(CommandFailed) as caught:
        site.start(count, "--strict", profile=profile)
    assert caught.value.status == 5
    said = caught.value.stderr
    # Slurm may not know better yet.
    vague = "the partition cannot give what it asks for"
    assert re.search(f"could not be started: job \\d+ cannot start as things are: ({why}|{vague}); ", said), said
    assert "hint: ask for less or for another partition" in said, said
    assert slurm.live_jobs(site.hosts) == []
    # Otherwise it is: somebody may change something.
    with pytest.raises(CommandFailed) as caught:
        site.start(count, profile=f"{profile}queue_timeout = 4\n")
    said = caught.value.stderr
    assert f"is pending and cannot start as things are: {why}; " in said, said
    assert f"in the queue and cannot start as things are: {why}" in said, said
    assert slurm.live_jobs(site.hosts) == []


def test_a_job_that_waits_for_others_starts_when_they_are_done(site: Site, hosts: VirtualHosts) -> None:
    with hosts.popen(0, ["salloc", "--quiet", "--exclusive", "-N3", "sh", "-c", "echo in; read _"], **_PIPES) as others:
        assert others.stdin is not None
        assert others.stdout is not None
        assert others.stdout.readline() == "in\n"
        starting = site.popen(
            IPCLUSTERZ, "start", "-n", "4", "--profile", site.write_profile(), "--daemonize", "--cluster", site.cluster,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert starting.stderr is not None
        with starting, starting.stderr:
            said = ""
            while "waiting for resources" not in said and "other jobs" not in said:
                line = starting.stderr.readline()
                assert line, said
                said += line
            others.stdin.close()
            assert starting.wait(60) == 0, said + starting.stderr.read()
    assert len(site.engines()) == 4


def test_calls_wait_for_a_job_that_is_pending(site: Site, hosts: VirtualHosts) -> None:
    with hosts.popen(0, ["salloc", "--quiet", "--exclusive", "-N3", "sh", "-c", "echo in; read _"], **_PIPES) as others:
        assert others.stdin is not None
        assert others.stdout is not None
        assert others.stdout.readline() == "in\n"
        start = ["start", "-n", "4", "--profile", site.write_profile(), "--daemonize", "--cluster", site.cluster]
        with site.popen(IPCLUSTERZ, *start) as starting:
            until(lambda: "is pending" in str(_expected(site)), 30)
            with site.prompt() as prompt:
                prompt.do(user.submit_balanced, 20)
                begun = site.status()["controller"]["uptime"]
                # Without a word of the launcher, ten seconds are all.
                until(lambda: site.status()["controller"]["uptime"] > begun + 12, 30)
                assert prompt.do(user.balanced_done) == 0
                said = prompt.do(user.said_while_waiting, 6)
                assert said.startswith("ipclusterz: there is no engine yet: engines 0 to 3: job "), said
                assert "is pending" in said
                others.stdin.close()
                assert starting.wait(60) == 0
                until(lambda: prompt.do(user.balanced_done) == 20, 30)


def _expected(site: Site) -> str:
    """What the controller says of engines that are to come, once there is one."""
    done = site.run(IPCLUSTERZ, "status", "--cluster", site.cluster, "--json")
    status = json.loads(done.stdout) if done.returncode == 0 else {}
    return str((status.get("controller") or {}).get("expected"))


def test_calls_fail_at_once_when_no_job_is_to_come(site: Site, hosts: VirtualHosts) -> None:
    site.start(2)
    with site.prompt() as prompt:
        (job,) = [line.split()[0] for line in slurm.live_jobs(hosts)]
        hosts.exec(0, "scancel", job)
        until(lambda: not site.engines(), 60, site.launcher_log)
        said = prompt.do(user.lost_without_engines)
    assert "there is no engine, and none is to come: " in said, said
    assert f"job {job}" in said, said


def test_why_more_engines_do_not_come_is_said(site: Site, hosts: VirtualHosts) -> None:
    site.start(2)
    hosts.exec(0, "scontrol", "update", "partitionname=debug", "state=down")
    try:
        with pytest.raises(CommandFailed) as caught:
            site.ipclusterz("scale", "+2", "--timeout", "8")
        assert caught.value.status == 6
        assert caught.value.stderr.count("the partition is down") > 1, "in a line of progress, and in the error"
        sets = site.status()["progress"]["sets"]
        assert [found["state"] for found in sets] == ["running", "waiting"]
        assert only_waiting(hosts) in sets[1]["said"]
        shown = site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout
        assert "2 of 4 wanted engines are not there yet:\n  engines 2 to 3: job" in shown
        assert "the partition is down" in shown
    finally:
        hosts.exec(0, "scontrol", "update", "partitionname=debug", "state=up")
    assert len(site.ipclusterz("wait", "--engines", "4", "--timeout", "60")["engines"]) == 4
    assert "not there yet" not in site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout


def only_waiting(hosts: VirtualHosts) -> str:
    (line,) = [line for line in slurm.live_jobs(hosts) if "PENDING" in line]
    return line.split()[0]


def test_what_slurm_refuses_is_shown(site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(4, profile='[batch]\npartition = "nonsense"\n')
    assert "invalid partition" in caught.value.stderr.lower()
    assert "hint: batch.partition may be: " in caught.value.stderr
    assert slurm.live_jobs(site.hosts) == []


def test_the_script_can_be_printed_and_is_what_slurm_takes(site: Site, hosts: VirtualHosts) -> None:
    profile = site.write_profile('[batch]\ntime_limit = "00:10:00"\n')
    done = site.run(IPCLUSTERZ, "start", "-n", "4", "--profile", profile, "--cluster", site.cluster, "--print-script")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("#!/bin/bash\n#SBATCH ")
    assert "--time=00:10:00" in done.stdout
    assert slurm.live_jobs(hosts) == []
    hosts.write(0, hosts.home / "printed.sh", done.stdout)
    hosts.exec(0, "sbatch", "--test-only", "printed.sh")


def test_a_profile_is_checked_against_the_queue(site: Site, hosts: VirtualHosts) -> None:
    good = site.run(IPCLUSTERZ, "profile", "check", site.write_profile())
    assert good.returncode == 0, good.stdout + good.stderr
    bad = site.run(IPCLUSTERZ, "profile", "check", site.write_profile('[batch]\npartition = "nonsense"\n'))
    assert bad.returncode != 0
    assert "invalid partition" in (bad.stdout + bad.stderr).lower()
    assert slurm.live_jobs(hosts) == []


# -- in the job -------------------------------------------------------------------------------------------------


def test_engines_of_a_job_have_threads_for_their_cores(site: Site) -> None:
    # A site may set the variable for its login hosts, and Slurm takes the environment there along.
    site.env = {"OMP_NUM_THREADS": "1"}
    profile = """
[batch]
cores_per_engine = 2
[engines]
setup = ["export SEEN_BEFORE=$OMP_NUM_THREADS"]
"""
    site.start(2, profile=profile)
    with site.prompt() as prompt:
        assert list(prompt.do(user.threads_of_openmp).values()) == [("2", "2")] * 2
    site.stop()
    site.env = {"OMP_NUM_THREADS": "3"}
    site.start(2, profile=profile + 'pass_env = ["OMP_*"]\n')
    with site.prompt() as prompt:
        assert list(prompt.do(user.threads_of_openmp).values()) == [("3", "3")] * 2


@pytest.mark.parametrize(("batch", "labelled"), [("", True), ("array = true", False)], ids=["job", "array"])
def test_the_output_of_an_engine_is_found(site: Site, batch: str, labelled: bool) -> None:
    site.start(3, profile=f"[batch]\n{batch}\n")
    # A job of its own.
    site.ipclusterz("scale", "+1")
    with site.prompt() as prompt:
        prompt.do(user.write_to_stdout, "a line of engine")

    def found(engine: int) -> list[str]:
        (log,) = site.ipclusterz("logs", "--engine", str(engine), "-n", "1000")["logs"]
        assert log["name"] == ("job-1" if engine == 3 else "job-0")
        return [line for line in log["lines"] if "a line of engine" in line]

    for engine in (1, 2, 3):
        others = {0, 1, 2} if engine != 3 and not labelled else {engine}
        until(lambda engine=engine: found(engine), 20)  # type: ignore[misc]
        until(lambda e=engine, o=others: set(found(e)) == {f"a line of engine {each}" for each in o}, 20)  # type: ignore[misc]
    last = site.ipclusterz("logs", "--engine", "2", "-n", "1")["logs"][0]["lines"]
    assert len(last) == 1
    with pytest.raises(CommandFailed, match="has no log"):
        site.ipclusterz("logs", "--engine", "9")


# -- trouble ----------------------------------------------------------------------------------------------------


def test_a_job_that_somebody_cancels(site: Site, hosts: VirtualHosts) -> None:
    site.start(4)
    job = only_job(hosts)
    with site.prompt() as prompt:
        prompt.do(user.begin_to_sleep, 1)
        hosts.exec(0, "scancel", job)
        said = prompt.do(user.how_it_ended)
        assert said.startswith("EngineError: engine 1")
        # Whoever is first: the job's output, or the queue.
        assert re.search(r"its job was cancelled: .* CANCELLED AT|job \d+ was cancelled \(CANCELLED\)", said), said
        assert prompt.do(user.wait_for_ids, []) == []
    until(lambda: f"job {job}" in site.launcher_log() and "cancelled" in site.launcher_log(), 20, site.launcher_log)


def test_a_job_that_fails_shows_the_end_of_its_output(site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(4, profile='[engines]\nsetup = ["echo nothing works here >&2", "exit 3"]\n')
    assert caught.value.status == 5
    assert "nothing works here" in caught.value.stderr


def test_setup_runs_on_each_node(site: Site) -> None:
    # "set" stands for what [engines.env] holds.
    setup = 'setup = ["export SEEN_ON=$(hostname)", "export LAB=$LAB-changed"]'
    site.start(4, profile=f'[engines]\n{setup}\n[engines.env]\nLAB = "set"\n')
    with site.prompt() as prompt:
        seen = prompt.do(user.variables, ["SEEN_ON", "LAB"])
        places = {engine: host for engine, (_, host, _) in prompt.do(user.describe).items()}
    assert seen == {engine: [host, "set"] for engine, host in places.items()}
    assert len(set(places.values())) == 2


def test_setup_that_fails_on_one_node_ends_the_start(site: Site, hosts: VirtualHosts) -> None:
    module = "module() { [ ${SLURM_NODEID:-0} = 0 ] || { echo no module $2 here >&2; return 1; }; }"
    setup = f'[engines]\nsetup = ["{module}", "[ -e /nope ] && . /nope", "module load nope"]\ntimeout = 60\n'
    began = time.monotonic()
    with pytest.raises(CommandFailed) as caught:
        site.start(4, profile=setup)
    said = caught.value.stderr
    assert caught.value.status == 5
    assert re.search(r"engines\.setup failed on n[23]: `module load nope` ended with status 1", said), said
    assert "no module nope here" in said, said
    assert "may fail is followed by `|| true`" in said, said
    assert time.monotonic() < began + 40, "it was waited for"
    until(lambda: not slurm.live_jobs(hosts), 20, lambda: str(slurm.live_jobs(hosts)))


STEPS = [f"run: {step}" for step in ("job", "setup", "folder", "/dev/shm", "python", "way back")]


@pytest.mark.parametrize(
    ("more", "failed", "why"),
    [
        ('[engines]\nsetup = ["true"]\n', None, ""),
        ('[engines]\nsetup = ["ls /nope"]\n', "run: setup", "`ls /nope` ended with status 2"),
        (
            '[engines]\nsetup = ["true"]\nwrap = ["/nope/wrap"]\n',
            "run: python",
            "is no working Python (exit status: 127)",
        ),
        (
            '[engines]\nsetup = ["true"]\ntimeout = 12\n[controller]\nadvertise = ["192.0.2.1"]\n',
            "run: way back",
            "controller.advertise",
        ),
    ],
    ids=["works", "setup", "python", "way back"],
)
def test_a_profile_is_tried_on_a_node(site: Site, more: str, failed: str | None, why: str) -> None:
    status, found = site.checks("profile", "check", site.write_profile(more), "--run")
    levels = [found[step]["level"] for step in STEPS]
    if failed is None:
        assert (status, levels) == (0, ["ok"] * len(STEPS)), found
    else:
        before, after = STEPS[: STEPS.index(failed)], STEPS[STEPS.index(failed) + 1 :]
        assert status == 1
        assert levels == ["ok"] * len(before) + ["failed"] + ["skipped"] * len(after), found
        assert why in found[failed]["message"], found
        assert found[failed]["hint"], found
    assert slurm.live_jobs(site.hosts) == []
    folder = site.hosts.home / ".local/state/ipclusterz/clusters"
    assert not list(folder.glob("check-*"))


@pytest.mark.parametrize(("printed", "shown"), [("echo still waiting;", "still waiting"), ("", "job-0.log is empty")])
def test_a_start_that_takes_too_long_shows_the_jobs_output(site: Site, printed: str, shown: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(4, profile=f'[engines]\nsetup = ["{printed} sleep 100"]\ntimeout = 3\n')
    assert caught.value.status == 6
    assert "engines 0, 1, 2, 3 did not register within 3 s" in caught.value.stderr
    assert shown in caught.value.stderr
    assert "engine-0.log" not in caught.value.stderr


def test_a_node_that_crashes(site: Site, hosts: VirtualHosts) -> None:
    site.start(4)
    with site.prompt() as prompt:
        places = {engine: host for engine, (_, host, _) in prompt.do(user.describe).items()}
        # The job's script runs on the first node; with that, the job would be over.
        last = max(places.values())
        lost = {engine for engine, host in places.items() if host == last}
        rest = sorted(set(places) - lost)
        prompt.do(user.begin_to_sleep, max(lost))
        hosts.kill(hosts.index(last))
        assert prompt.do(user.how_it_ended, 40).startswith(f"EngineError: engine {max(lost)}")
        assert prompt.do(user.wait_for_ids, rest) == rest
        assert prompt.do(user.answers) == dict.fromkeys(rest, 42)
        # By itself Slurm gives a node up later, and then the loss is explained.
        hosts.exec(0, "scontrol", "update", f"nodename={last}", "state=down", "reason=test")
        why = f"its node failed: srun: error: Node failure on {last}"
        until(lambda: why in site.launcher_log(), 60, site.launcher_log)
        until(lambda: any(why in loss["how"] for loss in site.status()["controller"]["losses"]), 20)
    site.stop()
    # A job is over for Slurm when each of its nodes has answered.
    hosts.boot(hosts.index(last))
    until(lambda: not slurm.live_jobs(hosts), 60, lambda: str(slurm.live_jobs(hosts)))


@pytest.mark.timeout(180)
def test_the_end_of_a_jobs_time(site: Site, hosts: VirtualHosts) -> None:
    # A minute is the shortest limit there is. Long before its end code is warned, and no more work is given.
    site.start(4, profile='[batch]\ntime_limit = "1"\nwarn_before = 40\ndrain_before = 45\n')
    job = only_job(hosts)
    with site.prompt() as prompt:
        assert len(prompt.do(user.write_when_warned, str(hosts.home / "warned"))) == 4
        until(lambda: len(list(hosts.home.glob("warned.*"))) == 4, 40)
        # Engines drain: what is submitted now waits for others.
        prompt.do(user.submit_balanced, 8)
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
        assert prompt.do(user.balanced_done) == 0
        prompt.do(user.begin_to_fill_memory, 1, 0)
        said = prompt.do(user.how_it_ended, 100, timeout=110)
        assert "its job reached its time limit: " in said or "reached its time limit (TIMEOUT)" in said, said
        assert prompt.do(user.wait_for_ids, [], 100, timeout=110) == []
    until(lambda: slurm.job_states(hosts, job) == {"TIMEOUT"}, 30)
    until(lambda: "time limit" in site.launcher_log(), 20, site.launcher_log)


@pytest.mark.timeout(180)
def test_a_job_is_renewed_before_its_time_is_over(site: Site, hosts: VirtualHosts) -> None:
    site.start(2, profile='[batch]\ntime_limit = "1"\nrenew = true\nwarn_before = 5\ndrain_before = 10\n')
    first = only_job(hosts)
    with site.prompt() as prompt:
        before = {pid for pid, _, _ in prompt.do(user.describe).values()}
        until(lambda: len(slurm.live_jobs(hosts)) == 2, 60, site.launcher_log)
        (second,) = {line.split()[0] for line in slurm.live_jobs(hosts)} - {first}
        # The old engines go when the new ones are there, and there is no moment without any.
        until(lambda: only_job_is(hosts, second), 60, site.launcher_log)
        assert len(prompt.do(user.wait_for_count, 2)) == 2
        after = {pid for pid, _, _ in prompt.do(user.describe).values()}
        assert len(after) == 2
        assert not before & after
    assert slurm.job_states(hosts, first) != {"TIMEOUT"}
    assert "is nearly over: a new job" in site.launcher_log()


def only_job_is(hosts: VirtualHosts, job: str) -> bool:
    return [line.split()[0] for line in slurm.live_jobs(hosts)] == [job]


_PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
