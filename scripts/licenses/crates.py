"""The crates that are linked into a program or an extension, with their licences."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Wheels are built for this one; a crate of another system is in none of them.
TARGET = "x86_64-unknown-linux-gnu"

_LICENCE_FILE = re.compile(r"(un)?licen[sc]e|copying|copyright|notice", re.IGNORECASE)


class Failed(Exception):
    """A licence that cannot be found, or cargo's own error."""


@dataclass(frozen=True)
class Component:
    """What somebody else wrote: `license` is an SPDX expression, `texts` are those of its files."""

    name: str
    version: str
    license: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Workspace:
    """A folder with a Cargo.toml, and all packages that it is built from by name and version."""

    folder: Path
    packages: dict[tuple[str, str], dict]

    @classmethod
    def read(cls, folder: Path) -> Workspace:
        """Ask cargo; with all features, since a wheel for others has some that a build for this host has not."""
        command = [
            "cargo",
            "metadata",
            "--locked",
            "--all-features",
            "--format-version=1",
            f"--filter-platform={TARGET}",
        ]
        metadata = json.loads(_run(command, folder))
        return cls(folder, {(package["name"], package["version"]): package for package in metadata["packages"]})

    def find(self, crate: str) -> list[dict]:
        """All packages of this name that are not this project's own."""
        return [package for (name, _), package in self.packages.items() if name == crate and package["source"]]

    def linked(self, packages: tuple[str, ...]) -> list[Component]:
        """The crates whose code is in the packages: neither build scripts nor macros, which run on the build's host."""
        command = ["cargo", "tree", "--locked", "--all-features", f"--target={TARGET}", "--prefix=none", "--format={p}"]
        command += ["--edges=normal,no-proc-macro", *(f"--package={package}" for package in packages)]
        # A line is `name v1.2.3`, then a path or a mark that may follow.
        words = (line.split() for line in _run(command, self.folder).splitlines() if line)
        found = {(name, version.removeprefix("v")) for name, version, *_ in words}
        return [_component(self.packages[key]) for key in sorted(found) if self.packages[key]["source"]]


def _run(command: list[str], folder: Path) -> str:
    try:
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise Failed("cargo: not found\nhint: install Rust with rustup, see https://rustup.rs") from None
    except subprocess.CalledProcessError as error:
        raise Failed(f"{' '.join(command)} in {folder}: exit status {error.returncode}\n{error.stderr}") from None


def _component(package: dict) -> Component:
    name, version = package["name"], package["version"]
    # The old way to write OR.
    expression = (package["license"] or "").replace("/", " OR ")
    if not expression:
        raise Failed(f"{name} {version} says no licence as an SPDX expression\nhint: do without it, or ask its authors")
    folder = Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and _LICENCE_FILE.match(path.name))
    texts = (path.read_text(errors="replace") for path in files)
    # A file that only names the licences is no text of them.
    return Component(name, version, expression, tuple(text for text in texts if text.strip() != expression))
