"""`ipclusterz --version`: every line against what it is about."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import platform
import re
import socket
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tomllib

import ipclusterz as ipz
from ipclusterz._core import WIRE_VERSION

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "ipclusterz"
SECONDS = 60


def ask(*arguments: str, **variables: str) -> str:
    """What the command prints, beside the Python of these tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IPCLUSTERZ_")}
    done = subprocess.run(
        [PROGRAM, *arguments],
        env={**kept, "IPCLUSTERZ_PYTHON": sys.executable, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def told() -> Any:
    """All of it, as JSON."""
    return json.loads(ask("--version", "--verbose", "--json"))


def test_the_version_alone_is_one_line() -> None:
    assert ask("--version") == ask("-V") == f"ipclusterz {ipz.__version__} (wire {WIRE_VERSION})\n"
    assert json.loads(ask("--version", "--json")) == {
        "version": 1,
        "ipclusterz": ipz.__version__,
        "wire": WIRE_VERSION,
    }


def test_the_text_has_what_the_json_has(told: Any) -> None:
    first, *lines = ask("--version", "--verbose").splitlines()
    assert first == f"ipclusterz {ipz.__version__} (wire {WIRE_VERSION})"
    shown = {line[:10].rstrip(): line[11:] for line in lines}
    libraries, python = told["libraries"], told["python"]
    assert shown == {
        "commit": told["commit"],
        "target": told["target"],
        "glibc": f"{told['glibc']['needed']} or newer; this host has {told['glibc']['here']}",
        "rustc": told["rustc"].removeprefix("rustc "),
        **libraries,
        "python": f"{sys.executable}: {python['version']}",
        "package": ipz.__version__,
        "MPI bridge": "not installed",
    }


def test_the_build(told: Any) -> None:
    toolchain = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    assert re.match(rf"rustc {re.escape(toolchain)}[. ]", told["rustc"])
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(\+changes)?", told["commit"])
    assert told["target"].startswith(platform.machine())


def test_the_c_library(told: Any) -> None:
    assert f"glibc {told['glibc']['here']}" == os.confstr("CS_GNU_LIBC_VERSION")
    tables = subprocess.run(["readelf", "--version-info", PROGRAM], capture_output=True, text=True, timeout=SECONDS)
    used = {tuple(map(int, version.split("."))) for version in re.findall(r"Name: GLIBC_([\d.]+)", tables.stdout)}
    assert tuple(map(int, told["glibc"]["needed"].split("."))) == max(used)


def test_libzmq_and_libsodium(told: Any) -> None:
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    sources = {package["version"] for package in locked if package["name"] == "zeromq-src" and "source" in package}
    assert {version.partition("+")[2] for version in sources} == {told["libraries"]["libzmq"]}
    headers = [*ROOT.glob("target/**/libsodium-sys-stable-*/out/installed/include/sodium/version.h")]
    built = {re.findall(r'SODIUM_VERSION_STRING "(.+)"', header.read_text())[0] for header in headers}
    assert built == {told["libraries"]["libsodium"]}


def test_openssl_and_zlib(told: Any) -> None:
    loaded = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, timeout=SECONDS).stdout
    crypto = re.findall(r"libcrypto\.so\S* => (\S+)", loaded)
    assert len(crypto) == 1, "a build on this machine uses its OpenSSL"
    library = ctypes.CDLL(crypto[0])
    library.OpenSSL_version.restype = ctypes.c_char_p
    assert library.OpenSSL_version(0).decode() == f"OpenSSL {told['libraries']['openssl']}"
    assert told["libraries"]["zlib"] == zlib.ZLIB_RUNTIME_VERSION


def test_libssh2_is_what_it_calls_itself_to_servers(told: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        port = server.getsockname()[1]
        command = [PROGRAM, "tunnel", f"nobody@127.0.0.1:{port}", "--backend", "libssh2"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=home(tmp_path))
        try:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(SECONDS)
                greeting = connection.makefile("rb").readline()
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)
    assert greeting.decode().strip() == f"SSH-2.0-libssh2_{told['libraries']['libssh2']}"


def home(folder: Path) -> dict[str, str]:
    """Variables of a user who has nothing."""
    return {**os.environ, "HOME": str(folder), "IPCLUSTERZ_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


def test_the_python_beside_it(told: Any) -> None:
    assert told["python"] == {
        "program": sys.executable,
        "version": platform.python_version(),
        "package": {"version": ipz.__version__, "error": None},
        "bridge": {"version": None, "error": None, "serves": [], "library": None, "path": None},
        "error": None,
    }


def test_a_package_that_cannot_be_imported(tmp_path: Path) -> None:
    for name in ("ipclusterz", "ipclusterz_mpi"):
        (tmp_path / f"{name}.py").write_text(
            f"print('{name} is imported')\nraise OSError('{name} is broken\\n\\x1b[2J')"
        )
    lines = ask("--version", "--verbose", PYTHONPATH=str(tmp_path)).splitlines()
    assert "package    cannot be imported: OSError: ipclusterz is broken; \\x1b[2J" in lines
    assert "MPI bridge cannot be imported: OSError: ipclusterz_mpi is broken; \\x1b[2J" in lines


def test_nothing_is_imported_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ipclusterz_mpi.py").write_text("open('imported', 'w').close()")
    monkeypatch.chdir(tmp_path)
    assert "MPI bridge not installed" in ask("--version", "--verbose")
    assert not (tmp_path / "imported").exists()


def test_a_python_that_is_none(tmp_path: Path) -> None:
    assert 'python     there is no Python "/nowhere"' in ask("--version", "--verbose", IPCLUSTERZ_PYTHON="/nowhere")
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\necho 'not here' >&2\nexit 3\n")
    broken.chmod(0o755)
    shown = ask("--version", "--verbose", IPCLUSTERZ_PYTHON=str(broken))
    assert f"python     {broken}: it does not tell its version (exit status: 3): not here\n" in shown
    assert "package" not in shown


# -- the commit, which the build backend finds -------------------------------------------------------------------------


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build backend of a source in a folder of its own, without a commit."""
    monkeypatch.delenv("IPCLUSTERZ_COMMIT", raising=False)
    # Git looks no further up.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    copy = tmp_path / "source/runtime/py/build_backend/ipclusterz_build.py"
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / "runtime/py/build_backend/ipclusterz_build.py").read_text())
    monkeypatch.syspath_prepend(ROOT / "runtime/py/build_backend")
    spec = importlib.util.spec_from_file_location("backend_of_a_copy", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=20)
    return done.stdout.strip()


def test_the_commit_is_what_git_says(backend: ModuleType) -> None:
    assert backend.commit_of_source() == "unknown"
    git(backend.ROOT, "init", "--quiet")
    git(backend.ROOT, "add", ".")
    git(backend.ROOT, "commit", "--quiet", "--message", "one")
    head = git(backend.ROOT, "rev-parse", "HEAD")
    assert backend.commit_of_source() == head
    next(backend.ROOT.rglob("*.py")).write_text("changed")
    assert backend.commit_of_source() == f"{head}+changes"


def test_the_commit_of_a_folder_above_is_not_meant(backend: ModuleType) -> None:
    above = backend.ROOT.parent
    git(above, "init", "--quiet")
    git(above, "commit", "--quiet", "--allow-empty", "--message", "one")
    assert backend.commit_of_source() == "unknown"


def test_the_commit_of_a_source_distribution(backend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = []

    def pack(folder: str, _: object) -> str:
        packed.append(backend.COMMIT.read_text())
        return folder

    monkeypatch.setattr(backend.maturin, "build_sdist", pack)
    monkeypatch.setenv("IPCLUSTERZ_COMMIT", "abc")
    assert backend.build_sdist("dist") == "dist"
    assert packed == ["abc\n"]
    assert not backend.COMMIT.exists()
    monkeypatch.delenv("IPCLUSTERZ_COMMIT")
    # As it is unpacked, and packed again.
    backend.COMMIT.write_text("def\n")
    assert backend.commit_of_source() == "def"
    backend.build_sdist("dist")
    assert packed[1:] == ["def\n"]
    assert backend.COMMIT.exists()
