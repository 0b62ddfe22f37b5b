"""Writes what is linked into each wheel, and under which licences: `python scripts/licenses`, or `make licenses`.

With `--check` nothing is written, and the status is 1 when a file is not what would be written: `make check` does that.
Names, versions and texts come from the lock file and from the sources that cargo has downloaded. What is no crate is
listed in `libraries.py`.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from dataclasses import dataclass
from pathlib import Path

import crates
import libraries
import notice

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Wheel:
    """A distribution, and the packages of a cargo workspace whose code is in it."""

    name: str
    folder: Path
    packages: tuple[str, ...]

    @property
    def file(self) -> Path:
        """Where its licences are written; its pyproject.toml names the file, so that it gets into the wheel."""
        return self.folder / "THIRD-PARTY-LICENSES"


WHEELS = (
    Wheel("ipclusterz", ROOT, ("ipclusterz-launcher", "ipclusterz-py")),
    Wheel("ipclusterz-mpi", ROOT / "mpi-bridge", ("ipclusterz-mpi",)),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python scripts/licenses", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    options = parser.parse_args()
    stale = 0
    try:
        for file, text in files().items():
            if not options.check:
                file.write_text(text)
            elif problem := difference(file, text):
                print(f"licenses: {problem}\nhint: run `make licenses`", file=sys.stderr)
                stale = 1
    except crates.Failed as error:
        print(f"licenses: {error}", file=sys.stderr)
        return 1
    return stale


def files() -> dict[Path, str]:
    """What each file is to have in it. A wheel takes licences from its own folder, and so the bridge has a copy."""
    texts = {wheel.file: licences_of(wheel) for wheel in WHEELS}
    return {**texts, ROOT / "mpi-bridge" / "LICENSE": (ROOT / "LICENSE").read_text()}


def licences_of(wheel: Wheel) -> str:
    """The text of the wheel's file."""
    workspace = crates.Workspace.read(wheel.folder)
    return notice.write(wheel.name, libraries.in_wheel(workspace), workspace.linked(wheel.packages))


def difference(file: Path, text: str) -> str | None:
    """What is not as it should be, with the first lines that differ."""
    name = file.relative_to(ROOT)
    if not file.exists():
        return f"{name} is missing"
    there = file.read_text()
    if there == text:
        return None
    lines = difflib.unified_diff(there.splitlines(), text.splitlines(), "there", "to be", lineterm="", n=0)
    return f"{name} is out of date:\n" + "\n".join(f"  {line}" for line in list(lines)[:12])


if __name__ == "__main__":
    sys.exit(main())
