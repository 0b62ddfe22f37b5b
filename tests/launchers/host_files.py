"""The files of virtual hosts: users, names, and everything about SSH."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import slurm
from system import run

if TYPE_CHECKING:
    from hosts import VirtualHosts

# Of an sshd that knows one key and needs no PAM. The port is 22 unless its command line says another.
SSHD_CONFIG = """\
PidFile /run/sshd.pid
AuthorizedKeysFile {keys}
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
MaxSessions 100
PrintMotd no
AcceptEnv OMPI_* SLURM_* PYTHON*
Subsystem sftp internal-sftp
"""


def write_files(hosts: VirtualHosts) -> None:
    """Write what the hosts read when they boot, and the common home."""
    etc = hosts.folder / "etc"
    ssh = etc / "ssh"
    for folder in (etc, ssh, hosts.home, hosts.folder / "log"):
        folder.mkdir(mode=0o700, exist_ok=True)
    lines = [f"{hosts.address(index)} {name}\n" for index, name in enumerate(hosts.names)]
    (etc / "hosts").write_text("".join(["127.0.0.1 localhost\n", f"{hosts.gateway} outside\n", *lines]))
    (etc / "passwd").write_text(passwd(hosts.home))
    for file in (*(etc / f"hostkey.{name}" for name in hosts.names), ssh / "id_ed25519"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file))
    (etc / "sshd_config").write_text(SSHD_CONFIG.format(keys=ssh / "id_ed25519.pub"))
    known = ""
    for index, name in enumerate(hosts.names):
        known += f"{name},{hosts.address(index)} {(etc / f'hostkey.{name}.pub').read_text()}"
    (ssh / "known_hosts").write_text(known)
    for file in ssh.iterdir():
        file.chmod(0o600)
    if hosts.shared:
        shutil.copytree(ssh, hosts.home / ".ssh")
        (hosts.home / ".ssh").chmod(0o700)
    if hosts.slurm:
        slurm.write_files(hosts)


def passwd(home: Path) -> str:
    """This machine's users, but root lives elsewhere, and there is the one that sshd needs."""
    lines = Path("/etc/passwd").read_text().splitlines()
    lines = [f"root:x:0:0:root:{home}:/bin/bash" if line.startswith("root:") else line for line in lines]
    if not any(line.startswith("sshd:") for line in lines):
        lines.append("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin")
    return "\n".join(lines) + "\n"
