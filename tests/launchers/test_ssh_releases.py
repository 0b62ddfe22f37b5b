"""Hosts with another release of ipclusterz than the one from which clusters are started, reached through SSH."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sites
import user
from helpers import until
from hosts import VirtualHosts
from releases import OWN, Release, other
from sites import CommandFailed, Site
from system import REPOSITORY

from ipclusterz._core import WIRE_VERSION

pytestmark = pytest.mark.timeout(120)

OTHER_WIRE = WIRE_VERSION + 1

CONNECT = """
import ipclusterz
try:
    ipclusterz.Client(cluster=CLUSTER, sshserver="root@head", timeout=20).close()
except ipclusterz.IpclusterzError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that all hosts see."""
    path = REPOSITORY / "target" / f"releases-{os.getpid()}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def newer(folder: Path) -> Release:
    """A later release of the same wire version."""
    return other(folder / "newer")


@pytest.fixture(scope="module")
def foreign(folder: Path) -> Release:
    """A later release of another wire version."""
    return other(folder / "foreign", wire=OTHER_WIRE)


@pytest.fixture
def site(separate: VirtualHosts) -> Iterator[Site]:
    """Hosts that share nothing."""
    made = sites.ssh(separate, "libssh2")
    with made.stopped_at_the_end():
        yield made


def on_n1(release: Release, **ssh: str) -> str:
    """A part of a profile."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in ssh.items())
    hosts = '[ssh]\nhosts = [{ host = "n1", engines = 2 }]\n'
    return f'[engines]\npython = "{release.python}"\n{hosts}{lines}'


def test_engines_of_another_release(site: Site, newer: Release) -> None:
    site.start(2, profile=on_n1(newer))
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(2), 42)
        assert prompt.do(user.release) == dict.fromkeys(range(2), newer.number)


def test_engines_of_another_wire_version(site: Site, foreign: Release) -> None:
    with pytest.raises(CommandFailed) as failed:
        site.start(2, profile=on_n1(foreign))
    said = failed.value.stderr
    peer = f"this engine on n1 is ipclusterz {foreign.number} with wire version {OTHER_WIRE}"
    assert f"{peer}, and the controller on head is ipclusterz {OWN} with wire version {WIRE_VERSION}" in said, said
    hint = f"install ipclusterz {OWN} where this engine runs (n1); or {foreign.number} where the cluster is"
    assert hint in said, said


def test_a_client_of_another_wire_version(site: Site, separate: VirtualHosts, foreign: Release) -> None:
    site.start(2)
    code = CONNECT.replace("CLUSTER", repr(site.cluster))
    said = separate.run(3, [foreign.python, "-P", "-c", code]).stdout
    peer = f"this client on n3 is ipclusterz {foreign.number} with wire version {OTHER_WIRE}"
    # Through SSH, the command of that release says it.
    assert said.startswith("ControllerUnreachable "), said
    assert f"{peer}, and the controller on head is ipclusterz {OWN} with wire version {WIRE_VERSION}" in said, said
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(2), 42)


def test_a_whole_cluster_of_another_release(site: Site, separate: VirtualHosts, newer: Release) -> None:
    site.start(2, profile=on_n1(newer, controller="n3"))
    assert any("ipclusterz controller" in line for line in separate.processes(3).values())
    assert f"n3 has ipclusterz {newer.number}, and this host {OWN}: they work together" in site.launcher_log()
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(2), 42)
        assert prompt.do(user.release) == dict.fromkeys(range(2), newer.number)
    assert site.ipclusterz("scale", "1")["wanted"] == 1
    assert site.status()["progress"]["wanted"] == 1
    assert site.stop()["stopped"][0]["forced"] is False


def test_a_whole_cluster_of_another_wire_version(site: Site, separate: VirtualHosts, foreign: Release) -> None:
    profile = site.write_profile(on_n1(foreign, controller="n3"))
    with pytest.raises(CommandFailed) as failed:
        site.ipclusterz("start", "-n", "2", "--profile", profile, "--daemonize")
    theirs = f"{foreign.program} on n3 is ipclusterz {foreign.number} with wire version {OTHER_WIRE}"
    said = failed.value.stderr
    assert f"{theirs}, and this one is {OWN} with wire version {WIRE_VERSION}" in said, said
    assert f"hint: install ipclusterz {OWN} on n3, or {foreign.number} here" in said, said
    until(lambda: not separate.processes(3), 20, lambda: str(separate.processes(3)))
    status, found = site.checks("doctor", "--profile", profile)
    assert status == 1
    assert theirs in found["ipclusterz on n3"]["message"], found
