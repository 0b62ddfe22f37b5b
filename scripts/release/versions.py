"""The version of the project, which is that of the workspace in Cargo.toml, and all places that repeat it.

`make check` compares them, and `make version VERSION=...` sets them. What is measured or told of earlier versions, in
the changelog and in figures, is left alone.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NUMBER = r"[0-9]+\.[0-9]+\.[0-9]+"


class Failed(Exception):
    """What ends the command, with a hint where there is one."""


@dataclass(frozen=True)
class Place:
    """A file, or several by a pattern, and how the version is written there: the first group of each match."""

    files: str
    pattern: str


SOURCE = Place("Cargo.toml", rf'^\[workspace\.package\]\nversion = "({NUMBER})"')
_LOCKED = rf'^name = "ipclusterz[a-z-]*"\nversion = "({NUMBER})"'
PLACES = (
    SOURCE,
    Place("Cargo.lock", _LOCKED),
    Place("mpi-bridge/Cargo.toml", rf'^\[package\]\n(?:.+\n)*?version = "({NUMBER})"'),
    Place("mpi-bridge/Cargo.lock", _LOCKED),
    Place("CITATION.cff", rf"^version: ({NUMBER})$"),
    Place("docs/clusters/trouble.md", rf"\bpackage ({NUMBER})"),
    Place("packaging/conda-forge/recipe.yaml", rf'^  version: "({NUMBER})"'),
    Place("packaging/spack/*/package.py", rf'^    version\("({NUMBER})"'),
    Place("packaging/easybuild/*.eb", rf"^version = '({NUMBER})'"),
    Place("packaging/apptainer/*.def", rf"^    Version ({NUMBER})"),
)

# A version behind the name, as in names of files and in requirements, and the folder of a release. Tests have versions
# of their own.
NAMED = rf"(?:\bipclusterz(?:[-_]mpi)?(?:-|==|/| )v?|/releases/download/v)({NUMBER})"
NAMED_IN = ("README.md", "SECURITY.md", "pyproject.toml", "mpi-bridge/README.md", "docs", "packaging")
# What these say was so with the version that they name.
HISTORY = ("docs/benchmarks.md", "docs/reliability.md")


@dataclass(frozen=True)
class Found:
    """A version where one stands."""

    file: Path
    line: int
    version: str


def current(root: Path) -> str:
    """The version of the workspace."""
    found = list(_in_file(root / SOURCE.files, SOURCE.pattern))
    if not found:
        raise Failed("Cargo.toml: [workspace.package] does not begin with a version")
    return found[0].version


def problems(root: Path) -> list[str]:
    """Where another version stands, and where none does but should."""
    version = current(root)
    said = []
    for place in PLACES:
        if not any(list(_in_file(file, place.pattern)) for file in _files(root, place)):
            said.append(f"{place.files}: no version, expected {version}")
    for found in _all(root):
        if found.version != version:
            said.append(f"{found.file.relative_to(root)}:{found.line}: {found.version}, expected {version}")
    said += [f"{path}: the name has another version than {version}" for path in _misnamed(root, version)]
    return said


def set_all(root: Path, version: str) -> list[str]:
    """Write the version wherever one stands, also into names of files; the files that have changed."""
    check(version)
    changed = []
    for path in _misnamed(root, version):
        name = re.sub(NAMED, lambda match: _replaced(match, version), path.name)
        git(root, "mv", str(path), str(path.with_name(name)))
    for file, patterns in _patterns(root).items():
        text = before = file.read_text()
        for pattern in patterns:
            text = re.sub(pattern, lambda match: _replaced(match, version), text, flags=re.MULTILINE)
        if text != before:
            file.write_text(text)
            changed.append(str(file.relative_to(root)))
    return changed


def is_version(text: str) -> bool:
    """Whether it is a version of a release."""
    return re.fullmatch(NUMBER, text) is not None


def check(version: str) -> None:
    """Refuse what is no version of a release."""
    if not is_version(version):
        raise Failed(f"{version!r} is no version of a release\nhint: three numbers, such as 0.2.0")


def numbers(version: str) -> tuple[int, ...]:
    """By which versions are compared."""
    return tuple(map(int, version.split(".")))


def git(root: Path, *arguments: str) -> str:
    """What git says, without the last line's end."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"git {' '.join(arguments)}: exit status {done.returncode}\n{done.stderr.rstrip()}")
    return done.stdout.rstrip("\n")


def _replaced(match: re.Match[str], version: str) -> str:
    start, end = (position - match.start() for position in match.span(1))
    return match[0][:start] + version + match[0][end:]


def _all(root: Path) -> list[Found]:
    pairs = ((file, pattern) for file, patterns in _patterns(root).items() for pattern in patterns)
    found = {item for file, pattern in pairs for item in _in_file(file, pattern)}
    return sorted(found, key=lambda item: (str(item.file), item.line))


def _patterns(root: Path) -> dict[Path, list[str]]:
    """Each file that may have a version in it, with how it may be written there."""
    patterns: dict[Path, list[str]] = {}
    for place in PLACES:
        for file in _files(root, place):
            patterns.setdefault(file, []).append(place.pattern)
    for path in git(root, "ls-files", "--", *NAMED_IN).splitlines():
        if path not in HISTORY:
            patterns.setdefault(root / path, []).append(NAMED)
    return patterns


def _files(root: Path, place: Place) -> list[Path]:
    return sorted(root.glob(place.files))


def _in_file(file: Path, pattern: str) -> Iterator[Found]:
    if not file.is_file():
        return
    text = file.read_text()
    for match in re.finditer(pattern, text, re.MULTILINE):
        yield Found(file, text.count("\n", 0, match.start(1)) + 1, match[1])


def _misnamed(root: Path, version: str) -> list[Path]:
    paths = (Path(path) for path in git(root, "ls-files", "--", *NAMED_IN).splitlines())
    return [path for path in paths if (match := re.search(NAMED, path.name)) and match[1] != version]
