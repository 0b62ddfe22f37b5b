"""What to do about a module that an engine does not have: it depends on what it is here."""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from ..compat import packages_of_modules
from ..wheels import BRIDGE
from .capture import is_installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["with_hint"]


def with_hint(told: dict[str, Any]) -> dict[str, Any]:
    """An engine's report of an error, whose hint says more if a module is missing there."""
    name = told.get("missing")
    return {**told, "hint": _hint(name, told["python"])} if name else told


@lru_cache(256)
def _hint(name: str, python: str) -> str:
    top = name.partition(".")[0]
    if top == "ipclusterz_mpi":
        return f"install it for the engines' Python: {python} -m pip install {BRIDGE}"
    try:
        place = _place(top)
    except Exception:
        # A finder of the user's.
        place = None
    if place is None:
        return (
            f"this Python does not have {top!r} either. If the name is right, install the package that has it for the "
            f"engines' Python, {python}"
        )
    if not is_installed(place):
        path = os.path.dirname(place) if os.path.basename(place) == "__init__.py" else place
        return f"{top!r} is a module of yours: rc.upload({path!r}) puts it on the engines"
    if (distribution := _distribution(top)) is None:
        return f"install the package that has {top!r} for the engines' Python, {python}"
    return f"install it for the engines' Python: {python} -m pip install {distribution}"


def _place(top: str) -> str | None:
    """The file of a module of this process."""
    # Start-up: clients that miss nothing need none of it.
    from importlib.util import find_spec

    module = sys.modules.get(top)
    spec = getattr(module, "__spec__", None) or find_spec(top)
    if spec is None:
        return None
    if spec.origin is None:
        # A folder without __init__.
        return next(iter(spec.submodule_search_locations or ()), None)
    return os.path.abspath(spec.origin)


def _distribution(top: str) -> str | None:
    """What pip calls the package in which a module is here, with its version; None when that is not one."""
    from importlib.metadata import version

    names = sorted(set(packages_of_modules().get(top, ())))
    return f"{names[0]}=={version(names[0])}" if len(names) == 1 else None
