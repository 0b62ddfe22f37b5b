"""What becomes of the other ranks when one is lost: `engines.on_rank_loss`, under mpiexec, under srun and in a job."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sites
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from mpi_library import BUILDS
from prompt import Prompt
from sites import IPCLUSTERZ, CommandFailed, Site

pytestmark = pytest.mark.timeout(180)

# What each MPI is called by, and what it speaks with srun.
LIBRARIES = {"openmpi": "pmix", "mpich": "pmi2"}


def mpiexec(hosts: VirtualHosts, flavour: str) -> contextlib.AbstractContextManager[Site]:
    """The program of that MPI, on two hosts."""
    return contextlib.nullcontext(sites.mpiexec(hosts, flavour))


@contextlib.contextmanager
def srun(hosts: VirtualHosts, flavour: str) -> Iterator[Site]:
    """`srun` as the program that starts ranks, inside an allocation."""
    with sites.allocation(hosts) as site:
        site.profile = sites.mpiexec(hosts, flavour).profile
        arguments = f'arguments = ["--mpi={LIBRARIES[flavour]}", "--overlap", "--ntasks-per-node=2"]'
        site.profile = sites.merged(
            site.profile, f'[mpiexec]\nprogram = "srun"\nhosts = []\noversubscribe = false\n{arguments}\n'
        )
        yield site


@contextlib.contextmanager
def inside(hosts: VirtualHosts, flavour: str) -> Iterator[Site]:
    """The start command of Slurm's profile, inside an allocation."""
    with sites.allocation(hosts) as site, job(hosts, flavour) as same:
        site.profile = same.profile
        yield site


@contextlib.contextmanager
def job(hosts: VirtualHosts, flavour: str) -> Iterator[Site]:
    """A job that is submitted, with that start command in its script."""
    start = (
        f'start = ["srun", "--mpi={LIBRARIES[flavour]}", "--ntasks={{count}}", "--nodes={{nodes}}",'
        ' "--ntasks-per-node={engines_per_node}", "--kill-on-bad-exit=0", "--no-kill", "--wait=0", "--overlap"]'
    )
    site = sites.batch(hosts, "slurm-mpi", sites.mpi4py_environment(hosts, flavour))
    site.profile = sites.merged(site.profile, f"[queue]\n{start}\n")
    yield site


@contextlib.contextmanager
def bridged(hosts: VirtualHosts, flavour: str) -> Iterator[Site]:
    """The same with the MPI bridge, so that the ranks are a world that the controller knows."""
    with job(hosts, flavour) as site:
        # srun tells no rank which of this host's libraries is meant.
        variables = f'PYTHONPATH = "{BUILDS[flavour]}"\nIPCLUSTERZ_MPI = "{flavour}"\n'
        site.profile = sites.merged(site.profile, f"[engines.env]\n{variables}")
        yield site


Place = Callable[[VirtualHosts, str], contextlib.AbstractContextManager[Site]]


@contextlib.contextmanager
def cluster(hosts: VirtualHosts, place: Place, flavour: str, keys: str) -> Iterator[Site]:
    """Four engines; afterwards nothing of them is left, not even what their MPI had in memory and in /tmp."""
    before = set(leftovers(hosts))
    with place(hosts, flavour) as site, site.stopped_at_the_end():
        site.start(4, profile=f"[engines]\n{keys}\n")
        yield site
    until(lambda: set(leftovers(hosts)) <= before, 20, lambda: str(leftovers(hosts)))


def leftovers(hosts: VirtualHosts) -> list[str]:
    """Files of MPI libraries on all hosts."""
    shared = "/dev/shm/*vader* /dev/shm/*sm_segment* /dev/shm/*mpich*"
    pattern = f"ls -d {shared} /tmp/ompi* /tmp/ompi*/* /tmp/prte* 2>/dev/null; true"
    found = []
    for index, name in enumerate(hosts.names):
        if hosts.is_up(index):
            found += [f"{name}:{path}" for path in hosts.run(index, ["sh", "-c", pattern]).stdout.split()]
    return found


def remember(rc: Any) -> None:
    """Give each engine something to forget."""
    for engine in rc.ids:
        rc[engine]["kept"] = engine * 10


def recall(rc: Any) -> Any:
    """What each engine remembers."""
    rc[:].execute("known = globals().get('kept')", block=True)
    return {engine: rc[engine]["known"] for engine in sorted(rc.ids)}


def kill(site: Site, prompt: Prompt, engine: int) -> str:
    """Kill an engine, and return the name of its host."""
    pid, host, _ = prompt.do(user.describe)[engine]
    site.hosts.exec(site.hosts.index(host), "kill", "-KILL", str(pid))
    name: str = host
    return name


def status_text(site: Site) -> str:
    """What `ipclusterz status` prints for a person."""
    text: str = site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout
    return text


def losses(site: Site) -> list[dict[str, Any]]:
    """The losses that `ipclusterz status` tells of."""
    found: list[dict[str, Any]] = site.status()["progress"]["losses"]
    return found


def has_lost(site: Site, count: int) -> bool:
    """Whether so many losses are known."""
    return len(losses(site)) == count


SHRINKING = [
    pytest.param(mpiexec, "openmpi", id="mpiexec-openmpi"),
    pytest.param(srun, "openmpi", id="srun-openmpi"),
    pytest.param(srun, "mpich", id="srun-mpich"),
    pytest.param(inside, "openmpi", id="inside-openmpi"),
    pytest.param(inside, "mpich", id="inside-mpich"),
    pytest.param(job, "openmpi", id="job-openmpi"),
    pytest.param(job, "mpich", id="job-mpich"),
]


@pytest.mark.parametrize(("place", "flavour"), SHRINKING)
def test_the_others_go_on_in_their_processes(hosts: VirtualHosts, place: Place, flavour: str) -> None:
    with cluster(hosts, place, flavour, 'on_rank_loss = "shrink"') as site, site.prompt() as prompt:
        prompt.do(remember)
        before = prompt.do(user.describe)
        rest = [0, 2, 3]
        host = kill(site, prompt, 1)
        assert prompt.do(user.wait_for_ids, rest) == rest
        until(lambda: "SIGKILL" in losses(site)[0]["how"], 20, lambda: str(losses(site)))
        (loss,) = losses(site)
        assert (loss["name"], loss["engines"], loss["host"], loss["policy"]) == (
            "engine 1 (rank 1)",
            [1],
            host,
            "shrink",
        )
        assert f"engine 1 (rank 1) on {host}: signal: 9 (SIGKILL); engines 0, 2, 3 go on" in status_text(site)
        assert "SIGKILL" in site.launcher_log()
        # Long enough for a set that were ended to be gone.
        assert prompt.do(user.answers) == dict.fromkeys(rest, 42)
        assert prompt.do(user.describe) == {engine: before[engine] for engine in rest}
        assert prompt.do(recall) == {0: 0, 2: 20, 3: 30}

        progress = site.status()["progress"]
        assert (progress["wanted"], progress["sets"][0]["lost"], progress["sets"][0]["state"]) == (3, [1], "running")
        with pytest.raises(CommandFailed, match="go together"):
            site.ipclusterz("scale", "-1")
        kill(site, prompt, 3)
        assert prompt.do(user.wait_for_ids, [0, 2]) == [0, 2]
        until(lambda: len(losses(site)) == 2 and "SIGKILL" in losses(site)[1]["how"], 20, lambda: str(losses(site)))
        assert prompt.do(recall) == {0: 0, 2: 20}


def test_a_shrunk_world_can_be_added_to_and_is_given_up_as_a_whole(hosts: VirtualHosts) -> None:
    with cluster(hosts, mpiexec, "openmpi", 'on_rank_loss = "shrink"') as site, site.prompt() as prompt:
        kill(site, prompt, 2)
        assert prompt.do(user.wait_for_ids, [0, 1, 3]) == [0, 1, 3]
        assert site.ipclusterz("scale", "+2")["engines"] == 5
        assert prompt.do(user.wait_for_ids, [0, 1, 3, 4, 5]) == [0, 1, 3, 4, 5]
        assert site.ipclusterz("scale", "-2")["engines"] == 3
        for engine, rest in ((0, [1, 3]), (1, [3]), (3, [])):
            kill(site, prompt, engine)
            assert prompt.do(user.wait_for_ids, rest) == rest
        until(lambda: "none of its engines is left" in status_text(site), 20, lambda: status_text(site))


@pytest.mark.parametrize("how", ["stop", "launcher"])
def test_nothing_of_a_shrunk_world_stays(hosts: VirtualHosts, how: str) -> None:
    keys = 'on_rank_loss = "shrink"\nlease = 3'
    with cluster(hosts, mpiexec, "openmpi", keys) as site:
        with site.prompt() as prompt:
            kill(site, prompt, 1)
            assert prompt.do(user.wait_for_ids, [0, 2, 3]) == [0, 2, 3]
        status = site.status()
        if how == "stop":
            site.stop()
        else:
            hosts.exec(0, "kill", "-KILL", str(status["launcher_pid"]))
        until(lambda: not any(map(hosts.processes, range(4))), 30, lambda: str([*map(hosts.processes, range(4))]))


def test_where_survivors_cannot_be_kept_all_begin_again_and_why_is_said(hosts: VirtualHosts) -> None:
    with cluster(hosts, mpiexec, "mpich", 'on_rank_loss = "shrink"') as site, site.prompt() as prompt:
        notice = 'engines.on_rank_loss = "shrink" is not possible here: '
        assert site.launcher_log().count(notice) == 1
        assert notice in status_text(site)
        assert site.status()["progress"]["rank_loss"]["policy"] == "restart"
        prompt.do(remember)
        before = prompt.do(user.uuids)
        kill(site, prompt, 1)
        until(lambda: len(losses(site)) == 1, 30, site.launcher_log)
        assert prompt.do(user.wait_for_others, [0, 1, 2, 3], before) == [0, 1, 2, 3]
        assert prompt.do(recall) == dict.fromkeys(range(4))


RESTARTING = [
    pytest.param(mpiexec, "openmpi", id="mpiexec-openmpi"),
    pytest.param(mpiexec, "mpich", id="mpiexec-mpich"),
    pytest.param(srun, "openmpi", id="srun-openmpi"),
    pytest.param(inside, "mpich", id="inside-mpich"),
    pytest.param(job, "openmpi", id="job-openmpi"),
    pytest.param(job, "mpich", id="job-mpich"),
]


@pytest.mark.parametrize(("place", "flavour"), RESTARTING)
def test_all_begin_again_as_often_as_is_allowed(hosts: VirtualHosts, place: Place, flavour: str) -> None:
    with cluster(hosts, place, flavour, "restart_limit = 1") as site, site.prompt() as prompt:
        jobs = slurm.live_jobs(hosts)
        before = {(pid, host) for pid, host, _ in prompt.do(user.describe).values()}
        engines = prompt.do(user.uuids)
        kill(site, prompt, 2)
        until(lambda: len(losses(site)) == 1, 30, site.launcher_log)
        assert prompt.do(user.wait_for_others, [0, 1, 2, 3], engines) == [0, 1, 2, 3]
        assert not before & {(pid, host) for pid, host, _ in prompt.do(user.describe).values()}
        assert slurm.live_jobs(hosts) == jobs, "in the same allocation"
        (loss,) = losses(site)
        assert (loss["name"], loss["policy"]) == ("engines 0 to 3", "restart")
        assert loss["then"] == "started again (restart 1 of 1 in 600 s)"
        assert "started again (restart 1 of 1 in 600 s)" in status_text(site)

        kill(site, prompt, 0)
        until(lambda: len(losses(site)) == 2, 30, site.launcher_log)
        assert prompt.do(user.wait_for_ids, []) == []
        refused = "not started again: restarts in 600 s are limited to 1 (engines.restart_limit, restart_window)"
        assert losses(site)[1]["then"] == refused
        assert refused in site.launcher_log()
        assert site.status()["progress"]["wanted"] == 0


@pytest.mark.parametrize("policy", ["restart", "shrink"])
def test_the_world_of_a_job_is_formed_again(hosts: VirtualHosts, policy: str) -> None:
    with cluster(hosts, bridged, "openmpi", f'on_rank_loss = "{policy}"') as site, site.prompt() as prompt:
        assert prompt.do(user.wait_for_epoch, 1) == [(1, 4)] * 4
        jobs = slurm.live_jobs(hosts)
        rest = [0, 1, 2, 3]
        for epoch, victim in ((2, 1), (3, 3)):
            kill(site, prompt, victim)
            if policy == "shrink":
                rest.remove(victim)
            until(functools.partial(has_lost, site, epoch - 1), 30, site.launcher_log)
            assert prompt.do(user.wait_for_ids, rest) == rest
            assert prompt.do(user.wait_for_epoch, epoch) == [(epoch, len(rest))] * len(rest)
            until(lambda: "SIGKILL" in losses(site)[-1]["how"], 20, lambda: str(losses(site)))
        assert slurm.live_jobs(hosts) == jobs, "in the same job"


@pytest.mark.parametrize("flavour", ["openmpi", "mpich"])
def test_a_rank_is_lost_that_the_others_wait_for_to_go_on(hosts: VirtualHosts, flavour: str) -> None:
    with cluster(hosts, bridged, flavour, 'on_rank_loss = "shrink"') as site, site.prompt() as prompt:
        assert prompt.do(user.wait_for_epoch, 1) == [(1, 4)] * 4
        pids = {engine: pid for engine, (pid, _, _) in prompt.do(user.describe).items()}
        places = {engine: host for engine, (_, host, _) in prompt.do(user.describe).items()}
        prompt.do(user.begin_to_sleep, 1)
        prompt.do(user.begin_to_sleep, 2)
        # 0 is to form the next epoch, and waits for those that sleep, which are lost one after the other.
        for victim, rest in ((3, [0, 1, 2]), (2, [0, 1]), (1, [0])):
            hosts.exec(hosts.index(places[victim]), "kill", "-KILL", str(pids[victim]))
            assert prompt.do(user.wait_for_ids, rest) == rest
            if rest != [0]:
                assert prompt.do(user.wait_for_forming, 5 - victim) == rest
        assert prompt.do(user.wait_for_epoch, 4) == [(4, 1)]


@pytest.mark.parametrize("flavour", ["openmpi", "mpich"])
def test_the_others_go_on_when_a_node_of_a_job_is_lost(hosts: VirtualHosts, flavour: str) -> None:
    with cluster(hosts, bridged, flavour, 'on_rank_loss = "shrink"') as site:
        with site.prompt() as prompt:
            assert prompt.do(user.wait_for_epoch, 1) == [(1, 4)] * 4
            prompt.do(remember)
            places = {engine: host for engine, (_, host, _) in prompt.do(user.describe).items()}
            # The job's script runs on the first node; with that, the job would be over.
            last = max(places.values())
            rest = [engine for engine, host in sorted(places.items()) if host != last]
            hosts.kill(hosts.index(last))
            assert prompt.do(user.wait_for_ids, rest) == rest
            prompt.do(user.wait_for_epoch, 2)
            epochs = prompt.do(user.wait_for_epoch, 2)
            assert epochs == [(epochs[0][0], len(rest))] * len(rest)
            assert prompt.do(recall) == {engine: engine * 10 for engine in rest}
        site.stop()
        # A job is over for Slurm when each of its nodes has answered.
        hosts.boot(hosts.index(last))
        until(lambda: not slurm.live_jobs(hosts), 60, lambda: str(slurm.live_jobs(hosts)))


def test_a_job_whose_ranks_fail_at_its_start_ends_at_once(hosts: VirtualHosts) -> None:
    with (
        job(hosts, "openmpi") as site,
        site.stopped_at_the_end(),
        pytest.raises(CommandFailed, match="exit code 7"),
    ):
        site.start(4, profile='[engines]\nwrap = ["sh", "-c", "exit 7"]\ntimeout = 300\n')


@pytest.mark.parametrize("flavour", LIBRARIES)
def test_the_others_end_and_nothing_begins(hosts: VirtualHosts, flavour: str) -> None:
    with cluster(hosts, mpiexec, flavour, 'on_rank_loss = "stop"') as site, site.prompt() as prompt:
        kill(site, prompt, 3)
        assert prompt.do(user.wait_for_ids, []) == []
        until(lambda: len(losses(site)) == 1, 30, site.launcher_log)
        (loss,) = losses(site)
        assert (loss["policy"], loss["then"]) == ("stop", 'not started again (engines.on_rank_loss = "stop")')
        assert 'not started again (engines.on_rank_loss = "stop")' in status_text(site)
        assert site.ipclusterz("scale", "2")["engines"] == 2, "the cluster is there for others"
