"""Two releases of ipclusterz that meet: those of one wire version work together, others refuse each other in words."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from releases import OWN, THIS, Release, other
from test_strangers import over_tcp

import ipclusterz
from ipclusterz import Cluster, ClusterError, VersionError, starting
from ipclusterz._core import WIRE_VERSION

OTHER_WIRE = WIRE_VERSION + 1
HOST = socket.gethostname()

CONNECT = """
import sys, ipclusterz
try:
    with ipclusterz.Client(sys.argv[1], timeout=20) as rc:
        print("let in", rc[0].apply_sync(lambda x: x + 1, 41), rc.ids)
except ipclusterz.IpclusterzError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A later release of the same wire version."""
    return other(tmp_path_factory.mktemp("newer") / "release")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A later release of another wire version."""
    return other(tmp_path_factory.mktemp("foreign") / "release", wire=OTHER_WIRE)


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """A cluster of this release, on both kinds of sockets."""
    cluster = Cluster(n=1, cluster=f"release-{os.getpid()}", listen="127.0.0.1:0").start()
    yield cluster
    cluster.stop()


def file_for(kind: str, cluster: Cluster, folder: Path, whose: str = "client") -> str:
    """A connection file that leads there by one kind of socket."""
    if kind == "tcp":
        return over_tcp(cluster, folder, whose)
    return str(Path(cluster.report["client_file"]).with_name(f"{whose}.json"))


def both(text: str, role: str, theirs: Release, peer: str = "", cluster: str = "") -> None:
    """Check that both releases are named, each with its wire version and its host, and what to install where."""
    peer_number, peer_wire = (theirs.number, OTHER_WIRE) if not peer else (peer, WIRE_VERSION)
    number, wire = (OWN, WIRE_VERSION) if not cluster else (cluster, OTHER_WIRE)
    said = (
        f"this {role} on {HOST} is ipclusterz {peer_number} with wire version {peer_wire}, and the controller on "
        f"{HOST} is ipclusterz {number} with wire version {wire}: they do not understand each other"
    )
    hint = (
        f"hint: install ipclusterz {number} where this {role} runs ({HOST}); or {peer_number} where the cluster is "
        f"started ({HOST}), and start the cluster again"
    )
    assert said in text, text
    assert hint in text, text


# -- one wire version ------------------------------------------------------------------------------------------------


def test_a_release_is_what_its_names_say(newer: Release) -> None:
    assert newer.run("import ipclusterz; print(ipclusterz.__version__)") == f"{newer.number}\n"
    assert newer.command("--version").stdout == f"ipclusterz {newer.number} (wire {WIRE_VERSION})\n"


@pytest.mark.parametrize("settings", [{}, {"local": False}], ids=["unix", "tcp"])
def test_engines_of_another_release(
    newer: Release, own_cluster: Callable[..., Cluster], settings: dict[str, bool]
) -> None:
    with own_cluster(2, python=newer.python, controller=settings).connect_client() as rc:
        assert all(engine["address"].startswith("tcp" if settings else "ipc") for engine in rc.status()["engines"])
        view = rc[:]
        assert view.apply_sync(lambda: __import__("ipclusterz").__version__) == dict.fromkeys(rc.ids, newer.number)
        view.push({"a": {"of": [1, 2]}}, block=True)
        assert view.pull("a", block=True)[1] == {"of": [1, 2]}
        assert rc.load_balanced_view().map_sync(lambda x: x * x, range(9)) == [x * x for x in range(9)]
        view.execute("def f(): return b", block=True)
        with pytest.raises(ipclusterz.CompositeError, match="name 'b' is not defined"):
            view.execute("f()", block=True)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_client_of_another_release(newer: Release, running: Cluster, kind: str, tmp_path: Path) -> None:
    assert newer.run(CONNECT, file_for(kind, running, tmp_path)) == "let in 42 {0}\n"


def test_a_command_of_another_release(newer: Release, running: Cluster) -> None:
    for command in ("status", "list", "scale"):
        done = newer.command(command, *(["1"] if command == "scale" else []), "--json", "--cluster", running.name)
        if command == "list":
            done = newer.command(command, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done
    log = Path(running.report["log_directory"], "controller.log").read_text()
    assert f", ipclusterz {newer.number})" in log, log


# -- another wire version --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_client_of_another_wire_version(foreign: Release, running: Cluster, kind: str, tmp_path: Path) -> None:
    said = foreign.run(CONNECT, file_for(kind, running, tmp_path))
    assert said.startswith("VersionError "), said
    both(said, "client", foreign)
    with running.connect_client() as rc:
        assert rc[0].apply_sync(abs, -1) == 1


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_cluster_of_another_wire_version(foreign: Release, kind: str, tmp_path: Path) -> None:
    name = f"foreign-{kind}-{os.getpid()}"
    options = ["--cluster", name, "--daemonize", "--listen", "127.0.0.1:0", "--json", "-n", "1"]
    started = foreign.command("start", *options, "--set", f"engines.python={foreign.python}")
    assert started.returncode == 0, started.stderr
    try:
        path = Path(json.loads(started.stdout)["client_file"])
        if kind == "tcp":
            content = json.loads(path.read_text())
            tcp = [address for address in content["addresses"] if address.startswith("tcp")]
            path = tmp_path / "client.json"
            path.touch(mode=0o600)
            path.write_text(json.dumps(content | {"addresses": tcp}))
        with pytest.raises(VersionError) as refused:
            ipclusterz.Client(path, timeout=20)
        both(str(refused.value), "client", foreign, peer=OWN, cluster=foreign.number)
        assert refused.value.hint.startswith(f"install ipclusterz {foreign.number} where this client runs")
    finally:
        stopped = foreign.command("stop", "--cluster", name)
    assert stopped.returncode == 0, stopped.stderr


@pytest.mark.parametrize("settings", [{}, {"local": False}], ids=["unix", "tcp"])
def test_engines_of_another_wire_version(
    foreign: Release, own_cluster: Callable[..., Cluster], settings: dict[str, bool]
) -> None:
    with pytest.raises(ClusterError) as failed:
        own_cluster(1, python=foreign.python, controller=settings)
    both(str(failed.value), "engine", foreign)


def test_a_command_of_another_wire_version(foreign: Release, own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    refused = foreign.command("status", "--cluster", cluster.name)
    assert refused.returncode not in (0, 1), refused
    both(refused.stderr, "client", foreign)
    # What is on disk has versions of its own, which are the same.
    listed = json.loads(foreign.command("list", "--json").stdout)
    assert cluster.name in [each["cluster"] for each in listed["clusters"]], listed
    # It ends what it cannot talk to.
    stopped = foreign.command("stop", "--cluster", cluster.name)
    assert stopped.returncode == 0, stopped.stderr


def test_doctor_looks_at_the_release_of_the_engines_python(newer: Release, foreign: Release) -> None:
    def found(release: Release) -> dict[str, str]:
        done = THIS.command("doctor", "--json", "--set", f"engines.python={release.python}")
        return next(each for each in json.loads(done.stdout)["checks"] if each["check"] == "python")

    good = found(newer)
    assert good["level"] == "ok", good
    both = f"package {newer.number}; this program is {OWN}, and both have wire version {WIRE_VERSION}"
    assert good["message"].endswith(both), good
    bad = found(foreign)
    assert bad["level"] == "failed", bad
    theirs, own = f"{foreign.number} (wire version {OTHER_WIRE})", f"{OWN} (wire version {WIRE_VERSION})"
    assert bad["message"].endswith(f"has ipclusterz {theirs}, but this program is {own}"), bad
    assert bad["hint"]


# -- halves ----------------------------------------------------------------------------------------------------------


def test_python_files_and_an_extension_module_of_two_releases(tmp_path: Path) -> None:
    half = other(tmp_path / "half", whole=False)
    said = half.run("import ipclusterz; ipclusterz.Client()")
    expected = (
        f"ImportError: this ipclusterz is half of one release and half of another: the Python files are {half.number}, "
        f"and the extension module is {OWN} ("
    )
    assert expected in said, said
    assert "; reinstall it in this Python" in said


def test_a_command_that_is_not_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ipclusterz"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "ipclusterz 8.7.6 (wire 1)" && exit\nexit 2\n')
    program.chmod(0o755)
    monkeypatch.setattr(starting, "program", lambda: str(program))
    with pytest.raises(ClusterError) as failed:
        Cluster(n=1, cluster=f"old-command-{os.getpid()}").start()
    assert f"it is ipclusterz 8.7.6, and this package is {OWN}: install both from one wheel" in str(failed.value)


def test_one_number_everywhere() -> None:
    manifest = (Path(__file__).parents[2] / "Cargo.toml").read_text()
    found = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)
    assert found is not None
    assert found[1] == ipclusterz.__version__ == OWN


def test_records_of_another_version_are_listed_and_left_alone(tmp_path: Path) -> None:
    record = tmp_path / "clusters" / "later" / "cluster.json"
    record.parent.mkdir(parents=True, mode=0o700)
    (tmp_path / "clusters").chmod(0o700)
    record.touch(mode=0o600)
    record.write_text('{"version": 99, "release": "4.5.6", "engines": "many"}')
    home = {"IPCLUSTERZ_HOME": str(tmp_path)}
    listed = json.loads(THIS.command("list", "--json", **home).stdout)
    assert [(each["cluster"], each["state"]) for each in listed["clusters"]] == [("later", "other version")]
    for command in ("status", "stop", "scale", "gc"):
        named = ["--cluster", "later"] if command != "gc" else []
        done = THIS.command(command, *(["1"] if command == "scale" else []), *named, **home)
        said = done.stdout + done.stderr
        assert f"{record} of ipclusterz 4.5.6 has version 99; this ipclusterz {OWN} reads version " in said, said
        if command != "gc":
            assert "hint: use the ipclusterz that wrote it, with which the cluster was started" in said, said
            assert done.returncode != 0
    assert record.exists()
