"""Every place that has the version has that of the workspace."""

from __future__ import annotations

import pytest
from clones import Project


def test_all_places_are_set_at_once(project: Project) -> None:
    done = project.run("release", "set", "9.8.7")
    assert done.returncode == 0, done.stderr
    assert project.run("release", "versions").stderr == ""
    changed = done.stdout.splitlines()
    for file in (
        "Cargo.toml",
        "Cargo.lock",
        "mpi-bridge/Cargo.toml",
        "mpi-bridge/Cargo.lock",
        "CITATION.cff",
        "pyproject.toml",
    ):
        assert file in changed
    assert "packaging/easybuild/ipclusterz-9.8.7-GCCcore-15.2.0.eb" in changed
    # Figures were measured with what they say.
    assert "docs/benchmarks.md" not in changed


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("README.md", "pip install ./ipclusterz-1.2.3-cp311-abi3-manylinux_2_17_x86_64.whl"),
        ("docs/how-to/mpi.md", "ipclusterz-mpi==1.2.3"),
        ("docs/clusters/trouble.md", "ok python /usr/bin/python3: Python 3.12.1, package 1.2.3"),
        ("pyproject.toml", '# "ipclusterz-mpi==1.2.3"'),
    ],
)
def test_another_version_is_found(project: Project, file: str, line: str) -> None:
    text = (project.root / file).read_text()
    (project.root / file).write_text(f"{text}\n{line}\n")
    done = project.run("release", "versions")
    assert done.returncode == 1
    number = len(text.splitlines()) + 2
    assert f"{file}:{number}: 1.2.3, expected" in done.stderr
    assert "hint: make version VERSION=" in done.stderr


def test_a_place_that_has_lost_its_version_is_named(project: Project) -> None:
    project.edit("packaging/apptainer/ipclusterz.def", "    Version ", "    Revision ")
    done = project.run("release", "versions")
    assert done.returncode == 1
    assert "packaging/apptainer/*.def: no version, expected" in done.stderr


def test_a_recipe_of_another_version_is_found_by_its_name(project: Project) -> None:
    (recipe,) = (project.root / "packaging/easybuild").glob("ipclusterz-[0-9]*.eb")
    project.git("mv", str(recipe), str(recipe.with_name("ipclusterz-1.2.3-GCCcore-15.2.0.eb")))
    done = project.run("release", "versions")
    assert done.returncode == 1
    assert "ipclusterz-1.2.3-GCCcore-15.2.0.eb: the name has another version" in done.stderr
