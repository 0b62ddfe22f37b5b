"""Finding a cluster and connecting to it, with all that can be wrong with a connection file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ipclusterz as ipz
from ipclusterz import Client, Cluster, ConnectionFileError, ControllerUnreachable


@pytest.fixture
def file(cluster: Cluster, tmp_path: Path) -> Path:
    """A copy of the shared cluster's connection file, to be damaged."""
    copy = tmp_path / "client.json"
    shutil.copy(cluster.report["client_file"], copy)
    return copy


def changed(file: Path, **values: object) -> Path:
    content = json.loads(file.read_text())
    content.update(values)
    file.write_text(json.dumps(content))
    return file


def test_by_name_path_and_address(cluster: Cluster) -> None:
    with Client(cluster=cluster.name) as by_name:
        assert by_name.ids == {0, 1, 2, 3}
        assert by_name.cluster == cluster.name
        address = by_name._core.address
    with Client(cluster.report["client_file"]) as by_path:
        assert by_path.ids == {0, 1, 2, 3}
    with Client(Path(cluster.report["client_file"])) as by_path:
        assert by_path[0].apply_sync(abs, -1) == 1
    with Client(address) as by_address:
        assert by_address.ids == {0, 1, 2, 3}


def test_tcp(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1, listen="127.0.0.1:0")
    tcp = next(address for address in cluster.report["addresses"] if address.startswith("tcp://"))
    with Client(tcp) as rc:
        assert rc[0].apply_sync(abs, -1) == 1


def test_an_unknown_address_says_where_it_was_looked_for(cluster: Cluster) -> None:
    with pytest.raises(ConnectionFileError) as caught:
        Client("tcp://192.0.2.1:10101")
    assert "tcp://192.0.2.1:10101" in str(caught.value)
    assert os.environ["IPCLUSTERZ_HOME"] in str(caught.value)
    assert "hint: " in str(caught.value)
    assert cluster.report["addresses"][0] in caught.value.hint


def test_an_unknown_name(cluster: Cluster) -> None:
    with pytest.raises(ConnectionFileError, match="nobody") as caught:
        Client(cluster="nobody")
    assert cluster.name in str(caught.value)
    with pytest.raises(ipz.IpclusterzError, match="no/name"):
        Client(cluster="no/name")


def test_only_one_way_at_a_time(file: Path) -> None:
    with pytest.raises(TypeError, match="not both"):
        Client(file, cluster="x")
    with pytest.raises(TypeError):
        Client(3)  # type: ignore[arg-type]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFileError, match="nowhere") as caught:
        Client(tmp_path / "nowhere.json")
    assert caught.value.hint


@pytest.mark.parametrize("content", ["", "{", '{"version": 1}', "[]", "\0\0"])
def test_a_damaged_file(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(ConnectionFileError, match=r"client\.json") as caught:
        Client(file)
    assert caught.value.hint


def test_a_truncated_file(file: Path) -> None:
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    with pytest.raises(ConnectionFileError, match=r"client\.json"):
        Client(file)


def test_a_file_of_another_version(file: Path) -> None:
    with pytest.raises(ConnectionFileError, match="version"):
        Client(changed(file, version=99))


def test_a_file_that_others_can_read(file: Path) -> None:
    file.chmod(0o644)
    with pytest.raises(ConnectionFileError) as caught:
        Client(file)
    assert "chmod" in caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    # A folder: what root cannot read either.
    with pytest.raises(ConnectionFileError):
        Client(tmp_path)


def test_an_engines_file_does_not_admit_a_client(cluster: Cluster) -> None:
    with pytest.raises(ipz.AuthenticationError, match="for an engine, not for a client") as caught:
        Client(cluster.report["engine_file"])
    assert caught.value.hint


@pytest.mark.parametrize("address", ["ipc:///tmp/ipz-nobody-here/controller.sock", "tcp://127.0.0.1:9"])
def test_nobody_at_the_address(file: Path, address: str) -> None:
    with pytest.raises(ControllerUnreachable) as caught:
        Client(changed(file, addresses=[address], curve=None), timeout=1)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.hint


def test_a_client_of_a_cluster_that_is_gone(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with Client(cluster=cluster.name) as rc:
        view = rc[0]
        cluster.stop()
        with pytest.raises((ControllerUnreachable, ipz.EngineError)):
            view.apply_async(abs, -1).get(timeout=10)
        with pytest.raises(ControllerUnreachable):
            rc.status(timeout=5)
        with pytest.raises(ipz.IpclusterzError):
            rc[0]


def test_a_closed_client(cluster: Cluster) -> None:
    rc = cluster.connect_client()
    view, balanced = rc[:], rc[None]
    result = view.apply_async(abs, -1)
    assert result.get() == [1, 1, 1, 1]
    rc.close()
    rc.close()
    assert rc.closed
    assert repr(rc) == "<Client: closed>"
    assert result.get() == [1, 1, 1, 1]
    for call in (
        lambda: rc.ids,
        lambda: rc[0],
        rc.status,
        rc.interrupt,
        rc.abort,
        lambda: rc.wait_for_engines(1),
        lambda: view.apply_async(abs, -1),
        lambda: view.push({"a": 1}),
        lambda: view["a"],
        lambda: balanced.apply_async(abs, -1),
        lambda: balanced.map_async(abs, [1]),
        view.interrupt,
        view.abort,
        view.shutdown,
    ):
        with pytest.raises(ipz.ClientClosed) as caught:
            call()
        assert caught.value.hint


def test_closing_ends_what_waits(cluster: Cluster, gate: Path) -> None:
    from helpers import hold

    rc = cluster.connect_client()
    waiting = rc[0].apply_async(hold, str(gate))
    rc.close()
    with pytest.raises(ipz.IpclusterzError):
        waiting.get(timeout=10)
    assert waiting.ready()


def test_representation(rc: Client) -> None:
    assert rc.cluster in repr(rc)
    assert "4 engines" in repr(rc)
    assert "0, 1, 2, 3" in repr(rc[:])
    assert repr(rc[2]) == "<DirectView of engine 2>"
    assert "all engines" in repr(rc[None])
