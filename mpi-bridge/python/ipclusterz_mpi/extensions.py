"""The extensions of this package: one for each family in a wheel that was built beforehand, one in a site's build."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .families import FAMILIES

__all__ = ["BUILT_ON_SITE", "extension", "serves"]

# That of a site is linked to the library of the mpicc that it was built with, and loads it by itself.
_OF_SITE = find_spec(f"{__package__}._native")
BUILT_ON_SITE = _OF_SITE is not None

# What `names.c` writes into an extension.
_MARK = re.compile(rb"ipclusterz-mpi family: (\w+)")


def serves() -> tuple[str, ...]:
    """The families whose libraries this package can be loaded with; no extension is loaded for that."""
    if _OF_SITE is None:
        return tuple(name for name in FAMILIES if find_spec(f"{__package__}.{name}") is not None)
    found = _MARK.search(Path(str(_OF_SITE.origin)).read_bytes())
    return (found.group(1).decode(),) if found else ()


def extension(family: str | None) -> Any:
    """The extension for a family; None: that of the site's build.

    Raises
    ------
    ImportError
        When it cannot be loaded with the library that is there.
    """
    return importlib.import_module(f"{__package__}.{family}._native" if family else f"{__package__}._native")
