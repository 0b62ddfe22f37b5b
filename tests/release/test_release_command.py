"""`make release` in a clone, with small wheels that a make in play writes."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from clones import SECONDS, Project

VERSION = "9.8.7"


def test_a_release_is_committed_built_and_tagged(project: Project) -> None:
    before = project.git("rev-parse", "HEAD")
    done = project.release(VERSION)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.goals == ["clean-dist", "test", "dist", "test-dist"]

    assert project.git("log", "-1", "--format=%s") == "Version 9.8.7"
    assert project.git("rev-parse", "HEAD~1") == before
    # Annotated: a tag of its own, not only a name of the commit.
    assert project.git("cat-file", "-t", "v9.8.7") == "tag"
    assert project.git("rev-parse", "v9.8.7^{commit}") == project.git("rev-parse", "HEAD")
    assert project.git("status", "--porcelain") == ""

    assert "## Unreleased\n\n## 9.8.7 (2031-05-06)\n" in (project.root / "CHANGELOG.md").read_text()
    assert "\nversion: 9.8.7\ndate-released: 2031-05-06\n" in (project.root / "CITATION.cff").read_text()
    for folder in (project.root, project.root / "mpi-bridge"):
        assert versions_of_crates(folder) == {VERSION}
    assert "git push origin main v9.8.7" in done.stdout


def versions_of_crates(folder: object) -> set[str]:
    """Those of the project's own; cargo refuses a lock file that says something else."""
    command = ["cargo", "metadata", "--locked", "--format-version=1"]
    done = subprocess.run(command, cwd=str(folder), check=True, capture_output=True, text=True, timeout=SECONDS)
    packages = json.loads(done.stdout)["packages"]
    return {package["version"] for package in packages if package["name"].startswith("ipclusterz")}


def test_hashes_are_written_for_people_and_recipes(project: Project) -> None:
    assert project.release(VERSION).returncode == 0
    dist = project.root / "dist"
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(command, cwd=dist, check=True, capture_output=True, timeout=SECONDS)
    hashes = dict(reversed(line.split()) for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert len(hashes) == 4
    recipe = (dist / "packaging/conda-forge/recipe.yaml").read_text()
    assert hashes["ipclusterz-9.8.7.tar.gz"] in recipe
    assert (dist / "packaging/easybuild/ipclusterz-9.8.7-GCCcore-15.2.0.eb").exists()
    for file in (dist / "packaging").rglob("*"):
        assert file.is_dir() or "<sha256" not in file.read_text()


@pytest.mark.parametrize("goal", ["test", "test-dist"])
def test_after_a_failed_step_the_same_command_goes_on(project: Project, goal: str) -> None:
    failed = project.release(VERSION, goal)
    assert failed.returncode == 1
    assert f"{goal}: exit status 1" in failed.stderr
    assert "git reset --hard HEAD~1" in failed.stderr
    assert project.git("tag") == ""
    head = project.git("rev-parse", "HEAD")

    done = project.release(VERSION)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Version 9.8.7 is committed" in done.stdout
    assert project.git("rev-parse", "v9.8.7^{commit}") == head == project.git("rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("fault", "said"),
    [("hash", "has another hash than RECORD says"), ("changed", "the build has changed files that are committed")],
)
def test_what_is_no_release_is_not_tagged(project: Project, fault: str, said: str) -> None:
    done = project.release(VERSION, fault)
    assert done.returncode == 1
    assert said in done.stderr
    assert project.git("tag") == ""
    assert not (project.root / "dist/SHA256SUMS").exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("version", "ipclusterz-0.0.1.tar.gz: is neither a wheel nor one of"),
        ("no-bridge", "a wheel of ipclusterz_mpi for the stable ABI is missing"),
        ("stranger", "notes.txt: is neither"),
        ("platform", "linux_x86_64: runs on this host alone, expected manylinux"),
        ("tags", "its tags are"),
        ("licence", "dist-info/licenses/THIRD-PARTY-LICENSES"),
        ("hash", "ipclusterz/__init__.py has another hash than RECORD says"),
    ],
)
def test_what_is_wrong_with_wheels_is_said(project: Project, fault: str, said: str) -> None:
    project.build("old-python")
    assert project.run("release", "dist").stderr == ""
    project.build(fault)
    done = project.run("release", "dist")
    assert done.returncode == 1
    assert said in done.stderr


def untracked_file(project: Project) -> None:
    (project.root / "notes.txt").write_text("")


def other_branch(project: Project) -> None:
    project.git("switch", "--quiet", "--create", "idea")


def tag_exists(project: Project) -> None:
    project.git("tag", "v9.8.7")


def newer_tag_exists(project: Project) -> None:
    project.git("tag", "v10.0.0")


def nothing_new(project: Project) -> None:
    text = (project.root / "CHANGELOG.md").read_text()
    text = re.sub(r"(## Unreleased\n)(?:(?!^## ).*\n)*", r"\1\n", text, flags=re.MULTILINE)
    (project.root / "CHANGELOG.md").write_text(text)
    project.git("commit", "--quiet", "--all", "--message", "A change")


def other_version_in_a_recipe(project: Project) -> None:
    assert project.run("release", "set", "0.7.0").returncode == 0
    project.git("add", "--all")
    project.edit("packaging/apptainer/ipclusterz.def", "Version 0.7.0", "Version 0.6.0")


def licence_removed(project: Project) -> None:
    project.edit("THIRD-PARTY-LICENSES", "\nlibzmq 4", "\nzmq 4")


def no_name(project: Project) -> None:
    project.git("config", "user.useConfigOnly", "true")
    project.git("config", "--unset", "user.email")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (untracked_file, ["not ok  all is committed", "notes.txt"]),
        (other_branch, ["not ok  this is the branch of releases", "this is idea", "hint: git switch main"]),
        (tag_exists, ["not ok  the version is not older", "the tag v9.8.7 exists"]),
        (newer_tag_exists, ["not ok  the version is not older", "10.0.0 is newer than 9.8.7"]),
        (nothing_new, ["not ok  CHANGELOG.md says what is new"]),
        (
            other_version_in_a_recipe,
            ["not ok  all places say the same", "ipclusterz.def:", "0.6.0, expected 0.7.0"],
        ),
        (licence_removed, ["not ok  THIRD-PARTY-LICENSES are up to date", "+libzmq 4", "hint: run `make licenses`"]),
        (no_name, ["not ok  git knows who commits"]),
    ],
)
def test_what_is_not_so_is_said_and_nothing_done(
    project: Project, monkeypatch: pytest.MonkeyPatch, prepare, said: list[str]
) -> None:
    # Without the settings of whoever runs this.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    prepare(project)
    head = project.git("rev-parse", "HEAD")
    done = project.release(VERSION)
    assert done.returncode == 1
    assert done.stdout.count("not ok") == 1, done.stdout
    for words in said:
        assert words in done.stdout
    assert "nothing was done" in done.stderr
    assert project.goals == []
    assert project.git("rev-parse", "HEAD") == head


@pytest.mark.parametrize("version", ["", "1.2", "v1.2.3", "1.2.3rc1", "newest"])
def test_a_version_that_is_none_is_refused(project: Project, version: str) -> None:
    done = project.run("release", "set", version)
    assert done.returncode == 1
    assert f"{version!r} is no version of a release" in done.stderr
    assert "hint: three numbers, such as 0.2.0" in done.stderr
    assert project.git("status", "--porcelain") == ""


def test_no_release_is_made_of_what_is_no_version(project: Project) -> None:
    done = project.release("newest")
    assert done.returncode == 1
    assert "not ok  the version is three numbers" in done.stdout
    assert project.goals == []


def test_an_older_version_is_refused(project: Project) -> None:
    done = project.run("release", "check", "0.0.1")
    assert done.returncode == 1
    assert "is newer than 0.0.1" in done.stdout


def test_the_checklist_alone_changes_nothing(project: Project) -> None:
    done = project.run("release", "check", VERSION)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("ok      ") == len(done.stdout.splitlines())
    assert project.git("status", "--porcelain") == ""
