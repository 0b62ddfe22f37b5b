"""PEP 517 backend of the wheel: maturin's, with the native `ipclusterz` command added.

maturin packs one crate into a wheel: here the extension module `ipclusterz._core`. The command is a second
crate (launcher/), so it is built first and laid into the folder that `[tool.maturin] data` names, from where
maturin packs it as a script. Both builds use one target folder and the same profile, so that what they share,
above all libzmq, is compiled once.

`--config-settings build-args=...` are maturin's arguments, and `command-args=...` those of cargo for the command.

The command is told the commit of its source, which `ipclusterz --version --verbose` prints: by IPCLUSTERZ_COMMIT, which
may be set; else what git says, with "+changes" when files differ from the commit; else what the file COMMIT of a source
distribution says.

Metadata and everything else are maturin's own.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import maturin
from maturin import (
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)
from packing import pack

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "wheeldata" / "scripts"
# maturin wants the folder to exist in every hook, also in those that pack nothing.
SCRIPTS.mkdir(parents=True, exist_ok=True)
# In source distributions alone: what their .git would say.
COMMIT = ROOT / "COMMIT"


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel with the extension module and the command in it."""
    _stage_command(config_settings)
    name = maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    pack(Path(wheel_directory, name), ROOT)
    return str(name)


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel of an editable installation, which has the command too."""
    _stage_command(config_settings)
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Pack the sources, with the commit that they are of."""
    commit = commit_of_source()
    if COMMIT.exists():
        return maturin.build_sdist(sdist_directory, config_settings)
    COMMIT.write_text(f"{commit}\n")
    try:
        return maturin.build_sdist(sdist_directory, config_settings)
    finally:
        COMMIT.unlink()


def commit_of_source() -> str:
    """The commit that the sources are of; `unknown` when nothing says so."""
    if given := os.environ.get("IPCLUSTERZ_COMMIT"):
        return given
    if COMMIT.is_file():
        return COMMIT.read_text().strip()
    # A folder above may be a repository of something else.
    if (head := _git("rev-parse", "--show-toplevel", "HEAD")) is None or Path(head.split("\n")[0]) != ROOT:
        return "unknown"
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return head.split("\n")[1] + ("+changes" if changes else "")


def _git(*arguments: str) -> str | None:
    """What git says; None when it is not there, or refuses."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _stage_command(config_settings: dict[str, Any] | None) -> None:
    """Compile the launcher and make it the only content of the wheel's scripts folder."""
    executables = _cargo_build(shlex.split((config_settings or {}).get("command-args", "--release")))
    shutil.rmtree(SCRIPTS)
    SCRIPTS.mkdir()
    for executable in executables:
        shutil.copy2(executable, SCRIPTS)


def _cargo_build(arguments: list[str]) -> list[Path]:
    """Run cargo, and return the executables it says it made (CARGO_TARGET_DIR may be anywhere)."""
    command = [
        os.environ.get("CARGO", "cargo"),
        "build",
        *arguments,
        "--locked",
        "--package=ipclusterz-launcher",
        "--bins",
        "--message-format=json-render-diagnostics",
    ]
    try:
        environment = {**os.environ, "IPCLUSTERZ_COMMIT": commit_of_source()}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise SystemExit(
            f"{command[0]}: not found.\nhint: building ipclusterz needs Rust, see https://rustup.rs"
        ) from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(command)}: exit status {error.returncode}, see above") from None
    messages = map(json.loads, done.stdout.splitlines())
    executables = [Path(message["executable"]) for message in messages if message.get("executable")]
    if not executables:
        raise SystemExit(f"{' '.join(command)}: made no executable")
    return executables
