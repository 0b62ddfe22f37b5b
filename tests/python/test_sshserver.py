"""Clusters on another host, which a real sshd of the test's own plays; what it starts is killed to cut the line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import Client, Cluster, ConnectionFileError, ControllerUnreachable, EngineError
from ipclusterz.client.command import program as _program


class Server:
    """An sshd on a port of the loopback address, whose sessions find the clusters of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("host", "id", "locked"):
            phrase = "open sesame" if name == "locked" else ""
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", folder / name], check=True)
        keys = (folder / "id.pub").read_text() + (folder / "locked.pub").read_text()
        (folder / "authorized_keys").write_text(keys)
        self.process: subprocess.Popen[bytes] | None = None
        while self.process is None:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.start()
        ssh = folder / ".ssh"
        ssh.mkdir(mode=0o700)
        (ssh / "config").write_text(f"Host there\n  HostName 127.0.0.1\n  Port {self.port}\n")
        (ssh / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}")

    def start(self) -> None:
        settings = self.folder / "sshd_config"
        settings.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
            f"SetEnv IPCLUSTERZ_HOME={os.environ['IPCLUSTERZ_HOME']}\n"
        )
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(settings)]
        if os.geteuid() == 0:
            # As root it wants an empty folder /run/sshd, and gets a /run of its own.
            script = 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", script, "sh", *command]
        log = self.folder / "sshd.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        listening = f"Server listening on 127.0.0.1 port {self.port}"
        until(lambda: self.process is None or self.process.poll() is not None or listening in log.read_text())
        if self.process.poll() is not None:
            self.process = None

    def crash(self) -> None:
        """End the server and every session of it, as when its host crashes."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGSTOP)
        sessions = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        for session in sessions:
            try:
                session.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(sessions, timeout=10)
        self.process = None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The other host; ``there`` in the configuration of the user whose home is the test's folder."""
    server = Server(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    yield server
    server.crash()


def tunnels() -> list[psutil.Process]:
    # Sessions of a server that has crashed become children of this process, and zombies.
    living = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    return [child for child in living if "tunnel" in child.cmdline()]


def test_a_client_through_ssh(server: Server, cluster: Cluster) -> None:
    with Client(sshserver="there", sshkey=server.folder / "id", cluster=cluster.name) as client:
        assert client.ids == {0, 1, 2, 3}
        assert set(client[:].apply_sync(abs, -1).values()) == {1}
        large = os.urandom(3_000_000)
        client[0].push({"large": large}, block=True)
        assert client[0].pull("large", block=True) == large
        client[0].execute("del large", block=True)
        assert len(tunnels()) == 1
    assert tunnels() == []


@pytest.mark.parametrize("backend", ["libssh2", "openssh"])
def test_the_backend_is_chosen(server: Server, cluster: Cluster, backend: str) -> None:
    def check(client: Client) -> None:
        assert client[0].apply_sync(abs, -1) == 1
        [tunnel] = tunnels()
        programs = [child.name() for child in tunnel.children()]
        assert programs == (["ssh"] if backend == "openssh" else [])

    # The system's ssh takes the home of /etc/passwd for its configuration, so that this is given to it.
    profile = server.folder / "far.toml"
    ssh = server.folder / ".ssh"
    table = f'[ssh]\nconfig = "{ssh}/config"\nknown_hosts = ["{ssh}/known_hosts"]\n'
    profile.write_text(table)
    far: dict[str, Any] = {"sshserver": "there", "sshkey": server.folder / "id", "cluster": cluster.name}
    with Client(**far, profile=str(profile), sshbackend=backend) as client:
        check(client)
    profile.write_text(f'{table}backend = "{backend}"\n')
    with Client(**far, profile=str(profile)) as client:
        check(client)


def test_by_tcp_when_the_controller_has_no_other_way(
    server: Server, own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = own_cluster(1, listen="127.0.0.1:0")
    # As if it ran on a host behind the one with the sshd.
    file = Path(cluster.report["client_file"])
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "host": "behind"}))
    with Client(sshserver="there", sshkey=server.folder / "id", cluster=cluster.name) as client:
        assert client[0].apply_sync(abs, -1) == 1
        assert client._core.address.startswith("tcp://127.0.0.1:")
    file.write_text(json.dumps(content))


def test_a_result_that_came_meanwhile_is_not_lost(server: Server, cluster: Cluster, gate: Path) -> None:
    with Client(sshserver="there", sshkey=server.folder / "id", cluster=cluster.name) as client:
        running = client[0].apply(hold, gate, "held")
        until(lambda: "held" in running.stdout)
        server.crash()
        gate.touch()
        with cluster.connect_client() as other:
            # Behind it: the result of the first has come when this one has.
            assert other[0].apply_sync(abs, -1) == 1
        server.start()
        assert running.get(timeout=30) > 0
        assert client[1].apply_sync(abs, -2) == 2


def test_a_passphrase(server: Server, cluster: Cluster) -> None:
    locked = server.folder / "locked"
    with Client(sshserver="there", sshkey=locked, password="open sesame", cluster=cluster.name) as client:
        assert client[0].apply_sync(abs, -1) == 1
        command = [word for process in tunnels() for word in [*process.cmdline(), *process.environ().values()]]
        assert "open sesame" not in "\n".join(command)
    with pytest.raises(ControllerUnreachable, match=r"wrong passphrase|no answer") as caught:
        Client(sshserver="there", sshkey=locked, password="closed sesame", cluster=cluster.name)
    assert "closed sesame" not in str(caught.value)


def test_what_can_be_wrong(server: Server, cluster: Cluster) -> None:
    key = server.folder / "id"
    with pytest.raises(ConnectionFileError, match=rf'(?s)no cluster "nosuch" on there.*{cluster.name}'):
        Client(sshserver="there", sshkey=key, cluster="nosuch")
    with pytest.raises(ControllerUnreachable, match='does not let user "root" in'):
        Client(sshserver="root@there", cluster=cluster.name)
    with pytest.raises(ipz.ClusterError, match="there is no file"):
        Client(sshserver="there", sshkey="/nowhere/id")
    with pytest.raises(TypeError, match="cluster= names the cluster there, not an address"):
        Client("tcp://127.0.0.1:1", sshserver="there")
    with pytest.raises(TypeError, match="cluster= names the cluster there, not key="):
        Client(sshserver="there", key="client.json")
    for alone in ({"sshkey": key}, {"password": "x"}, {"sshbackend": "openssh"}):
        with pytest.raises(TypeError, match="go with sshserver="):
            Client(**alone)
    with pytest.raises(ValueError, match="sshbackend is 'libssh2' or 'openssh', not 'ssh2'"):
        Client(sshserver="there", sshbackend="ssh2")
    for name, bad in (("sshbackend", 2), ("profile", 3), ("cluster", 4), ("sshserver", 5)):
        with pytest.raises(TypeError, match=f"{name}= is text, not int"):
            Client(**{"sshserver": "there", name: bad})
    with pytest.raises(ipz.ClusterError, match=r'(?s)no profile "nosuch".*hint: .*profiles there are: .*local'):
        Client(sshserver="there", profile="nosuch")
    (server.folder / ".ssh" / "known_hosts").write_text("")
    with pytest.raises(ControllerUnreachable, match=r"(?s)host key.*not known.*SHA256:.*hint: .*echo .* ssh-ed25519 "):
        Client(sshserver="there", sshkey=key, cluster=cluster.name)
    server.crash()
    with pytest.raises(ControllerUnreachable, match="Connection refused"):
        Client(sshserver="there", sshkey=key, cluster=cluster.name)
    assert tunnels() == []


@pytest.mark.parametrize("backend", ["libssh2", "openssh"])
def test_the_command(server: Server, cluster: Cluster, backend: str) -> None:
    command = [_program(), "tunnel", "there", "--cluster", cluster.name, "--as", "lab", "--backend", backend]
    command += ["-i", str(server.folder / "id"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        report: dict[str, Any] = json.loads(process.stdout.readline())
        assert report["cluster"] == cluster.name
        file = Path(report["file"])
        assert file.stat().st_mode & 0o777 == 0o600
        for arguments in ({"cluster": "lab"}, {"path_or_url": file}):
            with Client(**arguments) as client:
                assert set(client[:].apply_sync(abs, -1).values()) == {1}
        again = subprocess.run(command, capture_output=True, text=True)
        assert again.returncode == 4, again.stderr
        process.terminate()
        assert process.wait(20) == 0
    assert not file.exists()


def test_it_ends_with_the_cluster(server: Server, own_cluster: Callable[..., Cluster], gate: Path) -> None:
    cluster = own_cluster(1, controller={"restart": False})
    with Client(sshserver="there", sshkey=server.folder / "id", cluster=cluster.name) as client:
        waiting = client[0].apply_async(hold, str(gate))
        os.kill(cluster.report["controller_pid"], signal.SIGKILL)
        with pytest.raises(EngineError, match="has ended"):
            waiting.get(45)
    assert tunnels() == []


def test_it_ends_with_the_process_that_asked_for_it(server: Server, cluster: Cluster) -> None:
    script = (
        "import sys, time; from ipclusterz import Client\n"
        f"client = Client(sshserver='there', sshkey={str(server.folder / 'id')!r}, cluster={cluster.name!r})\n"
        "print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        [tunnel] = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
    psutil.wait_procs([tunnel], timeout=20)
    assert not tunnel.is_running() or tunnel.status() == psutil.STATUS_ZOMBIE
