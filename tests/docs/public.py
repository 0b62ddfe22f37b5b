"""The public names of the package, as a user writes them: ``ipclusterz.Client.apply`` and so on."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import ipclusterz
from ipclusterz.client import executor

__all__ = ["PUBLIC", "Name"]


@dataclass(frozen=True)
class Name:
    """One public name.

    Attributes
    ----------
    module : str
        Where it is public, or where the class is of which it is a member.
    path : str
        The name there: ``Client.apply``.
    value : object
        What it stands for.
    owner : type or None
        The class that defines it, for a member of a class.
    """

    module: str
    path: str
    value: Any
    owner: type | None = None

    @property
    def is_code(self) -> bool:
        """Whether it has a docstring of its own: it is not a plain attribute."""
        return callable(self.value) or isinstance(self.value, property)

    def __str__(self) -> str:
        return f"{self.module}.{self.path}"


def _public() -> list[Name]:
    found: dict[int, Name] = {}
    for module in (ipclusterz, ipclusterz.client, executor):
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.ismodule(value) and not isinstance(value, str):
                found.setdefault(id(value), Name(module.__name__, name, value))
    return [name for found_name in found.values() for name in (found_name, *_members(found_name))]


def _members(of: Name) -> list[Name]:
    if not isinstance(of.value, type):
        return []
    owners = {
        name: next(owner for owner in of.value.__mro__ if name in vars(owner))
        for name in dir(of.value)
        if not name.startswith("_")
    }
    # A class method is the function that it was made of.
    values = {name: inspect.getattr_static(of.value, name) for name in owners}
    return [
        Name(of.module, f"{of.path}.{name}", getattr(values[name], "__func__", values[name]), owner)
        for name, owner in owners.items()
        if owner.__module__.partition(".")[0] == "ipclusterz"
    ]


PUBLIC = _public()
