"""Engines that run from a disk of their host, where Python is installed on a file system that is slow and shared."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
import sites
import user
from helpers import until
from hosts import VirtualHosts
from sites import CommandFailed, Site
from slow_folder import Slow

pytestmark = pytest.mark.timeout(180)

# Each host has a /run of its own.
CACHE = "/run/kept"
PROGRAM = "env/bin/ipclusterz"
NAMES = ["n1", "n2", "n3"]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(params=["libssh2", "openssh"])
def backend(request: pytest.FixtureRequest) -> str:
    """What speaks SSH."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def site(backend: str, slow_hosts: tuple[VirtualHosts, Slow]) -> Iterator[Site]:
    """Three hosts with two engines each, whose environment is in the slow folder."""
    hosts, slow = slow_hosts
    more = f"""
[engines]
python = "{slow.folder}/env/bin/python"
stage = true
[engines.env]
IPCLUSTERZ_STAGE_DIR = "{CACHE}"
PYTHONDONTWRITEBYTECODE = "1"
[ssh]
hosts = [{{ host = "n1", engines = 2 }}, {{ host = "n2", engines = 2 }}, {{ host = "n3", engines = 2 }}]
"""
    made = sites.ssh(hosts, backend)
    made.profile = sites.merged(made.profile, more)
    with made.stopped_at_the_end():
        yield made
    for index in range(1, 4):
        hosts.exec(index, "rm", "-rf", CACHE)


@pytest.fixture
def slow(slow_hosts: tuple[VirtualHosts, Slow]) -> Slow:
    """The folder."""
    return slow_hosts[1]


def files_opened(slow: Slow) -> Counter[str]:
    """How often files of the environment were opened; of folders the names alone are read."""
    opened = slow.opened()
    return Counter({path: count for path, count in opened.items() if (slow.folder / path).is_file()})


def engines_run_from_the_cache(site: Site, names: list[str]) -> None:
    with site.prompt() as prompt:
        found = list(prompt.do(user.prefixes).values())
    hosts = [host for _, _, host in found]
    assert hosts == [name for name in names for _ in range(2)]
    for prefix, package, _ in found:
        assert prefix.startswith(f"{CACHE}/env-"), found
        assert package.startswith(prefix), found


def test_one_host_reads_the_environment_and_each_keeps_it(site: Site, slow: Slow) -> None:
    site.start(6)
    opened = files_opened(slow)
    # The program comes from there to each host, and is in the environment, too.
    assert opened.pop(PROGRAM) == len(NAMES) + 1
    # It says what kind of environment that is.
    assert opened.pop("env/pyvenv.cfg") == 2
    assert len(opened) > 100
    assert set(opened.values()) == {1}, opened.most_common(5)
    engines_run_from_the_cache(site, NAMES)
    assert files_opened(slow).total() == opened.total() + len(NAMES) + 3
    site.stop()
    slow.forget()
    site.start(6)
    engines_run_from_the_cache(site, NAMES)
    assert not files_opened(slow) - Counter({"env/pyvenv.cfg": 1})


def stagers(hosts: VirtualHosts, index: int) -> list[int]:
    """What copies environments to a host, and passes them on."""
    return [pid for pid, line in hosts.processes(index).items() if line.startswith(CACHE) and line.endswith(" stage")]


def test_what_is_killed_leaves_nothing_that_is_used(site: Site, slow: Slow) -> None:
    # The host that reads it does not get far; what waits for the folder dies when that has answered.
    slow.wait(3)
    profile = site.write_profile()
    start = site.popen(
        *(sites.IPCLUSTERZ, "start", "-n", "2", "--profile", profile, "--cluster", site.cluster),
        stderr=subprocess.PIPE,
    )
    with start:
        until(
            lambda: site.hosts.run(1, ["sh", "-c", f"ls -d {CACHE}/new-*"]).returncode == 0, 60, message="nothing begun"
        )
        for pid in stagers(site.hosts, 1):
            os.kill(pid, signal.SIGKILL)
        assert start.stderr is not None
        said = start.stderr.read()
        assert "n1 cannot have its environment on a disk of its own" in said, said
        assert start.wait(30) != 0
    slow.wait(0)
    site.start(4)
    engines_run_from_the_cache(site, NAMES[:2])
    assert site.hosts.run(1, ["sh", "-c", f"ls -d {CACHE}/new-*"]).returncode != 0


def test_a_host_that_reaches_no_other_reads_it_itself_and_says_so(site: Site, slow: Slow) -> None:
    # Whichever of the two is asked to read it, the other one cannot fetch it there.
    for index in (1, 2):
        site.hosts.wall(index)
    site.start(4, profile='[ssh]\nreverse = true\n[controller]\nlisten = "127.0.0.1:0"\n')
    engines_run_from_the_cache(site, NAMES[:2])
    log = site.launcher_log()
    assert re.search(r"n([12]) has read its environment from where it is installed: not from n(?!\1)[12]:", log), log
    assert max(files_opened(slow).values()) <= 4


def test_why_a_host_cannot_have_it(site: Site, slow: Slow) -> None:
    site.hosts.exec(1, "sh", "-c", f"mkdir -m 755 {CACHE} && chmod 755 {CACHE}")
    with pytest.raises(CommandFailed) as failed:
        site.start(2)
    assert "its mode is 755" in failed.value.stderr, failed.value.stderr
    assert "IPCLUSTERZ_STAGE_DIR" in failed.value.stderr, failed.value.stderr


def test_the_interpreter_comes_along_if_it_is_there_too(site: Site, slow: Slow) -> None:
    site.start(4, profile=f'[engines]\npython = "{slow.folder}/all-there/bin/python"\n')
    opened = files_opened(slow)
    assert opened[f"python/lib/python{VERSION}/os.py"] == 1
    with site.prompt() as prompt:
        for base, executable, library in prompt.do(user.interpreters).values():
            assert base.startswith(f"{CACHE}/env-"), base
            assert executable.startswith(base), executable
            assert library.startswith(base), library
    assert files_opened(slow).total() == opened.total()


@pytest.mark.parametrize("archive", ["env.tar.gz", "env.squashfs"])
def test_an_archive_is_read_once(site: Site, slow: Slow, archive: str) -> None:
    site.start(6, profile=f'[engines]\nstage = "{slow.folder}/{archive}"\n')
    engines_run_from_the_cache(site, NAMES)
    opened = files_opened(slow)
    assert opened == Counter({archive: 1, PROGRAM: len(NAMES)})


def test_what_passes_it_on_ends_with_the_cluster(site: Site, slow: Slow) -> None:
    site.start(2)
    assert len(stagers(site.hosts, 1)) == 1
    site.stop()
    until(lambda: not stagers(site.hosts, 1), 10, message="it goes on")
