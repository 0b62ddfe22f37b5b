"""A build of `ipclusterz-mpi` on a site says at its beginning what is missing there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MPICC = "/usr/bin/mpicc.openmpi"
# pip asks for this before it builds anything.
FIRST_STEP = "import ipclusterz_mpi_build as build; print(build.get_requires_for_build_wheel())"
# Without these the program that stands for cargo would look for one on the network.
RUST = {
    name: os.environ.get(name, str(Path.home() / folder))
    for name, folder in (("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo"))
}
TOOLS = ("cargo", "rustc", "cc", "gcc", "as", "ld", "sh")

Site = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder to be PATH, with what a build needs except for what is missing."""

    def site(*missing: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        for tool in (*TOOLS, "mpicc"):
            found = shutil.which(tool)
            assert found is not None
            if tool not in missing:
                (folder / tool).symlink_to(found)
        return folder

    return site


def first_step(path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The first step of a build, in a process with these variables and few others."""
    environment = {"PATH": str(path), "PYTHONPATH": str(ROOT / "mpi-bridge/build_backend"), **RUST, **variables}
    command = [sys.executable, "-c", FIRST_STEP]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, cwd=ROOT / "mpi-bridge"
    )


def test_nothing_is_missing(site: Site) -> None:
    done = first_step(site(), MPICC=MPICC)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


@pytest.mark.parametrize(
    ("missing", "said", "advice"),
    [
        ("mpicc", "there is no mpicc on PATH", "MPICC=/path/to/mpicc"),
        ("cargo", "there is no cargo on PATH", "install Rust 1."),
        ("cc", "there is no C compiler cc on PATH", "install gcc"),
        # What mpicc calls.
        ("gcc", "does not compile a program with mpi.h", "MPICC=/path/to/mpicc"),
    ],
)
def test_what_is_missing_is_said(site: Site, missing: str, said: str, advice: str) -> None:
    variables = {"MPICC": MPICC} if missing != "mpicc" else {}
    done = first_step(site(missing), **variables)
    assert (done.stdout, done.returncode) == ("", 1)
    lines = done.stderr.splitlines()
    assert lines[0] == "error: ipclusterz-mpi cannot be built here"
    assert said in lines[1]
    assert advice in lines[2]
    assert lines[-1].startswith("hint: ")
    assert "Traceback" not in done.stderr


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    done = first_step(tmp_path)
    for said in ("there is no cargo", "there is no C compiler cc", "there is no mpicc"):
        assert said in done.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"MPICC": "/nowhere/mpicc"}, "the variable MPICC is /nowhere/mpicc, and there is no such program"),
        ({"MPICC": "/bin/false"}, "`/bin/false -show` does not say how it compiles"),
        # It says yes to everything, and compiles nothing.
        ({"MPICC": "/bin/echo"}, "/bin/echo does not compile a program with mpi.h"),
        ({"MPICC": MPICC, "LIBCLANG_PATH": "/nowhere"}, "LIBCLANG_PATH is /nowhere, and there is no libclang.so"),
        ({"MPICC": MPICC, "CC": "no-such-compiler"}, "there is no C compiler no-such-compiler on PATH"),
    ],
)
def test_a_variable_that_names_nothing(site: Site, variables: dict[str, str], said: str) -> None:
    done = first_step(site(), **variables)
    assert done.returncode == 1
    assert said in done.stderr


def test_an_old_rust_is_refused(site: Site) -> None:
    folder = site("cargo")
    cargo = folder / "cargo"
    cargo.write_text("#!/bin/sh\necho 'cargo 1.63.0 (fd9c4297c 2022-07-01)'\n")
    cargo.chmod(0o700)
    done = first_step(folder, MPICC=MPICC)
    assert "cargo is of Rust 1.63, and 1.95 is needed" in done.stderr


def test_pip_shows_it(site: Site, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "."]
    environment = {"PATH": str(site("mpicc")), "HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null", **RUST}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, cwd=ROOT / "mpi-bridge"
    )
    assert done.returncode == 1
    assert "there is no mpicc on PATH" in done.stderr + done.stdout
