"""`python scripts/layers` on small workspaces: what it refuses, and what it must not take for an upward arrow."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "scripts" / "layers"

WORKSPACE = """
[workspace]
resolver = "3"
members = ["upper", "lower"]
[workspace.metadata.layers]
crates = [["upper"], ["lower"]]
"""

CRATE = """
[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
[package.metadata.layers]
modules = {modules}
[dependencies]
{dependencies}
"""

# A crate without circles: `high` uses `low`, also through what `face` re-exports, and its own tests.
UPPER = {
    "lib.rs": "pub mod face;\npub mod high;\npub mod low;\n",
    "face/mod.rs": "mod inner;\npub use inner::{Thing, make};\n",
    "face/inner.rs": "use crate::low::Deep;\npub struct Thing(pub Deep);\npub fn make() -> Thing { Thing(Deep) }\n",
    "high.rs": "use crate::face::{self, Thing};\npub fn high() -> Thing { face::make() }\n"
    "#[cfg(test)]\nmod tests { use super::high; }\n",
    "low.rs": "//! Not an arrow: crate::high::high\npub struct Deep; // crate::high\n"
    'const TEXT: &str = "crate::high::high()";\n',
}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "Cargo.toml").write_text(WORKSPACE)
    write_crate(tmp_path / "upper", UPPER, [["high"], ["face"], ["low"]], 'lower = { path = "../lower" }')
    write_crate(tmp_path / "lower", {"lib.rs": ""}, [], "")
    return tmp_path


def write_crate(folder: Path, files: dict[str, str], modules: list[list[str]], dependencies: str) -> None:
    for name, text in files.items():
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    text = CRATE.format(name=folder.name, modules=modules, dependencies=dependencies)
    (folder / "Cargo.toml").write_text(text)


def check(workspace: Path) -> tuple[int, str]:
    ended = subprocess.run([sys.executable, CHECK, workspace], capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stderr


def test_arrows_that_run_down_are_allowed(workspace: Path):
    assert check(workspace) == (0, "")


def test_a_crate_that_depends_on_one_above_it(workspace: Path):
    (workspace / "Cargo.toml").write_text(WORKSPACE.replace('[["upper"], ["lower"]]', '[["lower"], ["upper"]]'))
    code, said = check(workspace)
    assert code == 1
    assert "crate upper uses lower, which does not stand below it" in said


def test_crates_of_one_layer_do_not_use_each_other(workspace: Path):
    (workspace / "Cargo.toml").write_text(WORKSPACE.replace('[["upper"], ["lower"]]', '[["upper", "lower"]]'))
    assert check(workspace)[0] == 1


def test_a_crate_and_a_module_without_a_place(workspace: Path):
    (workspace / "Cargo.toml").write_text(WORKSPACE.replace('[["upper"], ["lower"]]', '[["upper"]]'))
    write_crate(workspace / "upper", {}, [["high"], ["face"], ["gone"]], "")
    code, said = check(workspace)
    assert code == 1
    assert "crate lower stands on no layer" in said
    assert "upper: module low stands on no layer" in said
    assert "upper: module gone is listed, but there is none" in said


@pytest.mark.parametrize(
    "arrow",
    [
        "use crate::high::high;",
        "use crate::{high::high as other};",
        "use super::high;",
        "pub fn f() { crate::high::high(); }",
        "mod inner { use super::super::high::high; }",
        "#[cfg(test)]\nmod tests { use crate::high; }",
    ],
)
def test_a_module_that_uses_one_above_it(workspace: Path, arrow: str):
    low = workspace / "upper" / "src" / "low.rs"
    low.write_text(low.read_text() + arrow + "\n")
    code, said = check(workspace)
    assert code == 1
    assert "upper: module low uses high, which does not stand below it" in said
    assert "files use each other in a circle" in said
    assert "low.rs uses high.rs: " in said


def test_files_of_one_module_in_a_circle(workspace: Path):
    source = workspace / "upper" / "src" / "face"
    (source / "mod.rs").write_text("mod inner;\nmod other;\npub use inner::{Thing, make};\n")
    (source / "other.rs").write_text("pub fn other(thing: &super::Thing) {}\n")
    (source / "inner.rs").write_text(UPPER["face/inner.rs"] + "pub fn f() { super::other::other(&make()) }\n")
    code, said = check(workspace)
    assert code == 1
    assert "face/inner.rs uses face/other.rs: other" in said
    assert "face/other.rs uses face/inner.rs: Thing" in said
