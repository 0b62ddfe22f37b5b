"""A release from its commit to its tag. What fails can be put right, and the same command goes on from there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import artefacts
import changelog
import versions
from checklist import Release
from versions import Failed, git

# What takes long; each is a goal of the Makefile. What an earlier run has left in dist/ may be of another commit.
GOALS = ("clean-dist", "test", "dist", "test-dist")

BY_HAND = """\
{tag} is tagged, and nothing has left this host. What remains is done by hand:

  git push origin {branch} {tag}
  a release at {repository}/releases with the files of dist/
  twine upload dist/*.whl dist/*.tar.gz
  recipes: dist/packaging/ has them with the hashes, for their repositories; see packaging/README.md

Before the first upload the names ipclusterz and ipclusterz-mpi have to be taken on PyPI: until then no page and no hint
may say that they can be installed from there; see docs/contributing/RELEASING.md.
"""


def commit(release: Release, date: str) -> None:
    """Set the version and date everywhere, and commit that; not again what an earlier run has committed."""
    if release.is_committed():
        print(f"{release.subject} is committed: going on from there")
        return
    versions.set_all(release.root, release.version)
    changelog.release(release.root, release.version, date)
    _date_citation(release.root, date)
    git(release.root, "add", "--update")
    git(release.root, "commit", "--quiet", "--message", release.subject)
    print(f"committed: {release.subject}")


def build(release: Release, make: str) -> None:
    """Test all, build the wheels and test these."""
    for goal in GOALS:
        print(f"{make} {goal}", flush=True)
        status = subprocess.run([make, goal], cwd=release.root).returncode
        if status:
            raise Failed(
                f"{make} {goal}: exit status {status}\n"
                f"hint: nothing is tagged. To take the commit back: git reset --hard HEAD~1. To try again: the same "
                "command, which goes on from the commit"
            )


def finish(release: Release) -> None:
    """Check what was built, write hashes and recipes, and tag."""
    dist = release.root / "dist"
    if said := artefacts.problems(dist, release.version):
        raise Failed("dist/ is not a release:\n" + "\n".join(f"  {line}" for line in said))
    changed = git(release.root, "status", "--porcelain")
    if changed:
        raise Failed(f"the build has changed files that are committed:\n{changed}")
    sums = artefacts.write_sums(dist)
    _write_recipes(release, dist)
    git(release.root, "tag", "--annotate", release.tag, "--message", release.subject)
    print(sums.read_text(), end="")
    print(BY_HAND.format(tag=release.tag, branch=release.branch, repository=_repository(release.root)), end="")


def _date_citation(root: Path, date: str) -> None:
    citation = root / "CITATION.cff"
    if citation.exists():
        citation.write_text(re.sub(r"(?m)^date-released: .*$", f"date-released: {date}", citation.read_text()))


def _write_recipes(release: Release, dist: Path) -> None:
    """Copies of packaging/ with the hashes of what was built, where the recipes there have a name in angle brackets."""
    folder = dist / "packaging"
    shutil.copytree(release.root / "packaging", folder, ignore=shutil.ignore_patterns("__pycache__"))
    hashes = {file.name: artefacts.sha256(file) for file in artefacts.files(dist)}
    for recipe in filter(Path.is_file, folder.rglob("*")):
        recipe.write_text(_with_hashes(recipe.read_text(), hashes))


def _with_hashes(text: str, hashes: dict[str, str]) -> str:
    def known(match: re.Match[str]) -> str:
        if match[1] not in hashes:
            raise Failed(f"packaging/ names {match[1]}, which is not in dist/: {', '.join(hashes)}")
        return hashes[match[1]]

    return re.sub(r"<sha256 of ([^>]+)>", known, text)


def _repository(root: Path) -> str:
    found = re.search(r'(?m)^repository = "(.+)"', (root / "Cargo.toml").read_text())
    return found[1] if found else "the repository"
