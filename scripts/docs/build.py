"""Writes the API reference: the docstrings of all public names, as HTML.

python scripts/docs/build.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import pdoc
import pdoc.render

import ipclusterz


def build(folder: Path) -> None:
    """Write the pages into a folder, which need not exist."""
    further = ("client.executor", "client.mpi", "joblib", "mpi")
    modules = {"ipclusterz", *(f"ipclusterz.{name}" for name in further)}
    for module in (ipclusterz, ipclusterz.client):
        for name in module.__all__:
            value = getattr(module, name)
            # Public names are imported when they are first used, and pdoc only sees what is there.
            setattr(module, name, value)
            # What a class inherits is described on the page of the module that it is from.
            bases = value.__mro__[1:] if isinstance(value, type) else ()
            modules.update(base.__module__ for base in bases if base.__module__.startswith("ipclusterz."))
    modules -= {f"ipclusterz.{name}" for name in ipclusterz.__all__}
    footer = f"ipclusterz {ipclusterz.__version__}"
    pdoc.render.configure(docformat="numpy", show_source=False, footer_text=footer)
    pdoc.pdoc(*sorted(modules), output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
