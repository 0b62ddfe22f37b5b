"""What wheels and source distributions hold: how those of two builds differ, and what they tell of the build's host."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path


def differences(first: dict[str, Path], second: dict[str, Path]) -> list[str]:
    """What is in one and not in the other, or not the same in both."""
    found = [f"{name}: only one of the builds has it" for name in sorted(first.keys() ^ second.keys())]
    for name in sorted(first.keys() & second.keys()):
        if first[name].read_bytes() != second[name].read_bytes():
            found += [f"{name}: {what}" for what in unlike(members(first[name]), members(second[name]))]
    return found


def unlike(first: dict[str, tuple[str, bytes]], second: dict[str, tuple[str, bytes]]) -> list[str]:
    """How the members of two archives, which are not the same bytes, differ."""
    found = [f"only one of the builds has {name}" for name in sorted(first.keys() ^ second.keys())]
    for name in sorted(first.keys() & second.keys()):
        (about, content), (other_about, other) = first[name], second[name]
        if about != other_about:
            found.append(f"{name}: {about} in one, {other_about} in the other")
        if content != other:
            pairs = enumerate(zip(content, other, strict=False))
            place = next((place for place, (a, b) in pairs if a != b), min(len(content), len(other)))
            found.append(f"{name}: {len(content)} and {len(other)} bytes, which differ from byte {place} on")
    return found or ["the members are the same, but not their order or how they are packed"]


def members(archive: Path) -> dict[str, tuple[str, bytes]]:
    """What an archive has by name: what it says about each member, and its content. Other files are one member."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            entries = wheel.infolist()
            return {
                entry.filename: (f"{entry.external_attr:#x} {entry.date_time}", wheel.read(entry)) for entry in entries
            }
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as sdist:
            return {
                entry.name: (
                    f"{entry.mode:o} {entry.uid}:{entry.gid} {entry.uname}:{entry.gname} {entry.mtime}",
                    b"".join(sdist.extractfile(entry) or ()),
                )
                for entry in sdist
            }
    return {archive.name: ("", archive.read_bytes())}


def holding(archive: Path, text: bytes) -> list[str]:
    """The members with this text in them."""
    return [name for name, (_, content) in members(archive).items() if text in content]
