"""Engines that are not alike, in jobs of Slurm of their own, and the nodes of a job that shrinks."""

from __future__ import annotations

import pytest
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import IPCLUSTERZ, CommandFailed, Site

pytestmark = pytest.mark.timeout(120)

GROUPS = """
[batch]
memory = "200M"
groups = [\
  { name = "big", engines = 1, cores_per_engine = 2, memory = "700M", directives = ["--nodelist=n3"] },\
  { name = "small", nodes = 1, engines_per_node = 2, directives = ["--nodelist=n1"] },\
]
"""


def start(site: Site, *arguments: str, profile: str = GROUPS) -> None:
    """Start a cluster of which the profile says how large it is."""
    file = site.write_profile(profile)
    site.ipclusterz("start", "--profile", file, "--daemonize", *arguments)


def groups_of(site: Site) -> dict[int, tuple[str, str]]:
    """Group and host of each engine."""
    return {engine: (found["group"], found["host"]) for engine, found in site.engines().items()}


def job_of(hosts: VirtualHosts, group: str) -> str:
    """What Slurm says of the one job of a group."""
    (line,) = [line for line in slurm.live_jobs(hosts) if f"-{group} " in line]
    return hosts.exec(0, "scontrol", "show", "job", "--oneliner", line.split()[0])


def test_groups_are_jobs_of_their_own_in_one_cluster(site: Site, hosts: VirtualHosts) -> None:
    start(site)
    assert groups_of(site) == {0: ("big", "n3"), 1: ("small", "n1"), 2: ("small", "n1")}
    assert "MinMemoryNode=700M" in job_of(hosts, "big")
    assert "CPUs/Task=2" in job_of(hosts, "big")
    assert "MinMemoryNode=200M" in job_of(hosts, "small")
    shown = site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout
    assert [line.split()[:3] for line in shown.splitlines() if " n1 " in line] == [
        ["1", "small", "n1"],
        ["2", "small", "n1"],
    ]
    with site.prompt() as prompt:
        assert prompt.do(user.of_groups, ["big", "small"]) == {"big": [0], "small": [1, 2]}
        assert "there is no engine of group 'huge'" in prompt.do(user.of_unknown_group, "huge")
    # Another job for more of the one, and engines of the other go.
    with pytest.raises(CommandFailed, match="it has the groups big, small"):
        site.ipclusterz("scale", "+1")
    with pytest.raises(CommandFailed, match="there are: big, small"):
        site.ipclusterz("scale", "--set", "huge", "+1")
    assert site.ipclusterz("scale", "--set", "big", "+1")["engines"] == 4
    assert groups_of(site)[3] == ("big", "n3")
    assert len(slurm.live_jobs(hosts)) == 3
    assert site.ipclusterz("scale", "--set", "small", "1")["engines"] == 3
    assert sorted(group for group, _ in groups_of(site).values()) == ["big", "big", "small"]
    with pytest.raises(CommandFailed, match="there are 2"):
        site.ipclusterz("scale", "--set", "big", "-3")


def test_a_number_that_contradicts_groups_is_refused(site: Site, hosts: VirtualHosts) -> None:
    with pytest.raises(CommandFailed, match=r"2 engines, but `batch.groups` .* are 3 \(big, small\)"):
        start(site, "-n", "2")
    assert slurm.live_jobs(hosts) == []


def test_the_scripts_of_groups_are_printed_and_checked(site: Site) -> None:
    profile = site.write_profile(GROUPS)
    printed = site.run(IPCLUSTERZ, "start", "--profile", profile, "--print-script").stdout
    assert printed.count("#!/bin/bash") == 2
    assert "--mem=700M" in printed
    assert "--mem=200M" in printed
    assert "--group small" in printed
    checked = site.run(IPCLUSTERZ, "profile", "check", profile)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_job_gives_nodes_back_that_no_engine_is_on(site: Site, hosts: VirtualHosts) -> None:
    site.start(6)
    nodes = "%N"
    assert hosts.exec(0, "squeue", "--noheader", f"--format={nodes}").strip() == "n[1-3]"
    done = site.ipclusterz("scale", "-2")
    assert done["engines"] == 4
    assert "nodes on which no engine is left are given back" in done["nodes"]
    until(lambda: "gave back n3" in site.launcher_log(), 20, site.launcher_log)
    assert hosts.exec(0, "squeue", "--noheader", f"--format={nodes}").strip() == "n[1-2]"
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)


def test_where_nodes_stay_that_is_said(site: Site) -> None:
    site.start(4, profile='[queue]\nvacate = ""\n')
    done = site.run(IPCLUSTERZ, "scale", "-2", "--cluster", site.cluster)
    assert done.returncode == 0
    assert "nodes stay until their job ends: Slurm gives none back before" in done.stdout + done.stderr
