"""What Python 3.9 and 3.10 lack, under one name for all versions."""

from __future__ import annotations

import os
import sys
from functools import cache, partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["OWN_PROCESS_GROUP", "missing_attribute", "packages_of_modules", "stdlib_module_names", "zip_equal"]

if TYPE_CHECKING:
    zip_equal = zip
elif sys.version_info >= (3, 10):
    zip_equal = partial(zip, strict=True)
else:

    def zip_equal(*sequences: Any) -> Iterator[tuple[Any, ...]]:
        """``zip(*sequences, strict=True)``, but the lengths are compared at once."""
        columns = [list(sequence) for sequence in sequences]
        if len(set(map(len, columns))) > 1:
            raise ValueError(f"sequences of different lengths: {', '.join(str(len(column)) for column in columns)}")
        return zip(*columns)


# Of `subprocess.Popen`.
OWN_PROCESS_GROUP: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}


def missing_attribute(message: str, name: str, owner: object) -> AttributeError:
    """An AttributeError; from Python 3.10 on it suggests names that are like the one that is missing."""
    if sys.version_info >= (3, 10):
        return AttributeError(message, name=name, obj=owner)
    return AttributeError(message)


@cache
def stdlib_module_names() -> frozenset[str]:
    """The modules of Python itself; of Python 3.9, those that are there."""
    if sys.version_info >= (3, 10):
        return sys.stdlib_module_names
    from pkgutil import iter_modules

    folder = os.path.dirname(os.__file__)
    found = iter_modules([folder, os.path.join(folder, "lib-dynload")])
    return frozenset(sys.builtin_module_names).union(module.name for module in found)


def packages_of_modules() -> dict[str, list[str]]:
    """``importlib.metadata.packages_distributions()``; empty in Python 3.9."""
    if sys.version_info < (3, 10):
        return {}
    from importlib.metadata import packages_distributions

    return dict(packages_distributions())
