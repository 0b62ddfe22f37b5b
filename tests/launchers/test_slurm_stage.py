"""Engines of a job that run from a disk of their node: nodes find each other without the launcher."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import sites
import user
from hosts import VirtualHosts
from sites import Site
from slow_folder import Slow

pytestmark = pytest.mark.timeout(180)

# Each node has a /run of its own.
CACHE = "/run/kept"
NODES = 3


@pytest.fixture
def slow(slow_slurm_hosts: tuple[VirtualHosts, Slow]) -> Slow:
    """The slow folder that the nodes share."""
    return slow_slurm_hosts[1]


@pytest.fixture
def site(slow_slurm_hosts: tuple[VirtualHosts, Slow]) -> Iterator[Site]:
    """A job of three nodes with two engines each."""
    hosts, slow = slow_slurm_hosts
    more = f"""
[engines]
python = "{slow.folder}/env/bin/python"
stage = true
timeout = 60
[engines.env]
IPCLUSTERZ_STAGE_DIR = "{CACHE}"
PYTHONDONTWRITEBYTECODE = "1"
[batch]
nodes = {NODES}
"""
    made = sites.batch(hosts, more=more)
    with made.stopped_at_the_end():
        yield made
    for index in range(1, NODES + 1):
        hosts.exec(index, "rm", "-rf", CACHE)


def files_opened(slow: Slow) -> Counter[str]:
    """How often files of the environment were opened."""
    return Counter({path: count for path, count in slow.opened().items() if (slow.folder / path).is_file()})


def check_engines(site: Site) -> None:
    """They run from there, two on each node."""
    with site.prompt() as prompt:
        found = list(prompt.do(user.prefixes).values())
    assert Counter(host for _, _, host in found) == dict.fromkeys(["n1", "n2", "n3"], 2)
    assert all(prefix.startswith(f"{CACHE}/env-") and package.startswith(prefix) for prefix, package, _ in found), found


def test_one_node_reads_the_environment_for_all_ranks(site: Site, slow: Slow) -> None:
    site.start(6)
    check_engines(site)
    opened = files_opened(slow)
    assert opened.pop("env/bin/ipclusterz") == NODES + 1
    assert opened.pop("env/pyvenv.cfg") == 2
    assert len(opened) > 100
    assert set(opened.values()) == {1}, opened.most_common(5)
    site.stop()
    slow.forget()
    site.start(6)
    check_engines(site)
    assert not files_opened(slow) - Counter({"env/pyvenv.cfg": 1})


def test_each_task_of_an_array_finds_it(site: Site, slow: Slow) -> None:
    site.start(4, profile="[batch]\narray = true\nnodes = 0\nengines_per_node = 0\n")
    with site.prompt() as prompt:
        found = list(prompt.do(user.prefixes).values())
    assert len(found) == 4
    assert all(prefix.startswith(f"{CACHE}/env-") for prefix, _, _ in found), found
    opened = files_opened(slow)
    opened.pop("env/bin/ipclusterz")
    opened.pop("env/pyvenv.cfg")
    assert set(opened.values()) == {1}, opened.most_common(5)


def test_why_a_node_cannot_have_it_is_in_the_log_of_the_job(site: Site) -> None:
    for index in range(1, NODES + 1):
        site.hosts.exec(index, "ln", "-s", "/tmp", CACHE)
    with pytest.raises(sites.CommandFailed) as failed:
        site.start(2, profile="[batch]\nnodes = 1\n")
    assert f"engines.stage on n1: {CACHE} is not a folder of yours" in failed.value.stderr, failed.value.stderr
