"""CHANGELOG.md: what is to be released stands under a heading of its own."""

from __future__ import annotations

import re
from pathlib import Path

from versions import NUMBER, Failed

UNRELEASED = "## Unreleased\n"


def unreleased(root: Path) -> list[str]:
    """The entries under "Unreleased"."""
    text = _read(root)
    if UNRELEASED not in text:
        raise Failed('CHANGELOG.md has no heading "## Unreleased"')
    section = re.split(r"^## ", text.partition(UNRELEASED)[2], flags=re.MULTILINE)[0]
    return [line for line in section.splitlines() if line.startswith("- ")]


def has(root: Path, version: str) -> bool:
    """Whether the version has a section."""
    return version in released(root)


def released(root: Path) -> list[str]:
    """The versions that have a section, the newest first."""
    return re.findall(rf"^## ({NUMBER}) ", _read(root), re.MULTILINE)


def release(root: Path, version: str, date: str) -> None:
    """Give the section "Unreleased" the version and the date, and put an empty one above it."""
    text = _read(root)
    (root / "CHANGELOG.md").write_text(text.replace(UNRELEASED, f"{UNRELEASED}\n## {version} ({date})\n", 1))


def _read(root: Path) -> str:
    return (root / "CHANGELOG.md").read_text()
