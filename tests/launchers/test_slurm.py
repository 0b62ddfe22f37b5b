"""What is special about engines in jobs of Slurm: waiting, trouble with jobs and nodes, time limits, elastic blocks."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sites
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import IPCLUSTERZ, CommandFailed, Site

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def site(hosts: VirtualHosts) -> Iterator[Site]:
    """The head, from which jobs are submitted."""
    made = sites.batch(hosts)
    with made.stopped_at_the_end():
        yield made


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


# -- trouble ----------------------------------------------------------------------------------------------------


def test_two_ranks_say_hello_inside_an_allocation(hosts: VirtualHosts) -> None:
    outside = sites.batch(hosts, "slurm-mpi", sites.mpi4py_environment(hosts, "openmpi"))
    profile = outside.write_profile()
    for command in (["doctor", "--profile", profile], ["profile", "check", profile]):
        status, found = outside.checks(*command)
        assert (status, found["MPI"]["level"]) == (0, "skipped"), found
        assert f"run `ipclusterz profile check {profile}` inside an allocation" in found["MPI"]["message"]
    with sites.allocation(hosts) as inside:
        status, found = inside.checks("profile", "check", profile)
    assert status == 0, found
    assert found["MPI"]["level"] == "ok"
    assert "two ranks met in one world of Open MPI" in found["MPI"]["message"]


def test_a_job_that_somebody_cancels(site: Site, hosts: VirtualHosts) -> None:
    site.start(4)
    job = only_job(hosts)
    with site.prompt() as prompt:
        prompt.do(user.begin_to_sleep, 1)
        hosts.exec(0, "scancel", job)
        assert prompt.do(user.how_it_ended).startswith("EngineError: engine 1")
        assert prompt.do(user.wait_for_ids, []) == []
    until(lambda: f"job {job}" in site.launcher_log() and "cancelled" in site.launcher_log(), 20, site.launcher_log)


def test_a_job_that_fails_shows_the_end_of_its_output(site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(4, profile='[engines]\nsetup = ["echo nothing works here >&2", "exit 3"]\n')
    assert caught.value.status == 5
    assert "nothing works here" in caught.value.stderr


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


def only_job_is(hosts: VirtualHosts, job: str) -> bool:
    return [line.split()[0] for line in slurm.live_jobs(hosts)] == [job]


# -- elastic blocks ---------------------------------------------------------------------------------------------

BLOCKS = """
[batch]
blocks = { min = 1, max = 3, nodes = 1 }
engines_per_node = 2
idle_time = 3
poll = 1
"""


def test_blocks_come_and_go_with_the_work(site: Site, hosts: VirtualHosts) -> None:
    site.start(2, profile=BLOCKS)
    assert len(slurm.live_jobs(hosts)) == 1
    with site.prompt() as prompt:
        prompt.do(user.submit_balanced, 60, 0.5)
        until(lambda: len(slurm.live_jobs(hosts)) == 3, 30, lambda: str(slurm.live_jobs(hosts)))
        until(lambda: len(site.engines()) == 6, 30)
        until(lambda: prompt.do(user.balanced_done) == 60, 40)
        until(lambda: len(slurm.live_jobs(hosts)) == 1, 40, lambda: str(slurm.live_jobs(hosts)))
        until(lambda: len(site.engines()) == 2, 20)
        assert len(prompt.do(user.answers)) == 2


def test_without_work_there_need_be_no_job(site: Site, hosts: VirtualHosts) -> None:
    # How many engines are asked for plays no part.
    report = site.start(2, profile=BLOCKS.replace("min = 1", "min = 0"))
    assert report["engines"] == []
    assert slurm.live_jobs(hosts) == []
    with site.prompt() as prompt:
        # Calls that find no engine wait for one; a block has two.
        prompt.do(user.submit_balanced, 2)
        until(lambda: len(slurm.live_jobs(hosts)) == 1, 30, lambda: str(slurm.live_jobs(hosts)))
        until(lambda: prompt.do(user.balanced_done) == 2, 40, site.launcher_log)
        # The block goes when it is idle, and comes back for the next calls.
        until(lambda: not slurm.live_jobs(hosts), 40, lambda: str(slurm.live_jobs(hosts)))
        assert prompt.do(user.wait_for_ids, []) == []
        prompt.do(user.submit_balanced, 2)
        until(lambda: prompt.do(user.balanced_done) == 2, 40, site.launcher_log)


def test_blocks_that_cannot_work_do_not_flood_the_queue(site: Site, hosts: VirtualHosts) -> None:
    before = slurm.submit_times(hosts)
    broken = '[engines]\nsetup = ["echo nothing works here", "exit 3"]\n'
    site.start(2, profile=sites.merged(BLOCKS.replace("min = 1", "min = 0"), broken))
    with site.prompt() as prompt:
        prompt.do(user.submit_balanced, 20)

        def submitted() -> list[float]:
            return sorted(time for job, time in slurm.submit_times(hosts).items() if job not in before)

        # Three at first, for nothing is known then, and one after the other from there on.
        until(lambda: len(submitted()) == 8, 80, site.launcher_log)
        times = submitted()
    assert times[-1] - times[-2] >= 3, times
    said = site.launcher_log()
    assert said.count("a job ended before its engines had registered") == 1, said
    assert "exit code 3" in said
    assert "  nothing works here" in said


@pytest.mark.parametrize(
    ("flavour", "tried", "works"),
    [("mpich", "pmix", "MPICH wants --mpi=pmi2"), ("openmpi", "none", "Open MPI wants --mpi=pmix"),
     ("mpich", None, "MPICH wants --mpi=pmi2")],
)  # fmt: skip
@pytest.mark.parametrize("where", ["submitted", "inside"])
def test_ranks_that_are_alone_are_refused_with_what_would_work(
    hosts: VirtualHosts, flavour: str, tried: str | None, works: str, where: str
) -> None:
    option = [f"--mpi={tried}"] if tried else []
    start = ["srun", *option, "--ntasks={count}", "--kill-on-bad-exit=0", "--overlap"]
    more = sites.merged(sites.mpi4py_environment(hosts, flavour), f"[queue]\nstart = {json.dumps(start)}\n")
    with contextlib.ExitStack() as stack:
        made = sites.batch(hosts, "slurm-mpi", more)
        if where == "inside":
            made.env = stack.enter_context(sites.allocation(hosts)).env
        stack.enter_context(made.stopped_at_the_end())
        with pytest.raises(CommandFailed) as caught:
            made.start(4)
    assert caught.value.status == 5
    said = caught.value.stderr
    assert f"srun was given --mpi={tried}; " in said if tried else "srun was given no --mpi, so that" in said, said
    assert "`srun --mpi=list` offers " in said
    assert works in said
    assert "set it in queue.start" in said


# -- inside an allocation ---------------------------------------------------------------------------------------

ANALYSIS = """
import socket, sys
import ipclusterz as ipz

rc = ipz.Client()
hosts = rc[:].apply_sync(socket.gethostname)
print(len(rc.ids), *sorted(set(hosts.values())))
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 7])
def test_run_ends_with_its_programs_code(site: Site, hosts: VirtualHosts, code: int) -> None:
    hosts.write(0, hosts.home / "analysis.py", ANALYSIS)
    profile = site.write_profile("[batch]\nengines_per_node = 4\n")
    run = f"ipclusterz run -n 12 --profile {profile} -- {sys.executable} analysis.py {code}"
    submit = ["sbatch", "--parsable", "--wait", "-N3", "--ntasks-per-node=4", "--output=run.out", f"--wrap={run}"]
    done = site.run(*submit)
    said = hosts.read(0, hosts.home / "run.out")
    assert done.returncode == code, said
    assert "12 n1 n2 n3" in said


def test_run_stops_its_engines_when_it_is_cancelled(site: Site, hosts: VirtualHosts) -> None:
    profile = site.write_profile("[batch]\nengines_per_node = 4\n")
    run = f"ipclusterz run -n 12 --profile {profile} -- sleep 65"
    submit = ["sbatch", "--parsable", "-N3", "--ntasks-per-node=4", "--output=run.out", f"--wrap={run}"]
    job = site.run(*submit).stdout.strip()
    until(lambda: any("sleep 65" in line for line in hosts.processes(1).values()), 40)
    hosts.exec(0, "scancel", job)
    until(lambda: not any(hosts.processes(index) for index in (1, 2, 3)), 20)


# -- scripts/slurm ----------------------------------------------------------------------------------------------

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts/slurm"

REPORT = """
import json, os, socket
import ipclusterz as ipz

names = ["CUDA_VISIBLE_DEVICES", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"]
rc = ipz.Client()
seen = rc[:].apply_sync(lambda names: [socket.gethostname()] + [os.environ.get(name) for name in names], names)
report = {"engines": list(seen.values()), "task": os.environ.get("SLURM_ARRAY_TASK_ID")}
with open(f"report-{report['task'] or 0}.json", "w") as file:
    json.dump(report, file)
"""


def submitted(site: Site, script: str, **variables: str) -> list[dict[str, list[list[str | None]]]]:
    """Submit one of the ready scripts as it is, wait for its end, and return what its program saw."""
    hosts = site.hosts
    hosts.write(0, hosts.home / "analysis.py", REPORT)
    for old in hosts.home.glob("report-*.json"):
        old.unlink()
    done = site.run("sbatch", "--parsable", "--wait", SCRIPTS / script, env=variables)
    outputs = "\n".join(file.read_text() for file in hosts.home.glob("ipclusterz*.out"))
    assert done.returncode == 0, done.stderr + outputs
    return [json.loads(file.read_text()) for file in sorted(hosts.home.glob("report-*.json"))]


def test_script_for_one_node(site: Site) -> None:
    (report,) = submitted(site, "single-node.sbatch")
    assert len(report["engines"]) == 4
    assert len({host for host, *_ in report["engines"]}) == 1


def test_script_for_several_nodes(site: Site) -> None:
    (report,) = submitted(site, "multi-node.sbatch")
    assert len(report["engines"]) == 8
    assert len({host for host, *_ in report["engines"]}) == 2


def test_script_for_mpi(site: Site) -> None:
    (report,) = submitted(site, "mpi.sbatch")
    assert [rank for *_, rank in report["engines"]] == [str(rank) for rank in range(8)]


@pytest.mark.parametrize("flavour", ["openmpi", "mpich"])
def test_a_program_of_the_script_for_mpi(site: Site, hosts: VirtualHosts, flavour: str) -> None:
    # What a site puts into a user's profile: a library, and what srun speaks with it.
    mpi = {"openmpi": "pmix", "mpich": "pmi2"}[flavour]
    start = f'start = ["srun", "--mpi={mpi}", "--ntasks={{count}}", "--kill-on-bad-exit=0", "--overlap"]'
    environment = sites.mpi4py_environment(hosts, flavour)
    environment += f'PYTHONPATH = "{SCRIPTS.parents[1] / "target/mpi-bridge" / flavour}"\n'
    profile = hosts.home / "my-mpi.toml"
    hosts.write(0, profile, f'extends = "slurm-mpi"\n[queue]\n{start}\n{environment}')
    program = f"{sys.executable} {SCRIPTS / 'mpi_analysis.py'} 100003"
    for old in hosts.home.glob("ipclusterz-mpi-*.out"):
        old.unlink()
    script = SCRIPTS / "mpi.sbatch"
    done = site.run("sbatch", "--parsable", "--wait", script, env={"PROGRAM": program, "PROFILE": str(profile)})
    (output,) = (file.read_text() for file in hosts.home.glob("ipclusterz-mpi-*.out"))
    assert done.returncode == 0, done.stderr + output
    assert "8 ranks, 100003 numbers, mean 0.000000, deviation 1.000000\n" in output
    assert re.search(r"^largest (\S+), and to every rank \1$", output, re.MULTILINE), output


def test_script_for_gpus(site: Site) -> None:
    (report,) = submitted(site, "gpu.sbatch")
    assert len({host for host, *_ in report["engines"]}) == 2
    seen = [(host, devices) for host, devices, *_ in report["engines"]]
    assert len(set(seen)) == 4, "each engine has a GPU of its own"
    assert {devices for _, devices in seen} == {"0", "1"}


def test_script_for_an_array(site: Site) -> None:
    reports = submitted(site, "array.sbatch")
    assert [report["task"] for report in reports] == ["0", "1", "2"]
    assert [len(report["engines"]) for report in reports] == [2, 2, 2]


def test_script_for_a_cluster_to_attach_to(site: Site, hosts: VirtualHosts) -> None:
    job = site.run("sbatch", "--parsable", SCRIPTS / "long-lived-controller.sbatch").stdout.strip()
    site.cluster = f"job-{job}"
    site.ipclusterz("wait", "-n", "8", "--timeout", "60")
    for _ in range(2):
        # Attached, gone, and back again.
        with site.prompt() as prompt:
            assert prompt.do(user.answers) == dict.fromkeys(range(8), 42)
    hosts.exec(0, "scancel", "--batch", "--signal=TERM", job)
    until(lambda: slurm.job_states(hosts, job) == {"COMPLETED"}, 20, lambda: str(slurm.jobs(hosts)))


_PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
