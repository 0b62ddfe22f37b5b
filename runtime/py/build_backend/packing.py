"""Packs a wheel anew, so that the same contents are the same bytes, wherever and whenever they were built.

What differs otherwise: the software bills of materials have a random number, a time, and the folder of the build in the
names of our own crates; members have the permissions that the builder's umask gave, and dates.

The build backend does it. For a wheel that maturin built without it: `python packing.py WHEEL...`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import sys
import time
import zipfile
from pathlib import Path

# The earliest that a zip file can say.
EARLIEST = 315532800


def pack(wheel: Path, folder: Path) -> None:
    """Write the wheel anew, in place, without the ``folder`` that it was built in."""
    members = _members(wheel)
    [record] = [name for name in members if name.endswith(".dist-info/RECORD")]
    for name, (content, executable) in members.items():
        if "/sboms/" in name:
            members[name] = (_bill(content, folder), executable)
    members[record] = (_record(members, record), False)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in _in_order(members, record):
            archive.writestr(_entry(name, members[name][1]), members[name][0], compresslevel=9)
    wheel.write_bytes(packed.getvalue())


def _members(wheel: Path) -> dict[str, tuple[bytes, bool]]:
    """What is in the wheel by name, and whether it is a program."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        return {entry.filename: (archive.read(entry), bool(entry.external_attr >> 16 & 0o100)) for entry in entries}


def _in_order(members: dict[str, tuple[bytes, bool]], record: str) -> list[str]:
    """By name; what tells of the others comes last, as the format of wheels recommends."""
    return sorted(members, key=lambda name: (name == record, ".dist-info/" in name, name))


def _entry(name: str, executable: bool) -> zipfile.ZipInfo:
    date = max(EARLIEST, int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST)))
    entry = zipfile.ZipInfo(name, time.gmtime(date)[:6])
    entry.create_system = 3
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _bill(content: bytes, folder: Path) -> bytes:
    """A CycloneDX file that says nothing of the build: its number and time are optional."""
    bill = json.loads(content)
    bill.pop("serialNumber", None)
    bill.get("metadata", {}).pop("timestamp", None)
    text = json.dumps(bill, indent=1, sort_keys=True)
    return re.sub(re.escape(folder.as_uri()) + r"(?=[/#])", "file:///ipclusterz", text).encode()


def _record(members: dict[str, tuple[bytes, bool]], record: str) -> bytes:
    """The RECORD: a hash and a size of each member but itself."""
    lines = []
    for name in _in_order(members, record)[:-1]:
        content = members[name][0]
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{record},,\n"]).encode()


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        pack(Path(argument), Path(__file__).resolve().parents[3])
