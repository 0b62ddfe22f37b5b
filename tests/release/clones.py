"""What tests of releases do with a clone of the project."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAKE = Path(__file__).with_name("make_in_play.py")
SECONDS = 60
BRANCH = "main"
HANDED_DOWN = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "VERSION"}


@dataclass(frozen=True)
class Project:
    """A clone, and beside it a file in which the make in play writes the goals that it was called with."""

    root: Path

    @property
    def goals(self) -> list[str]:
        """What make was asked for, in that order."""
        file = self.root.with_suffix(".goals")
        return file.read_text().split() if file.exists() else []

    def git(self, *arguments: str) -> str:
        """What git says."""
        command = ["git", *arguments]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A script of the clone's own scripts/."""
        command = [sys.executable, f"scripts/{script}", *arguments]
        # As within `make release VERSION=...`.
        environment = {**os.environ, "MAKEFLAGS": "-- VERSION=9.8.7", "VERSION": "9.8.7"}
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=SECONDS)

    def release(self, version: str, *fault: str) -> subprocess.CompletedProcess[str]:
        """Make one; `fault` is what goes wrong in the make in play."""
        self.root.with_suffix(".fault").write_text(" ".join(fault))
        options = ["--make", str(MAKE), "--date", "2031-05-06"]
        return self.run("release", "make", version, *options)

    def build(self, *fault: str) -> None:
        """What is in dist/ when a release has been built."""
        self.root.with_suffix(".fault").write_text(" ".join(fault))
        # These tests may run below a make of their own, and the one in play refuses what that hands down.
        environment = {name: value for name, value in os.environ.items() if name not in HANDED_DOWN}
        for goal in ("clean-dist", "dist"):
            subprocess.run([str(MAKE), goal], cwd=self.root, env=environment, check=True, timeout=SECONDS)

    def edit(self, file: str, before: str, after: str) -> None:
        """Change a file, and commit it."""
        text = (self.root / file).read_text()
        assert before in text
        (self.root / file).write_text(text.replace(before, after, 1))
        self.git("commit", "--quiet", "--all", "--message", "A change")
