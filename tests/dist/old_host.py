"""A host with an old glibc, without a compiler and without a network: a Debian 11 in namespaces of its own.

`scripts/dist/old-host` makes its file system. Its loopback interface is all the network that it has.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# What `scripts/dist/old-host` has made.
MADE = ROOT / "target/dist/old-host"

# The host's first process. Reads nothing and waits until the test ends it; with it end all others.
_INIT = """
set -e
root=$0
ip link set lo up
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir "$root/run/sshd"
hostname old
echo ready
exec chroot "$root" sleep infinity
"""


@contextmanager
def old_host() -> Iterator[OldHost]:
    """A host on which nothing is installed, with a folder of wheels."""
    with tempfile.TemporaryDirectory(prefix="ipzold", dir="/tmp") as folder:
        host = OldHost(MADE / "root.tar", Path(folder))
        try:
            host.put(HERE / "old_kernel.py", "/old_kernel.py")
            host.put(MADE / "wheels", "/wheels")
            for wheel in (ROOT / "dist").glob("*.whl"):
                host.put(wheel, f"/wheels/{wheel.name}")
            yield host
        finally:
            host.close()


class OldHost:
    """The host, until it is closed.

    Attributes
    ----------
    root : Path
        Its file system, as this machine sees it.
    """

    def __init__(self, image: Path, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        # It is given the devices of this machine.
        unpack = ["tar", "--extract", "--exclude", "./dev/*", "--file", str(image), "--directory", str(self.root)]
        subprocess.run(unpack, check=True)
        self._environment: dict[str, str] = {
            "PATH": "/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
        }
        spaces = ["--net", "--uts", "--ipc", "--pid", "--mount", "--fork", "--kill-child"]
        self._unshare = subprocess.Popen(
            ["unshare", *spaces, "sh", "-c", _INIT, str(self.root)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._unshare.stdout is not None
        assert self._unshare.stdout.readline() == "ready\n"
        [self._init] = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()

    def put(self, source: Path, place: str) -> None:
        """Copy a file or folder to it."""
        target = self.root / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)

    def command(self, *words: str) -> list[str]:
        """What runs a command there, on the kernel that goes with it."""
        enter = ["nsenter", "--target", self._init, "--net", "--uts", "--ipc", "--pid", "--mount", "--root", "--wd"]
        settings = [f"{name}={value}" for name, value in self._environment.items()]
        return [*enter, "env", "-i", *settings, "python3", "/old_kernel.py", *words]

    def run(self, *words: str, seconds: float = 60, status: int = 0) -> str:
        """Run a command there; what it printed."""
        done = subprocess.run(
            self.command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{' '.join(words)}: exit status {done.returncode}\n{said}"
        return said

    def close(self) -> None:
        """End all that runs there."""
        self._unshare.kill()
        self._unshare.communicate()
