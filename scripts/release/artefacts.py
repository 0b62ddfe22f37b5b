"""What `make dist` has left in dist/: whether it is all of a release and nothing else."""

from __future__ import annotations

import base64
import csv
import email
import hashlib
import io
import re
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

NAMES = ("ipclusterz", "ipclusterz_mpi")
LICENCES = ("LICENSE", "THIRD-PARTY-LICENSES")
SUMS = "SHA256SUMS"
WHEEL = re.compile(
    r"(?P<name>\w+)-(?P<version>[^-]+)-(?P<python>cp3\d+)-(?P<abi>abi3|cp3\d+)-(?P<platform>[\w.]+)\.whl"
)


def problems(folder: Path, version: str) -> list[str]:
    """All that is wrong, a line each."""
    if not folder.is_dir():
        return [f"{folder} is missing"]
    said = []
    expected = {f"{name}-{version}.tar.gz" for name in NAMES}
    wheels = set()
    for file in files(folder):
        if match := WHEEL.fullmatch(file.name):
            wheels.add((match["name"], match["abi"]))
            said += [f"{file.name}: {problem}" for problem in _wheel_problems(file, match, version)]
        elif file.name in expected:
            said += [f"{file.name}: {problem}" for problem in _source_problems(file, version)]
        else:
            said.append(f"{file.name}: is neither a wheel nor one of {', '.join(sorted(expected))}")
    there = {file.name for file in files(folder)}
    said += [f"{name}: is missing" for name in sorted(expected - there)]
    # Old versions of Python may have wheels of their own beside it.
    said += [f"a wheel of {name} for the stable ABI is missing" for name in NAMES if (name, "abi3") not in wheels]
    return said


def files(folder: Path) -> list[Path]:
    """What is to be uploaded."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)


def write_sums(folder: Path) -> Path:
    """The file that `sha256sum --check` reads."""
    lines = [f"{sha256(file)}  {file.name}\n" for file in files(folder)]
    (folder / SUMS).write_text("".join(lines))
    return folder / SUMS


def sha256(file: Path) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _wheel_problems(file: Path, name: re.Match[str], version: str) -> list[str]:
    try:
        with zipfile.ZipFile(file) as wheel:
            info = f"{name['name']}-{name['version']}.dist-info"
            members = {member: wheel.read(member) for member in wheel.namelist() if not member.endswith("/")}
    except zipfile.BadZipFile as error:
        return [str(error)]
    missing = [member for member in ("METADATA", "WHEEL", "RECORD") if f"{info}/{member}" not in members]
    missing += [f"licenses/{licence}" for licence in LICENCES if f"{info}/licenses/{licence}" not in members]
    if missing:
        return [f"has no {info}/{member}" for member in missing]
    said = _metadata_problems(email.message_from_bytes(members[f"{info}/METADATA"]), name["name"], version)
    platforms = name["platform"].split(".")
    if not all(platform.startswith("manylinux") for platform in platforms):
        said.append(f"{name['platform']}: runs on this host alone, expected manylinux")
    tags = email.message_from_bytes(members[f"{info}/WHEEL"]).get_all("Tag", [])
    if sorted(tags) != sorted(f"{name['python']}-{name['abi']}-{platform}" for platform in platforms):
        said.append(f"its tags are {', '.join(tags)}, which is not what its name says")
    return said + _record_problems(members, f"{info}/RECORD")


def _record_problems(members: dict[str, bytes], record: str) -> list[str]:
    """Members whose hash is another one than is written down, or is not."""
    recorded = {row[0]: row[1] for row in csv.reader(io.StringIO(members[record].decode())) if row}
    said = [f"{member} is not in RECORD" for member in members if member not in recorded]
    said += [f"{member} is in RECORD, but not in the wheel" for member in recorded if member not in members]
    for member, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if member != record and recorded.get(member) not in (None, f"sha256={digest}"):
            said.append(f"{member} has another hash than RECORD says")
    return said


def _source_problems(file: Path, version: str) -> list[str]:
    folder = file.name.removesuffix(".tar.gz")
    try:
        with tarfile.open(file) as archive:
            names = set(archive.getnames())
            stream = archive.extractfile(f"{folder}/PKG-INFO") if f"{folder}/PKG-INFO" in names else None
            metadata = email.message_from_bytes(stream.read()) if stream else None
    except tarfile.TarError as error:
        return [str(error)]
    if metadata is None:
        return [f"has no {folder}/PKG-INFO"]
    said = [f"has no {licence}" for licence in LICENCES if f"{folder}/{licence}" not in names]
    return said + _metadata_problems(metadata, folder.partition("-")[0], version)


def _metadata_problems(metadata: Message, name: str, version: str) -> list[str]:
    said = []
    if metadata["Name"].replace("-", "_") != name:
        said.append(f"is of {metadata['Name']}, expected {name}")
    if metadata["Version"] != version:
        said.append(f"has version {metadata['Version']}, expected {version}")
    return said
