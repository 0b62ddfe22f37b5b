"""The wheel on a host with an old glibc and an old kernel, without a compiler and without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from old_host import HERE, ROOT, OldHost, old_host

SECONDS = 120

pytestmark = pytest.mark.timeout(3 * SECONDS)


@pytest.fixture(scope="module")
def bare() -> Iterator[OldHost]:
    """A host on which nothing is installed, with a folder of wheels, a page and the programs of these tests."""
    with old_host() as host:
        for path in ("tests/docs/run_page.py", "tests/docs/pages.py", "docs/tutorial/first-steps.md"):
            host.put(ROOT / path, f"/project/{path}")
        host.put(HERE / "programs", "/programs")
        yield host


@pytest.fixture(scope="module")
def host(bare: OldHost) -> OldHost:
    """The same with the package and IPython in /venv."""
    bare.run("python3", "-m", "venv", "/venv")
    # As a user of a cluster without internet would.
    bare.run(
        "/venv/bin/pip", "install", "--no-index", "--find-links", "/wheels", "ipclusterz", "ipython", seconds=SECONDS
    )
    return bare


@pytest.fixture(scope="module")
def there(host: OldHost) -> Iterator[None]:
    """An SSH server on the host itself, whose name for clients is `there`."""
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519")
    ssh = host.root / "root/.ssh"
    ssh.chmod(0o700)
    (ssh / "authorized_keys").write_text((ssh / "id_ed25519.pub").read_text())
    (ssh / "config").write_text("Host there\n  HostName 127.0.0.1\n")
    key = (host.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (ssh / "known_hosts").write_text(f"127.0.0.1 {key}there {key}")
    host.run("/usr/sbin/sshd")
    yield
    pid = (host.root / "run/sshd.pid").read_text() if (host.root / "run/sshd.pid").exists() else None
    assert pid is None


def test_there_is_no_way_but_the_wheel(bare: OldHost) -> None:
    assert "2.31" in bare.run("ldd", "--version")
    for program in ("cc", "gcc", "c++", "clang", "cargo", "rustc"):
        bare.run("sh", "-c", f"command -v {program}", status=127)
    routes = bare.run("cat", "/proc/net/route").splitlines()
    assert len(routes) == 1, routes
    # The kernel's part: pidfd_open(2) is of Linux 5.3.
    told = bare.run(
        "python3",
        "-c",
        "import ctypes; c = ctypes.CDLL(None, use_errno=True); c.syscall(434, 1, 0); print(ctypes.get_errno())",
    )
    assert told == "38\n"


def test_what_it_says_of_itself(host: OldHost) -> None:
    assert re.fullmatch(r"ipclusterz \d+\.\d+\.\d+ \(wire \d+\)\n", host.run("ipclusterz", "--version"))
    report = host.run("ipclusterz", "doctor")
    assert "error" not in report


def test_the_first_page(host: OldHost) -> None:
    host.run("python3", "/project/tests/docs/run_page.py", "/project/docs/tutorial/first-steps.md", seconds=SECONDS)


def test_engines_from_the_shell(host: OldHost) -> None:
    host.run("python3", "/programs/shell.py", seconds=SECONDS)


def test_tcp(host: OldHost) -> None:
    told = json.loads(host.run("python3", "/programs/tcp.py", seconds=SECONDS))
    assert told["address"].startswith("tcp://")
    assert told["sum"] == 499_999_500_000
    assert told["engines"] == 2


@pytest.mark.parametrize("backend", ["libssh2", "openssh"])
def test_ssh(host: OldHost, there: None, backend: str) -> None:
    told = json.loads(host.run("python3", "/programs/ssh.py", backend, seconds=SECONDS))
    assert told == {"client": 2, "engines": 2, "ssh": backend == "openssh"}


def test_nothing_is_left(host: OldHost) -> None:
    assert "ipclusterz" not in host.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -v '^sh'")
