"""Where the `ipclusterz` command is, which starts clusters and opens tunnels."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from ..error import ClusterError

__all__ = ["program"]


def program() -> str:
    """Path of the `ipclusterz` command: the one installed with this package, else one on PATH."""
    folders = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    folders.append(Path(sysconfig.get_path("scripts", f"{os.name}_user")))
    for folder in folders:
        candidate = folder / "ipclusterz"
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    found = shutil.which("ipclusterz")
    if found is None:
        places = ", ".join(str(folder) for folder in dict.fromkeys(folders))
        raise ClusterError(
            f"the ipclusterz command was not found: looked in {places} and on PATH",
            hint=f"it comes with the package: install that again for this Python, {sys.executable}, with pip",
        )
    return found
