"""A private sshd on a free port of this machine, for tests of SSH that need no other host.

It has its own keys, users and /run; who logs in gets an empty home in a temporary folder. For clients there is a
`.ssh` with `config`, `known_hosts` and a key, which must be named to them: OpenSSH's programs take the home of
/etc/passwd, not $HOME.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from helpers import until
from host_files import SSHD_CONFIG, passwd
from system import HostsError, end, run, spawn

ALIAS = "testhost"


class Sshd:
    """An SSH server, running until it is closed. With a `password` that alone lets in, else a key alone.

    Attributes
    ----------
    port : int
        Where it listens on 127.0.0.1.
    home : Path
        Home of who logs in. `home / ".ssh"` is the client's side as well.
    config : Path
        A client's configuration, in which the server is called `testhost`.
    """

    def __init__(self, password: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="izs", dir="/tmp"))
        self.home = self.folder / "home"
        ssh = self.home / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        self.config = ssh / "config"
        self.known_hosts = ssh / "known_hosts"
        self.identity = ssh / "id_ed25519"
        for key in (self.identity, self.folder / "hostkey"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key))
        (self.folder / "passwd").write_text(passwd(self.home))
        # With a password, no key lets in.
        keys = self.identity.with_suffix(".pub") if password is None else "none"
        config = SSHD_CONFIG.format(keys=keys)
        if password is not None:
            config = config.replace("PasswordAuthentication no", "PasswordAuthentication yes")
            hashed = run("openssl", "passwd", "-6", "-stdin", input=password).strip()
            (self.folder / "shadow").touch(mode=0o600)
            (self.folder / "shadow").write_text(f"root:{hashed}:19000:0:99999:7:::\n")
        (self.folder / "sshd_config").write_text(config)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        public = (self.folder / "hostkey.pub").read_text().rsplit(" ", 1)[0]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")
        self.config.write_text(
            f"Host {ALIAS}\n HostName 127.0.0.1\n Port {self.port}\n User root\n"
            f" IdentityFile {self.identity}\n IdentitiesOnly yes\n UserKnownHostsFile {self.known_hosts}\n"
        )
        for file in ssh.iterdir():
            file.chmod(0o600)
        # sshd wants an empty folder in /run, and takes a home from /etc/passwd: in a mount namespace it has both.
        script = """
            mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && mount --bind "$0/passwd" /etc/passwd &&
            if [ -e "$0/shadow" ]; then mount --bind "$0/shadow" /etc/shadow; fi &&
            exec /usr/sbin/sshd -D -f "$0/sshd_config" -h "$0/hostkey" -o Port=$1 -o ListenAddress=127.0.0.1 \
                -E "$0/log"
        """
        command = ["unshare", "--mount", "sh", "-c", script, str(self.folder), str(self.port)]
        self._process: subprocess.Popen[str] = spawn(command, self.folder / "log", {"PATH": os.environ["PATH"]})
        try:
            until(self._answers, message="sshd does not answer")
        except BaseException as error:
            error.add_note((self.folder / "log").read_text(errors="replace"))
            self.close()
            raise

    @property
    def host_key_fingerprint(self) -> str:
        """As ssh shows it: `SHA256:...`."""
        return run("ssh-keygen", "-l", "-f", str(self.folder / "hostkey.pub")).split()[1]

    def ssh(self, *command: str) -> str:
        """Run a command through OpenSSH's client."""
        return run("ssh", "-F", str(self.config), ALIAS, *command, stdin=subprocess.DEVNULL)

    def close(self) -> None:
        """End it and its sessions, and remove its files."""
        if not self.folder.exists():
            return
        self._process.terminate()
        end(self._process)
        shutil.rmtree(self.folder)

    def __enter__(self) -> Sshd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise HostsError("sshd ended")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False
