"""Joins wheels of ipclusterz-mpi, each with the extension for one family of MPI libraries, to one with all of them.

usage: join_mpi_wheels.py FOLDER FAMILY_FOLDER...

Each FAMILY_FOLDER is called as the family, and has one wheel in it. The joined wheel is written to FOLDER.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "ipclusterz_mpi"
EXTENSION = "_native.abi3.so"


def main(folder: Path, families: list[Path]) -> None:
    """Join them."""
    with tempfile.TemporaryDirectory() as scratch:
        first, *others = [unpack(family, Path(scratch, family.name)) for family in families]
        move_extension(first, first, families[0].name)
        for content, family in zip(others, families[1:], strict=True):
            move_extension(content, first, family.name)
        wheel_tool("pack", "--dest-dir", folder, first)


def unpack(family: Path, into: Path) -> Path:
    """The content of the one wheel in a folder."""
    (wheel,) = family.glob("*.whl")
    wheel_tool("unpack", "--dest", into, wheel)
    (content,) = into.iterdir()
    return content


def move_extension(content: Path, to: Path, family: str) -> None:
    """The extension of one content becomes that of a family in another."""
    place = to / PACKAGE / family
    place.mkdir()
    shutil.move(content / PACKAGE / EXTENSION, place / EXTENSION)


def wheel_tool(*arguments: object) -> None:
    """Have the package `wheel` do something."""
    subprocess.run([sys.executable, "-m", "wheel", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
