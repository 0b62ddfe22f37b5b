"""The profile `htcondor` on a real HTCondor, whose files take minutes to fetch: `make test-condor`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sites
import user
from helpers import until
from queue_host import HTCondor
from sites import CommandFailed, Site

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def host() -> Iterator[HTCondor]:
    with HTCondor() as host:
        yield host


@pytest.fixture(params=["", "[batch]\narray = true\n"], ids=["job", "array"])
def site(request: pytest.FixtureRequest, host: HTCondor) -> Iterator[Site]:
    made = sites.condor(host, request.param)
    with made.stopped_at_the_end():
        yield made
    host.repair()


def job_ids(site: Site) -> list[str]:
    """Jobs that have not ended, each once."""
    return sorted({line.split()[0] for line in site.hosts.live_jobs()}, key=int)


def kill(site: Site, pid: int) -> None:
    """By the shell: a small Debian has no such program."""
    site.hosts.exec(0, "sh", "-c", f"kill -KILL {pid}")


def test_engines_start_scale_and_stop(site: Site) -> None:
    assert [engine["id"] for engine in site.start(4)["engines"]] == [0, 1, 2, 3]
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
        assert site.ipclusterz("scale", "+2")["engines"] == 6
        assert prompt.do(user.wait_for_ids, [0, 1, 2, 3, 4, 5]) == [0, 1, 2, 3, 4, 5]
    assert len(job_ids(site)) == 2
    site.stop()
    until(lambda: not job_ids(site), 30, lambda: str(site.hosts.live_jobs()))


def test_an_engine_that_is_killed(site: Site) -> None:
    site.start(2)
    with site.prompt() as prompt:
        pid = site.engines()[1]["pid"]
        prompt.do(user.begin_to_sleep, 1)
        until(lambda: site.engines()[1]["state"] == "busy")
        kill(site, pid)
        assert prompt.do(user.how_it_ended).startswith("EngineError: engine 1")


def test_how_a_job_ended_is_told(site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile='[engines]\nsetup = ["echo nothing works here", "exit 3"]\n')
    assert "completed (4), exit code 3" in caught.value.stderr
    assert "nothing works here" in caught.value.stderr
    site.start(2)
    (job,) = job_ids(site)
    site.hosts.exec(0, "condor_rm", job)
    told = f"job {job} was removed (3) by tester"
    until(lambda: told in site.launcher_log(), 60, site.launcher_log)


def test_a_job_beyond_its_time_is_removed(site: Site) -> None:
    site.start(2, profile='[batch]\ntime_limit = "00:00:20"\ndrain_before = 2\nwarn_before = 1\n')
    told = "reached its time limit, or would have been started twice (PeriodicRemove)"
    until(lambda: told in site.launcher_log(), 120, site.launcher_log)


def test_why_a_job_waits_or_cannot_run_is_said(site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile='[batch]\nconstraint = "(Nonsense == 1)"\nqueue_timeout = 5\n')
    assert "idle: no machine is free that is as it asks for" in caught.value.stderr
    hold = "periodic_hold = true"
    reason = 'periodic_hold_reason = "the tests say so"'
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile=f"[batch]\ndirectives = ['{hold}', '{reason}']\n")
    assert "cannot run: the tests say so" in caught.value.stderr


def test_the_queue_looks_at_the_description(site: Site) -> None:
    status, found = site.checks("profile", "check", site.write_profile())
    assert (status, found["validate"]["level"]) == (0, "ok"), found
    status, found = site.checks("profile", "check", site.write_profile('[batch]\ndirectives = ["nonsense"]\n'))
    assert (status, found["validate"]["level"]) == (1, "failed"), found
    assert "condor_submit -dry-run" in found["validate"]["message"]


def test_what_a_dead_launcher_left_is_removed(site: Site) -> None:
    report = site.start(2)
    kill(site, report["launcher_pid"])
    until(lambda: not job_ids(site), 60, lambda: str(site.hosts.live_jobs()))
