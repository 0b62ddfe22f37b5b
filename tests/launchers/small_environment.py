"""A small virtual environment that engines can run in: what this package needs, and nothing else."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import cloudpickle
from system import SCRIPTS

import ipclusterz


def make(folder: Path, base: Path = Path(sys.base_prefix), more: Sequence[str] = ()) -> None:
    """Make it, of the Python installed in `base`, with `more` folders of this environment's packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {base}/bin\ninclude-system-site-packages = false\n")
    for name in ("python", "python3", version):
        (folder / "bin" / name).symlink_to(base / "bin" / version)
    shutil.copy2(SCRIPTS / "ipclusterz", folder / "bin")
    for package in (cloudpickle, ipclusterz):
        assert package.__file__ is not None
        installed = Path(package.__file__).parent
        shutil.copytree(installed, packages / installed.name)
    for name in more:
        shutil.copytree(Path(sysconfig.get_path("purelib"), name), packages / name)


def make_base(folder: Path) -> None:
    """Copy of this Python's installation what an interpreter needs."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    left_out = shutil.ignore_patterns(
        "site-packages", "test", "config-*", "idlelib", "tkinter", "__pycache__", "ensurepip"
    )
    shutil.copytree(base / "lib" / version, folder / "lib" / version, ignore=left_out, symlinks=True)
    for library in (base / "lib").glob("*.so*"):
        shutil.copy2(library, folder / "lib", follow_symlinks=False)
    (folder / "bin").mkdir()
    shutil.copy2((base / "bin" / version).resolve(), folder / "bin" / version)
