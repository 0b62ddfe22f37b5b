"""Nobody is told to install `ipclusterz` or `ipclusterz-mpi` from an index: the names there are not the project's yet.

Hints and pages name a wheel, a folder, or a folder of wheels with ``--no-index``. When the names are the project's,
this goes, with what the comments in launcher/host/src/hints.rs and runtime/python/ipclusterz/wheels.py say.
"""

from __future__ import annotations

import re
import subprocess

import pytest
from pages import ROOT

from ipclusterz import wheels

# From `pip install` to the end of the command: of the line, of code in backquotes, of a text in quotes, of a comment.
_INSTALL = re.compile(r"\bpip3? install\b([^\n`#;\"]*)")
_NAME = re.compile(r"(?<![\w./-])ipclusterz([-_]mpi)?(?![\w./-]*\.whl)(?![/\w])", re.IGNORECASE)


def from_index(text: str) -> list[str]:
    """Each `pip install` that would look one of the names up on an index."""
    text = text.replace("\\\n", " ")
    return [found[0] for found in _INSTALL.finditer(text) if "--no-index" not in found[1] and _NAME.search(found[1])]


def test_nothing_is_installed_from_an_index() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=20)
    wrong, installs = [], 0
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not path.is_file() or path.name == "test_installing.py":
            continue
        text = path.read_text(errors="replace")
        installs += len(_INSTALL.findall(text))
        wrong += [f"{name}: {command}" for command in from_index(text)]
    assert installs > 10
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "command",
    [
        "pip install ipclusterz",
        "python -m pip install ipclusterz==0.2.0",
        "pip install --upgrade 'ipclusterz[mpi]'",
        "`pip install ipclusterz-mpi`",
        "pip install numpy \\\n  ipclusterz_mpi",
    ],
)
def test_a_name_is_noticed(command: str) -> None:
    assert from_index(command)


@pytest.mark.parametrize(
    "command",
    [
        "pip install ./ipclusterz-0.2.0-*.whl",
        "pip install wheels/ipclusterz_mpi-0.2.0-py3-none-any.whl",
        "pip install --no-index --find-links wheels 'ipclusterz[mpi]'",
        "pip install . # ipclusterz is built here",
        "pip install tqdm",
    ],
)
def test_a_file_is_not(command: str) -> None:
    assert not from_index(command)


def test_program_and_package_name_the_same_wheel() -> None:
    hints = (ROOT / "launcher/host/src/hints.rs").read_text()
    pieces = re.search(r'concat!\("([^"]*)", env!\("CARGO_PKG_VERSION"\), "([^"]*)"\)', hints)
    assert pieces is not None
    assert wheels.VERSION.join(pieces.groups()) == wheels.PACKAGE
