"""What `make dist` has made: its tags are true, it asks for nothing but glibc, and an index would take it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = ROOT / "target/dist/venv/bin"
OTHERS = ROOT / "target/dist/old-host/wheels"
PROGRAMS = Path(__file__).with_name("programs")
FILES = sorted((ROOT / "dist").glob("ipclusterz*"))
WHEELS = [path for path in FILES if path.suffix == ".whl"]

# The libraries of glibc that a program for 2.17 may name, and the loader.
GLIBC = {
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "ld-linux-x86-64.so.2",
}
OLDEST = (2, 17)

each_wheel = pytest.mark.parametrize("wheel", WHEELS, ids=lambda path: path.name)


def run(*words: object) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_all_are_there() -> None:
    assert any(path.name.endswith(".tar.gz") for path in FILES)
    for python in ("cp39-cp39", "cp310-cp310", "cp311-abi3"):
        assert any(f"-{python}-" in path.name and "manylinux_2_17_x86_64" in path.name for path in WHEELS), python


def test_an_index_takes_them() -> None:
    assert run(BIN / "twine", "check", "--strict", *FILES).count("PASSED") == len(FILES)


@each_wheel
def test_the_platform_is_true(wheel: Path) -> None:
    assert re.search(
        r'consistent with the following platform\s+tag:\s+"manylinux_2_17_x86_64"',
        run(BIN / "auditwheel", "show", wheel),
    )


def test_the_python_is_true() -> None:
    [wheel] = [path for path in WHEELS if "-abi3-" in path.name and path.name.startswith("ipclusterz-")]
    run(BIN / "abi3audit", "--strict", wheel)


@each_wheel
def test_nothing_but_glibc_is_asked_for(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    programs = [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]
    assert programs
    for program in programs:
        told = run("readelf", "--wide", "--dynamic", "--version-info", program)
        needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", told))
        assert needed <= GLIBC, program
        wanted = set(re.findall(r"Name: (\S+) +Flags", told))
        assert {name for name in wanted if not name.startswith("GLIBC_")} == set(), program
        numbers = [tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in wanted if name[6:7].isdigit()]
        assert max(numbers) <= OLDEST, (program, wanted)
        # Nor are there folders of the machine that it was built on.
        assert not re.search(r"\((RPATH|RUNPATH)\)", told)


def test_an_empty_environment_of_this_machine(tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(
        python,
        "-m",
        "pip",
        "install",
        "--no-index",
        "--find-links",
        ROOT / "dist",
        "--find-links",
        OTHERS,
        "ipclusterz",
    )
    # The package of this environment, not that of the tests.
    private = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    private["PATH"] = f"{tmp_path}/venv/bin:{os.environ['PATH']}"
    done = subprocess.run([python, PROGRAMS / "shell.py"], env=private, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0
