#!/usr/bin/env python3
"""Plays make for tests of the release: `dist` writes small wheels and source distributions, other goals do nothing.

A file beside the clone says what is to go wrong: a goal that fails, or a fault of what `dist` writes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

PLATFORM = "manylinux2014_x86_64.manylinux_2_17_x86_64"
ROOT = Path.cwd()


def main() -> int:
    goal = sys.argv[1]
    if handed_down := {"MAKEFLAGS", "VERSION"} & set(os.environ):
        sys.exit(f"{goal}: is given {handed_down}")
    with ROOT.with_suffix(".goals").open("a") as file:
        file.write(f"{goal}\n")
    fault = ROOT.with_suffix(".fault").read_text()
    if goal == "clean-dist":
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
    if goal == "dist":
        write_all(fault)
    return 1 if goal == fault else 0


def write_all(fault: str) -> None:
    found = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert found
    version = "0.0.1" if fault == "version" else found[1]
    (ROOT / "dist").mkdir()
    for name in ("ipclusterz", "ipclusterz_mpi"):
        write_source(name, version)
        if fault != "no-bridge" or name == "ipclusterz":
            write_wheel(name, version, "cp311-abi3", fault)
            if fault == "old-python":
                write_wheel(name, version, "cp310-cp310", fault)
    if fault == "stranger":
        (ROOT / "dist" / "notes.txt").write_text("")
    if fault == "changed":
        (ROOT / "Cargo.lock").write_text("")


def write_wheel(name: str, version: str, python: str, fault: str) -> None:
    platform = "linux_x86_64" if fault == "platform" else PLATFORM
    info = f"{name}-{version}.dist-info"
    tags = "".join(f"Tag: {python}-{tag}\n" for tag in platform.split("."))
    members = {
        f"{name}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name.replace('_', '-')}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{tags if fault != 'tags' else ''}",
        f"{info}/licenses/LICENSE": "",
        f"{info}/licenses/THIRD-PARTY-LICENSES": "",
    }
    if fault == "licence":
        del members[f"{info}/licenses/THIRD-PARTY-LICENSES"]
    record = "".join(f"{member},sha256={digest(text)},{len(text)}\n" for member, text in members.items())
    if fault == "hash":
        members[f"{name}/__init__.py"] = "something else"
    with zipfile.ZipFile(ROOT / "dist" / f"{name}-{version}-{python}-{platform}.whl", "w") as wheel:
        for member, text in {**members, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(member, text)


def write_source(name: str, version: str) -> None:
    metadata = f"Metadata-Version: 2.4\nName: {name.replace('_', '-')}\nVersion: {version}\n"
    with tarfile.open(ROOT / "dist" / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for member, text in {"PKG-INFO": metadata, "LICENSE": "", "THIRD-PARTY-LICENSES": ""}.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    sys.exit(main())
