"""Finding a cluster and connecting to it, with all that can be wrong with a connection file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import until

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
        assert by_name.cluster.name == cluster.name
        address = by_name._core.address
    with Client(cluster.report["client_file"]) as by_path:
        assert by_path.ids == {0, 1, 2, 3}
    with Client(Path(cluster.report["client_file"])) as by_path:
        assert by_path[0].apply_sync(abs, -1) == 1
    with Client(address) as by_address:
        assert by_address.ids == {0, 1, 2, 3}


# -- an address and a key ----------------------------------------------------------------------------------------------


@pytest.fixture
def tcp(own_cluster: Callable[..., Cluster]) -> tuple[str, Path]:
    """The TCP address of a cluster, and its clients' connection file."""
    cluster = own_cluster(1, listen="127.0.0.1:0")
    address = next(address for address in cluster.report["addresses"] if address.startswith("tcp://"))
    return address, Path(cluster.report["client_file"])


@pytest.fixture
def key(tcp: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that connection file, on a host where the cluster's own is not to be found."""
    copy = tmp_path / "key.json"
    shutil.copy(tcp[1], copy)
    monkeypatch.setenv("IPCLUSTERZ_HOME", str(tmp_path / "elsewhere"))
    return copy


def reaches(client: Client, address: str) -> bool:
    with client:
        return client._core.address == address and client[0].apply_sync(abs, -1) == 1


def test_an_address_of_ones_own_cluster(tcp: tuple[str, Path]) -> None:
    address, _ = tcp
    assert reaches(Client(address), address)
    assert reaches(Client(f"{address}/"), address)
    local = address.replace("127.0.0.1", "localhost")
    assert reaches(Client(local), local)


def test_every_name_of_a_host_that_listens_everywhere(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1, listen="0.0.0.0:0")
    port = cluster.report["addresses"][-1].rpartition(":")[2]
    for host in ("127.0.0.1", "127.0.0.2", "localhost"):
        assert reaches(Client(f"tcp://{host}:{port}"), f"tcp://{host}:{port}")
    # The port alone says nothing.
    with pytest.raises(ConnectionFileError, match=r"no key for tcp://192\.0\.2\.1:"):
        Client(f"tcp://192.0.2.1:{port}")


def test_a_key_as_file_and_as_text(tcp: tuple[str, Path], key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, _ = tcp
    with pytest.raises(ConnectionFileError, match="no key for"):
        Client(address)
    monkeypatch.setenv("HOME", str(key.parent))
    for given in (key, str(key), key.read_text(), f"  {key.read_text()}", "~/key.json"):
        assert reaches(Client(address, key=given), address)


def test_a_key_for_a_forwarded_port(tcp: tuple[str, Path], key: Path) -> None:
    # What the file says of addresses is how the cluster is reached from elsewhere.
    text = changed(key, addresses=["tcp://192.0.2.1:1"], host="far-away").read_text()
    assert reaches(Client(tcp[0], key=key), tcp[0])
    assert reaches(Client(tcp[0], key=text), tcp[0])


def test_the_key_that_a_variable_names(
    tcp: tuple[str, Path], key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPCLUSTERZ_KEY_FILE", str(key))
    assert reaches(Client(tcp[0]), tcp[0])
    monkeypatch.setenv("IPCLUSTERZ_KEY_FILE", str(tmp_path / "nowhere.json"))
    with pytest.raises(ConnectionFileError, match=r"nowhere\.json"):
        Client(tcp[0])
    # The argument is stronger than the variable, and the variable concerns addresses alone.
    assert reaches(Client(tcp[0], key=key), tcp[0])
    with Client(tcp[1]) as rc:
        assert rc.ids == {0}


@pytest.mark.parametrize("given", [{}, {"IPCLUSTERZ_KEY_FILE": ""}])
def test_without_a_key_it_says_where_it_looked(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionFileError) as caught:
        Client("tcp://192.0.2.1:10101")
    for place in ("tcp://192.0.2.1:10101", "key=", "IPCLUSTERZ_KEY_FILE", os.environ["IPCLUSTERZ_HOME"], "client.json"):
        assert place in caught.value.message
    assert cluster.report["addresses"][0] in caught.value.hint
    monkeypatch.setenv("IPCLUSTERZ_HOME", "/nowhere")
    with pytest.raises(ConnectionFileError, match="no cluster of yours is running"):
        Client("tcp://192.0.2.1:10101")
    monkeypatch.delenv("IPCLUSTERZ_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", "/nowhere/state")
    with pytest.raises(ConnectionFileError, match="/nowhere/state/ipclusterz/clusters"):
        Client("tcp://192.0.2.1:10101")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/nowhere/home")
    with pytest.raises(ConnectionFileError, match=r"/nowhere/home/\.local/state/ipclusterz/clusters"):
        Client("tcp://192.0.2.1:10101")


def test_keys_that_are_none(tcp: tuple[str, Path], key: Path, tmp_path: Path) -> None:
    address, _ = tcp
    for text in ("{", "{}", '{"version": 1}', key.read_text()[:-20]):
        with pytest.raises(ConnectionFileError, match="key="):
            Client(address, key=text)
    with pytest.raises(ConnectionFileError, match="version"):
        Client(address, key=json.dumps({**json.loads(key.read_text()), "version": 99}))
    with pytest.raises(ConnectionFileError, match="nowhere"):
        Client(address, key=tmp_path / "nowhere")
    with pytest.raises(ConnectionFileError, match="neither a file that is there"):
        Client(address, key="nonsense")
    with pytest.raises(TypeError):
        Client(address, key=3)  # type: ignore[arg-type]
    key.chmod(0o644)
    with pytest.raises(ConnectionFileError) as caught:
        Client(address, key=key)
    assert "chmod" in caught.value.hint


def test_addresses_that_are_none(key: Path) -> None:
    for bad in ("http://127.0.0.1:10101", "tcp://127.0.0.1", "tcp://:10101", "tcp://127.0.0.1:port", "ipc://relative"):
        with pytest.raises(ConnectionFileError, match=r"is no address of a controller"):
            Client(bad, key=key)
        with pytest.raises(ConnectionFileError, match=r"no key for|is no address of a controller"):
            Client(bad)


def test_a_key_of_a_cluster_that_has_no_port(file: Path) -> None:
    with pytest.raises(ConnectionFileError, match=r"(?s)has no keys.*hint: .*--listen"):
        Client("tcp://127.0.0.1:10101", key=file)


def test_keys_of_others(own_cluster: Callable[..., Cluster], tcp: tuple[str, Path], key: Path) -> None:
    with pytest.raises(ipz.AuthenticationError, match="for an engine"):
        Client(tcp[0], key=(tcp[1].parent / "engine.json").read_text())
    # Every start of a cluster makes fresh keys.
    other = json.loads(key.read_text())
    other["curve"] = {**other["curve"], "public": other["curve"]["server"]}
    with pytest.raises((ipz.AuthenticationError, ControllerUnreachable)) as caught:
        Client(tcp[0], key=json.dumps(other), timeout=2)
    assert other["curve"]["secret"] not in str(caught.value)


# -- a profile ---------------------------------------------------------------------------------------------------------


def test_by_profile(
    cluster: Cluster, own_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = tmp_path / "ipclusterz" / "profiles"
    profiles.mkdir(parents=True)
    (profiles / "lab.toml").write_text("[engines]\ncount = 1\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with monkeypatch.context() as environment:
        environment.setenv("IPCLUSTERZ_PROFILE", "lab")
        lab = own_cluster(1)
    with Client(profile="lab") as rc:
        assert rc.cluster.name == lab.name
    with Client(profile="default") as rc:
        assert rc.cluster.name == cluster.name
    own_cluster(1)
    with pytest.raises(ConnectionFileError, match="2 clusters run with profile 'default'") as caught:
        Client(profile="default")
    assert cluster.name in str(caught.value)
    assert "Client(cluster=" in caught.value.hint
    with pytest.raises(ConnectionFileError, match=r"no cluster with profile 'nobody'") as caught:
        Client(profile="nobody")
    assert os.environ["IPCLUSTERZ_HOME"] in str(caught.value)
    assert "profiles of running clusters: default, lab" in caught.value.hint
    monkeypatch.setenv("IPCLUSTERZ_HOME", "/nowhere")
    with pytest.raises(ConnectionFileError, match="no cluster is running"):
        Client(profile="lab")


# -- names and files ---------------------------------------------------------------------------------------------------


def test_an_unknown_name(cluster: Cluster) -> None:
    with pytest.raises(ConnectionFileError, match="nobody") as caught:
        Client(cluster="nobody")
    assert cluster.name in str(caught.value)
    with pytest.raises(ipz.IpclusterzError, match="no/name"):
        Client(cluster="no/name")


def test_only_one_way_at_a_time(file: Path) -> None:
    for arguments, keywords, text in (
        ((file,), {"cluster": "x"}, r"by an address or file and cluster="),
        ((file,), {"profile": "x"}, r"by an address or file and profile="),
        (("tcp://127.0.0.1:9",), {"cluster": "x"}, r"by an address or file and cluster="),
        ((), {"cluster": "x", "profile": "y"}, r"by cluster= and profile="),
        ((file,), {"key": file}, r"key= goes with an address"),
        ((), {"key": file}, r"key= goes with an address"),
        ((), {"cluster": "x", "key": file}, r"key= goes with an address"),
    ):
        with pytest.raises(TypeError, match=text):
            Client(*arguments, **keywords)  # type: ignore[arg-type]
    for bad in (3, b"/tmp", ["a"]):
        with pytest.raises(TypeError):
            Client(bad)  # type: ignore[arg-type]


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
    assert rc.cluster.name in repr(rc)
    assert "4 engines" in repr(rc)
    assert "0, 1, 2, 3" in repr(rc[:])
    assert repr(rc[2]) == "<DirectView of engine 2>"
    assert "all engines" in repr(rc[None])


def test_the_variable_of_the_launcher_names_the_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPCLUSTERZ_CLUSTER", cluster.name)
    with Client() as rc:
        assert rc.cluster.name == cluster.name
    monkeypatch.setenv("IPCLUSTERZ_CLUSTER", "no-such-cluster")
    with pytest.raises(ConnectionFileError, match="no-such-cluster"):
        Client()
    with Client(cluster=cluster.name) as rc:
        assert rc.cluster.name == cluster.name


def test_a_name_in_place_of_a_file(cluster: Cluster) -> None:
    with pytest.raises(ConnectionFileError, match=rf"Client\(cluster='{cluster.name}'\)"):
        Client(cluster.name)


@pytest.mark.parametrize("shape", ["{secret}", "[{secret}]", "\ufeff{secret}", '"{secret}"'])
def test_what_may_be_a_key_is_not_repeated(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{8]yB7{"
    given = shape.replace("{secret}", secret)
    with pytest.raises(ConnectionFileError, match="characters") as caught:
        Client("tcp://127.0.0.1:9", key=given)
    assert secret not in str(caught.value)
    monkeypatch.setenv("IPCLUSTERZ_KEY_FILE", given)
    with pytest.raises(ConnectionFileError, match="the variable IPCLUSTERZ_KEY_FILE") as caught:
        Client("tcp://127.0.0.1:9")
    assert secret not in str(caught.value)
    with pytest.raises(TypeError, match="not bytes"):
        Client("tcp://127.0.0.1:9", key=secret.encode())  # type: ignore[arg-type]


def test_an_address_with_a_typing_mistake() -> None:
    with pytest.raises(ConnectionFileError, match="'htp://x' is no address of a controller"):
        Client("htp://x")


def test_a_client_whose_cluster_has_ended_says_so(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with Client(cluster.report["client_file"]) as rc:
        view = rc[0]
        cluster.stop()
        until(lambda: "ended" in repr(rc))
        for call in (lambda: rc.ids, lambda: rc[:], lambda: rc.execute("1"), rc.interrupt, lambda: view.apply(abs, 1)):
            with pytest.raises(ControllerUnreachable):
                call()
