"""The project as a repository of its own, in which releases can be made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from clones import BRANCH, ROOT, Project


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the files of this one, committed or not, in one commit; without a thousand small ones."""
    root = tmp_path_factory.mktemp("pristine") / "project"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ":!tests/fuzz/corpus"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        # What is removed, but not yet from git.
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    project = Project(root)
    project.git("init", "--quiet", f"--initial-branch={BRANCH}")
    project.git("config", "user.name", "Somebody")
    project.git("config", "user.email", "somebody@example.org")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "All")
    return root


@pytest.fixture
def project(pristine: Path, tmp_path: Path) -> Project:
    """A new copy."""
    shutil.copytree(pristine, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")
