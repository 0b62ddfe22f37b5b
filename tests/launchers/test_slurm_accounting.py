"""A Slurm with accounts: what becomes of values of `[batch]` that are not taken, and how it is known how jobs ended."""

from __future__ import annotations

import subprocess

import pytest
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import IPCLUSTERZ, CommandFailed, Site

pytestmark = pytest.mark.timeout(120)

# The queue lists no job that has ended, and nothing but its accounting remembers any.
FORGETFUL = """
[batch]
account = "physics"
[queue]
status = ["squeue", "--noheader", "--jobs={job_ids}", "--format=%F|%T|%r|%S|%N"]
outcome = []
"""


@pytest.mark.parametrize(
    ("batch", "refused", "hint"),
    [
        (
            'account = "phisics"',
            'batch.account = "phisics"',
            'did you mean "physics"? batch.account may be: chemistry, physics, root',
        ),
        (
            'account = "physics"\nqos = "urgent"',
            'batch.qos = "urgent", with batch.account = "physics"',
            "batch.qos may be: normal, short",
        ),
        (
            'account = "physics"\nconstraint = "nonsense"',
            'batch.constraint = "nonsense"',
            "batch.constraint may be: wide",
        ),
        (
            'partition = "debugs"',
            'batch.partition = "debugs"',
            "batch.partition may be: brief, chemists, closed, debug",
        ),
    ],
    ids=["account", "qos", "constraint", "partition"],
)
def test_what_is_refused_is_named_with_what_there_is(
    accounting_site: Site, batch: str, refused: str, hint: str
) -> None:
    profile = f"[batch]\n{batch}\n"
    with pytest.raises(CommandFailed) as caught:
        accounting_site.start(2, profile=profile)
    assert caught.value.status == 5
    said = caught.value.stderr
    assert f"could not be started: Slurm refuses {refused}: `sbatch --parsable " in said, said
    assert "hint: " in said, said
    assert hint in said, said
    status, found = accounting_site.checks("profile", "check", accounting_site.write_profile(profile))
    assert status == 1
    assert found["validate"]["message"].startswith(f"Slurm refuses {refused}: `sbatch --test-only ")
    assert hint in found["validate"]["hint"]
    assert slurm.live_jobs(accounting_site.hosts) == []


def test_a_partition_that_is_not_for_the_account_cannot_be_waited_for(accounting_site: Site) -> None:
    profile = '[batch]\naccount = "physics"\npartition = "chemists"\n'
    with pytest.raises(CommandFailed) as caught:
        accounting_site.start(2, "--strict", profile=profile)
    assert "cannot start as things are: Job's account not permitted to use this partition" in caught.value.stderr
    assert slurm.live_jobs(accounting_site.hosts) == []


def test_a_time_limit_beyond_the_quality_of_service_cannot_be_waited_for(accounting_site: Site) -> None:
    profile = '[batch]\naccount = "physics"\nqos = "short"\ntime_limit = "10"\n'
    with pytest.raises(CommandFailed) as caught:
        accounting_site.start(2, "--strict", profile=profile)
    said = caught.value.stderr
    assert "cannot start as things are: its time limit is longer than its quality of service allows" in said, said


def test_who_cancelled_a_job_is_known_from_accounting(accounting_site: Site) -> None:
    hosts: VirtualHosts = accounting_site.hosts
    for profile in ('[batch]\naccount = "physics"\n', FORGETFUL):
        accounting_site.start(2, profile=profile)
        (job,) = [line.split()[0] for line in slurm.live_jobs(hosts)]
        hosts.exec(0, "scancel", job)
        told = f"job {job} was cancelled (CANCELLED) by root"
        until(lambda told=told: told in accounting_site.launcher_log(), 40, accounting_site.launcher_log)  # type: ignore[misc]
        accounting_site.stop()


def test_how_a_job_ended_that_is_gone_is_known_from_accounting(accounting_site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        accounting_site.start(2, profile=FORGETFUL + '[engines]\nwrap = ["sh", "-c", "exit 3"]\n')
    assert "failed (FAILED), exit code 3" in caught.value.stderr


def test_the_failure_of_a_node_is_known_from_accounting(accounting_site: Site) -> None:
    hosts: VirtualHosts = accounting_site.hosts
    accounting_site.start(2, profile=FORGETFUL)
    hosts.exec(0, "scontrol", "update", "NodeName=n1", "State=DOWN", "Reason=test")
    try:
        told = "failed because a node did (NODE_FAIL)"
        until(lambda: told in accounting_site.launcher_log(), 40, accounting_site.launcher_log)
    finally:
        slurm.resume_nodes(hosts)


def test_a_job_of_accounts_runs_and_completes(accounting_site: Site) -> None:
    assert accounting_site.start(2, profile='[batch]\naccount = "chemistry"\nqos = "normal"\n')
    with accounting_site.prompt() as prompt:
        assert prompt.do(user.answers) == {0: 42, 1: 42}
    done: subprocess.CompletedProcess[str] = accounting_site.run(IPCLUSTERZ, "doctor", "--profile", "profile.toml")
    assert "answers `squeue" in done.stdout, done.stdout + done.stderr
    assert accounting_site.stop()["stopped"][0]["was"] == "running"
