"""What has to be so before a release is made. Each item says what is wrong, and what to do about it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import changelog
import versions
from versions import Failed, git


@dataclass(frozen=True)
class Release:
    """What is to be released, and from where."""

    root: Path
    version: str
    branch: str = "main"

    @property
    def tag(self) -> str:
        """Its name in git."""
        return f"v{self.version}"

    @property
    def subject(self) -> str:
        """The first line of its commit."""
        return f"Version {self.version}"

    def is_committed(self) -> bool:
        """Whether an earlier run has made the commit, and could not go on."""
        return changelog.has(self.root, self.version) and git(self.root, "log", "-1", "--format=%s") == self.subject


def check(release: Release) -> bool:
    """Print the list; whether all of it is so."""
    fine = True
    for title, item in ITEMS:
        try:
            item(release)
        except Failed as error:
            fine = False
            print(f"not ok  {title}")
            print("\n".join(f"        {line}" for line in str(error).splitlines()))
        else:
            print(f"ok      {title}")
    return fine


def _version(release: Release) -> None:
    versions.check(release.version)


def _clean(release: Release) -> None:
    changed = git(release.root, "status", "--porcelain").splitlines()
    if changed:
        shown = "\n".join(changed[:10])
        raise Failed(f"{len(changed)} files are changed or unknown to git\n{shown}\nhint: commit or remove them")


def _branch(release: Release) -> None:
    branch = git(release.root, "branch", "--show-current") or "no branch"
    if branch != release.branch:
        raise Failed(f"this is {branch}\nhint: git switch {release.branch}")


def _newer(release: Release) -> None:
    versions.check(release.version)
    tags = git(release.root, "tag", "--list", "v*").splitlines()
    if release.tag in tags:
        raise Failed(f"the tag {release.tag} exists\nhint: take the next version, or delete a tag that nobody has seen")
    earlier = [tag[1:] for tag in tags] + changelog.released(release.root) + [versions.current(release.root)]
    numbered = [versions.numbers(version) for version in earlier if versions.is_version(version)]
    if versions.numbers(release.version) < max(numbered):
        raise Failed(f"{'.'.join(map(str, max(numbered)))} is newer than {release.version}")


def _changelog(release: Release) -> None:
    if release.is_committed():
        return
    if changelog.has(release.root, release.version):
        raise Failed(f"CHANGELOG.md has a section {release.version} already, and HEAD is not its commit")
    if not changelog.unreleased(release.root):
        raise Failed('nothing stands under "## Unreleased"\nhint: say there what a user of the release sees')


def _same(release: Release) -> None:
    if said := versions.problems(release.root):
        raise Failed("\n".join(said) + f"\nhint: make version VERSION={versions.current(release.root)}")


def _licences(release: Release) -> None:
    command = [sys.executable, "scripts/licenses", "--check"]
    done = subprocess.run(command, cwd=release.root, capture_output=True, text=True)
    if done.returncode:
        raise Failed(done.stderr.rstrip())


def _author(release: Release) -> None:
    try:
        git(release.root, "var", "GIT_COMMITTER_IDENT")
    except Failed:
        raise Failed(
            "git has no name or address\nhint: git config user.name NAME; git config user.email MAIL"
        ) from None


ITEMS: tuple[tuple[str, Callable[[Release], None]], ...] = (
    ("the version is three numbers", _version),
    ("all is committed", _clean),
    ("this is the branch of releases", _branch),
    ("the version is not older than others, and has no tag", _newer),
    ("CHANGELOG.md says what is new", _changelog),
    ("all places say the same version", _same),
    ("THIRD-PARTY-LICENSES are up to date", _licences),
    ("git knows who commits", _author),
)
