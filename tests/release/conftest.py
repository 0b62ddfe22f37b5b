"""The project as a repository of its own, in which releases can be made."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from clones import BRANCH, ROOT, Project

CRATES = ("tests/fuzz/", "tests/peers/")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the files of this one, committed or not, in one commit; without most tests, which are many."""
    root = tmp_path_factory.mktemp("pristine") / "project"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        # What is removed, but not yet from git, is no file.
        if (ROOT / name).is_file() and is_wanted(name):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    project = Project(root)
    project.git("init", "--quiet", f"--initial-branch={BRANCH}")
    project.git("config", "user.name", "Somebody")
    project.git("config", "user.email", "somebody@example.org")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "All")
    # One file instead of one for each object: it is copied for each test.
    project.git("gc", "--quiet")
    return root


def is_wanted(name: str) -> bool:
    """Of tests only the crates, which belong to the workspace, without the many examples of one."""
    return not name.startswith("tests/") or (name.startswith(CRATES) and "/corpus/" not in name)


@pytest.fixture
def project(pristine: Path, tmp_path: Path) -> Iterator[Project]:
    """A new copy, which is removed: pytest would keep it for a while."""
    shutil.copytree(pristine, tmp_path / "project", symlinks=True)
    yield Project(tmp_path / "project")
    shutil.rmtree(tmp_path / "project")
