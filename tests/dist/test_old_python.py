"""What depends on the version of Python, with Python 3.9: a part of the tests of the package, on an older host."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from old_host import ROOT, OldHost, old_host

SECONDS = 300

# Code and its lines, errors and their tracebacks, signals, coroutines, IPython, processes, and what the package itself
# has for older versions.
FILES = (
    "asyncio",
    "dependency",
    "edited_modules",
    "engine_command",
    "engine_environment",
    "executor",
    "functions",
    "futures",
    "imports",
    "interrupts",
    "magics",
    "modules",
    "remote_errors",
    "restart",
    "serialize",
    "source_lines",
    "uploads",
    "working_folder",
)
TOOLS = ("hypothesis", "numpy", "pexpect", "psutil", "pytest", "pytest-timeout", "pytest-xdist")

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture
def host() -> Iterator[OldHost]:
    """A host with the package, IPython and what these tests need in /venv, and the tests in /suite."""
    with old_host() as host:
        host.put(ROOT / "pyproject.toml", "/suite/pyproject.toml")
        host.put(ROOT / "tests", "/suite/tests")
        host.run("python3", "-m", "venv", "/venv")
        wanted = ("ipclusterz", "ipython", *TOOLS)
        host.run("/venv/bin/pip", "install", "--no-index", "--find-links", "/wheels", *wanted, seconds=SECONDS)
        yield host


def test_the_package_with_its_oldest_python(host: OldHost) -> None:
    assert host.run("python3", "--version").startswith("Python 3.9.")
    files = [f"/suite/tests/python/test_{name}.py" for name in FILES]
    options = ["-q", "--numprocesses", "2", "-c", "/suite/pyproject.toml", "--rootdir", "/suite"]
    said = host.run("python3", "-m", "pytest", *options, *files, seconds=SECONDS)
    assert re.search(r"^\d{3,} passed(, \d+ warnings?)? in ", said, re.MULTILINE), said
