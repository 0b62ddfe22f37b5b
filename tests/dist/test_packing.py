"""The same contents are the same wheel, whoever built them, when and where."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKING = ROOT / "runtime/py/build_backend/packing.py"
INFO = "sample-1.dist-info"


def wheel(path: Path, *, names: list[str], mode: int, date: tuple[int, ...], number: str) -> Path:
    """A wheel as maturin leaves it, with what differs from build to build as given."""
    bill = {
        "bomFormat": "CycloneDX",
        "serialNumber": f"urn:uuid:{number}",
        "metadata": {
            "timestamp": number,
            "component": {"bom-ref": f"path+{ROOT.as_uri()}/runtime#sample@1", "name": "sample"},
        },
    }
    contents = {
        "sample/__init__.py": b"",
        "sample/_core.abi3.so": b"\x7fELF" * 1000,
        "sample-1.data/scripts/sample": b"\x7fELF" * 2000,
        f"{INFO}/METADATA": b"Name: sample\n",
        f"{INFO}/sboms/sample.cyclonedx.json": json.dumps(bill).encode(),
        f"{INFO}/RECORD": number.encode(),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name in names or list(contents):
            entry = zipfile.ZipInfo(name, date)  # type: ignore[arg-type]
            program = name.endswith((".so", "scripts/sample"))
            entry.external_attr = (mode | (0o100 if program else 0)) << 16
            archive.writestr(entry, contents[name])
    return path


def pack(path: Path, **variables: str) -> None:
    """Pack in a process of its own, as scripts of releases do."""
    subprocess.run([sys.executable, PACKING, path], check=True, timeout=60, env={**os.environ, **variables})


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A wheel that was packed anew."""
    path = wheel(tmp_path / "one.whl", names=[], mode=0o100600, date=(2001, 2, 3, 4, 5, 6), number="1")
    pack(path, SOURCE_DATE_EPOCH="1700000000")
    return path


def test_two_builds_are_the_same(tmp_path: Path, packed: Path) -> None:
    """Another order, other permissions, dates, numbers and time zones."""
    with zipfile.ZipFile(packed) as archive:
        backwards = archive.namelist()[::-1]
    other = wheel(tmp_path / "two.whl", names=backwards, mode=0o100664, date=(2020, 1, 1, 0, 0, 0), number="2")
    pack(other, SOURCE_DATE_EPOCH="1700000000", TZ="Asia/Tokyo")
    assert other.read_bytes() == packed.read_bytes()
    pack(other, SOURCE_DATE_EPOCH="1700000000")
    assert other.read_bytes() == packed.read_bytes()


def test_the_date_is_the_one_that_is_given(packed: Path) -> None:
    """SOURCE_DATE_EPOCH in UTC, or the earliest date of zip files."""
    with zipfile.ZipFile(packed) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    pack(packed, SOURCE_DATE_EPOCH="0")
    with zipfile.ZipFile(packed) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_programs_stay_programs_for_everybody(packed: Path) -> None:
    """Whatever umask they were built with."""
    with zipfile.ZipFile(packed) as archive:
        modes = {entry.filename: f"{entry.external_attr >> 16:o}" for entry in archive.infolist()}
    assert modes.pop("sample/_core.abi3.so") == modes.pop("sample-1.data/scripts/sample") == "100755"
    assert set(modes.values()) == {"100644"}


def test_the_folder_of_the_build_is_not_told(packed: Path) -> None:
    """Nor is when that was."""
    with zipfile.ZipFile(packed) as archive:
        bill = json.loads(archive.read(f"{INFO}/sboms/sample.cyclonedx.json"))
    assert bill == {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"bom-ref": "path+file:///ipclusterz/runtime#sample@1", "name": "sample"}},
    }


def test_the_record_is_that_of_what_is_there(packed: Path) -> None:
    """And stands last."""
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        lines = [line.split(",") for line in archive.read(names[-1]).decode().splitlines()]
        assert names[-1] == f"{INFO}/RECORD"
        assert [line[0] for line in lines] == names
        assert lines[-1][1:] == ["", ""]
        for name, digest, size in lines[:-1]:
            content = archive.read(name)
            algorithm, _, value = digest.partition("=")
            found = hashlib.new(algorithm, content).digest()
            assert (value, size) == (base64.urlsafe_b64encode(found).decode().rstrip("="), str(len(content)))
