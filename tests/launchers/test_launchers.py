"""The same cluster tests on every launcher: what a user does with a cluster, wherever its engines run."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sites
import user
from helpers import until
from sites import CommandFailed, Site

from ipclusterz._core import cores

pytestmark = pytest.mark.timeout(120)


def _on(group: str, name: str, **options: str) -> Any:
    return pytest.param((group, options), id=name)


SITES = [
    _on("local", "local"),
    _on("separate", "ssh-libssh2", backend="libssh2"),
    _on("separate", "ssh-openssh", backend="openssh"),
    _on("slurm", "mpiexec-openmpi", flavour="openmpi"),
    _on("slurm", "mpiexec-mpich", flavour="mpich"),
    _on("slurm", "slurm"),
    _on("slurm", "slurm-mpi", extends="slurm-mpi"),
    _on("slurm", "slurm-array", more="[batch]\narray = true\n"),
    _on("slurm", "slurm-inside", inside="yes"),
    _on("gridengine", "gridengine"),
]


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A launcher's hosts, with no cluster on them; and none afterwards."""
    group, options = request.param
    with contextlib.ExitStack() as stack:
        if group == "local":
            made = sites.local()
        elif group == "separate":
            made = sites.ssh(request.getfixturevalue("separate"), **options)
        elif group == "gridengine":
            made = sites.gridengine(request.getfixturevalue("gridengine"))
        elif "flavour" in options:
            made = sites.mpiexec(request.getfixturevalue("hosts"), **options)
        elif "inside" in options:
            made = stack.enter_context(sites.allocation(request.getfixturevalue("hosts")))
        else:
            made = sites.batch(request.getfixturevalue("hosts"), **options)
        with made.stopped_at_the_end():
            yield made


def test_a_cluster_from_start_to_stop(site: Site) -> None:
    report = site.start(4)
    assert [engine["id"] for engine in report["engines"]] == [0, 1, 2, 3]
    status = site.status()
    assert (status["state"], status["engines_wanted"]) == ("running", 4)
    assert {engine["state"] for engine in status["controller"]["engines"]} == {"idle"}
    assert site.cluster in {cluster["cluster"] for cluster in site.ipclusterz("list")["clusters"]}
    variable, first = site.rank or ("", 0)
    with site.prompt() as prompt:
        found = prompt.do(user.describe, variable)
        assert list(found) == [0, 1, 2, 3]
        assert len({(pid, host) for pid, host, _ in found.values()}) == 4
        hosts = [host for _, host, _ in found.values()]
        if site.places:
            assert hosts == site.places
        if site.rank:
            assert [int(rank) for _, _, rank in found.values()] == [first + engine for engine in range(4)]
            assert sorted(Counter(hosts).values()) == [2, 2]
        assert [engine["host"] for engine in site.engines().values()] == hosts
        assert prompt.do(user.output_of_programs) == (["before\nprogram\nafter\n"] * 4, ["warned\n"] * 4)
        around = prompt.do(user.surroundings).values()
        for host, threads, _ in around:
            assert 1 <= int(threads) <= max(1, cores() // hosts.count(host))
        assert len({found for _, _, found in around}) == 1
        assert prompt.do(user.scatter_and_gather) == (True, True)
        assert prompt.do(user.sent, 4 << 20) == (True, 0)
        squares, used = prompt.do(user.balanced)
        assert squares == [x * x for x in range(100)]
        assert used > 1
    assert site.stop()["stopped"][0]["was"] == "running"
    with pytest.raises(CommandFailed) as caught:
        site.status()
    assert caught.value.status == 3


def test_scaling(site: Site) -> None:
    site.start(4)
    with site.prompt() as prompt:
        # What a user has put on the hosts is there for engines that come later, on other hosts too.
        assert set(prompt.do(user.upload, "uploaded_here")) == {engine["host"] for engine in site.engines().values()}
        assert site.ipclusterz("scale", "+2")["engines"] == 6
        assert prompt.do(user.wait_for_ids, [0, 1, 2, 3, 4, 5]) == [0, 1, 2, 3, 4, 5]
        assert prompt.do(user.answers) == dict.fromkeys(range(6), 42)
        copies = prompt.do(user.import_uploaded, "uploaded_here")
        assert len(copies) == 6
        assert len({file for file, _ in copies.values()}) == len({host for _, host in copies.values()})
        if site.together:
            with pytest.raises(CommandFailed, match="go together"):
                site.ipclusterz("scale", "-1")
        else:
            assert site.ipclusterz("scale", "-1")["engines"] == 5
            left = prompt.do(user.wait_for_count, 5)
            assert prompt.do(user.answers) == dict.fromkeys(left, 42)
        assert site.ipclusterz("scale", "4")["engines"] == 4
        assert prompt.do(user.wait_for_count, 4) == [0, 1, 2, 3]
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
    assert site.status()["engines_wanted"] == 4


def test_engines_are_restarted(site: Site) -> None:
    site.start(4, "--restart")
    before = {engine: about["pid"] for engine, about in site.engines().items()}
    one = ("restart", "--engine", "2")
    # Where one program has started all of them, they end with it.
    together = site.together or "SLURM_JOB_ID" in site.env
    if together:
        with pytest.raises(CommandFailed, match="engine 2 cannot be restarted without engines 0, 1, 3: they are one"):
            site.ipclusterz(*one)
    else:
        assert site.ipclusterz(*one)["engines"] == [2]
    after = {engine: about["pid"] for engine, about in site.engines().items()}
    assert [engine for engine in range(4) if before[engine] != after[engine]] == ([] if together else [2])
    with site.prompt() as prompt:
        prompt.do(user.begin_to_sleep, 1)
        assert site.ipclusterz("restart")["engines"] == [0, 1, 2, 3]
        assert prompt.do(user.how_it_ended).startswith("EngineError: engine 1")
        assert prompt.do(user.wait_for_ids, [0, 1, 2, 3]) == [0, 1, 2, 3]
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
    last = {engine: about["pid"] for engine, about in site.engines().items()}
    assert not set(last.items()) & set(after.items())


def test_an_engine_that_is_stopped_is_ended_at_the_limit_of_its_call(site: Site) -> None:
    site.start(4, "--restart", "--set", "controller.kill_grace=1")
    before = {engine: about["pid"] for engine, about in site.engines().items()}
    together = site.together or "SLURM_JOB_ID" in site.env or 'launcher = "batch"' in site.profile
    with site.prompt() as prompt:
        why = prompt.do(user.stopped_at_its_limit)
        if together:
            # Where one program or one job has started all of them, nobody can end it alone.
            assert "neither the engine nor its launcher has ended it" in why
            return
        assert "its engine had to be ended" in why
        assert prompt.do(user.wait_for_ids, [0, 1, 2, 3]) == [0, 1, 2, 3]
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
    after = {engine: about["pid"] for engine, about in site.engines().items()}
    assert len(set(before.items()) - set(after.items())) == 1


def test_signals_reach_engines_that_are_busy(site: Site) -> None:
    site.start(4)
    with site.prompt() as prompt:
        assert prompt.do(user.signalled, "SIGUSR2") == dict.fromkeys(range(4), 1)


def test_an_engine_that_is_killed(site: Site) -> None:
    site.start(4)
    with site.prompt() as prompt:
        variable, _ = site.rank or ("", 0)
        pid, host, _ = prompt.do(user.describe, variable)[2]
        former = prompt.do(user.uuids)
        prompt.do(user.begin_to_sleep, 2)
        where = site.hosts.names.index(host)
        until(lambda: site.engines()[2]["state"] == "busy")
        # Its pid means something on its own host alone.
        site.hosts.exec(where, "kill", "-KILL", str(pid))
        assert prompt.do(user.how_it_ended).startswith("EngineError: engine 2")
        if site.together:
            assert prompt.do(user.wait_until_gone, former) == []
        else:
            rest = [0, 1, 3]
            assert prompt.do(user.wait_for_ids, rest) == rest
            assert prompt.do(user.answers) == dict.fromkeys(rest, 42)


def test_a_controller_that_is_killed_is_started_again(site: Site) -> None:
    report = site.start(4)
    pids = {engine: about["pid"] for engine, about in site.engines().items()}
    site.hosts.exec(site.login, "kill", "-KILL", str(report["controller_pid"]))
    until(lambda: site.controller_pid() != report["controller_pid"], 30)
    until(lambda: {engine: about["pid"] for engine, about in site.engines().items()} == pids, 30, lambda: str(pids))
    until(lambda: "the controller died (signal: 9 (SIGKILL)) and was started again in" in site.launcher_log())
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
        if not site.together:
            assert site.ipclusterz("scale", "+1")["engines"] == 5
    assert site.stop()["stopped"][0]["forced"] is False


def test_stopping_while_engines_work(site: Site) -> None:
    site.start(4)
    with site.prompt() as prompt:
        for engine in range(4):
            prompt.do(user.begin_to_sleep, engine)
        until(lambda: {engine["state"] for engine in site.engines().values()} == {"busy"})
        assert site.stop()["stopped"][0]["was"] == "running"


# What differs is the shell that runs the lines, and who starts it. Slurm's own tests have its jobs of several nodes.
SHELLS = ["local", "ssh-libssh2", "mpiexec-mpich", "slurm-array", "slurm-inside", "gridengine"]


@pytest.mark.parametrize("site", [each for each in SITES if each.id in SHELLS], indirect=True)
def test_setup_runs_before_engines_and_ends_the_start_when_it_fails(site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile='[engines]\nsetup = ["[ -e /nope ] && . /nope", "ls /nope"]\n')
    said = caught.value.stderr
    assert caught.value.status == 5
    assert "engines.setup failed on " in said, said
    assert "`ls /nope` ended with status 2" in said, said
    assert "cannot access '/nope'" in said, said
    site.start(2, profile='[engines]\nsetup = ["export SET=$(uname -n)"]\n')
    with site.prompt() as prompt:
        assert all(host == set_to for _, host, set_to in prompt.do(user.describe, "SET").values())


@pytest.mark.parametrize("site", [each for each in SITES if each.id in SHELLS[:3]], indirect=True)
def test_a_profile_is_tried_where_engines_run(site: Site) -> None:
    status, found = site.checks("profile", "check", site.write_profile(), "--run")
    assert status == 0, found
    assert found["run: way back"]["level"] == "ok", found
