"""What pickles that travel name of the package: every release of one wire version has it, and calls it alike.

If this fails, keep what is named (with its parameters; new ones have defaults), or raise the wire version, as
`docs/contributing/versions.md` says.
"""

from __future__ import annotations

import ast
import functools
import inspect
import io
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

import ipclusterz as ipz
from ipclusterz.client.functions import pack
from ipclusterz.shared import travel
from ipclusterz.shared.serialize import dumps, split_code

# Of wire version 1: from a name to its parameters.
NAMED = {
    "ipclusterz.error.EngineError": "message hint engine_id method",
    "ipclusterz.error.RemoteError": "ename evalue traceback engine_id method pickled hint",
    "ipclusterz.error.VersionError": "message hint",
    "ipclusterz.shared.bound.rebuild": "code name cells",
    "ipclusterz.shared.bound.restore": "function state",
    "ipclusterz.shared.dependency._begin": "f",
    "ipclusterz.shared.dependency._if_met": "f check check_args check_kwargs",
    "ipclusterz.shared.dependency._with_needs": "f modules values",
    "ipclusterz.shared.rebuild.at_once": "check value",
    "ipclusterz.shared.rebuild.check": "stamps reason",
    "ipclusterz.shared.rebuild.fill_module": "module state",
    "ipclusterz.shared.rebuild.globals_of": "module",
    "ipclusterz.shared.rebuild.make_cache": "maxsize typed",
    "ipclusterz.shared.rebuild.make_class": "choice maker arguments",
    "ipclusterz.shared.rebuild.make_code": "parts lines name python",
    "ipclusterz.shared.rebuild.make_dispatch": "",
    "ipclusterz.shared.rebuild.make_function": "choice code space closure imports",
    "ipclusterz.shared.rebuild.make_late": "name attributes",
    "ipclusterz.shared.rebuild.make_module": "choice name attributes",
    "ipclusterz.shared.rebuild.make_partial": "",
    "ipclusterz.shared.rebuild.make_property": "",
    "ipclusterz.shared.rebuild.make_view": "content kind shape readonly",
    "ipclusterz.shared.rebuild.make_wrapper": "kind",
    "ipclusterz.shared.rebuild.named": "stamps reason module path",
    "ipclusterz.shared.rebuild.set_cache": "cache state",
    "ipclusterz.shared.rebuild.set_class": "kind state",
    "ipclusterz.shared.rebuild.set_dispatch": "dispatch state",
    "ipclusterz.shared.rebuild.set_function": "function state",
    "ipclusterz.shared.rebuild.set_late": "module state",
    "ipclusterz.shared.rebuild.set_partial": "call state",
    "ipclusterz.shared.rebuild.set_property": "cached state",
    "ipclusterz.shared.rebuild.set_wrapper": "wrapper function",
    "ipclusterz.shared.rebuild.whole": "module",
    "ipclusterz.shared.reference.resolve": "name",
    "ipclusterz.shared.sources.ModuleDiffers": "message hint name",
    "ipclusterz.shared.uploads.Manifest": "name digest zipped path entry modules tags",
}


def parameters(name: str) -> str:
    module, _, last = name.rpartition(".")
    return " ".join(inspect.signature(getattr(import_module(module), last)).parameters)


class Finder(pickle.Unpickler):
    """Notes what of the package a pickle names."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.found: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("ipclusterz"):
            self.found.add(f"{module}.{name}")
        return super().find_class(module, name)


def named_by(data: bytes) -> set[str]:
    finder = Finder(data)
    finder.load()
    return finder.found


@functools.lru_cache
def cached(x: int) -> int:
    return x


class Own:
    @functools.cached_property
    def value(self) -> int:
        return 1


def test_parameters_stay() -> None:
    assert {name: parameters(name) for name in NAMED} == NAMED


def test_all_that_is_named_is_known() -> None:
    free = 1
    for_engines = [
        lambda: free,
        ipz.interactive(lambda: free),
        ipz.depend(bool, 1)(lambda: free),
        ipz.require("os")(lambda: free),
        functools.partial(lambda x: x, ipz.Reference("a")),
    ]
    pickles = [bytes(part) for function in for_engines for part in split_code(pack(function)[1])[1:] if len(part)]
    values = [lambda: 1, cached, Own, functools.singledispatch(lambda x: x), ipz.Reference("a")]
    values += [ipz.RemoteError("E", "text", "", 0), ipz.EngineError("gone"), ipz.VersionError("other")]
    pickles += [bytes(dumps(value)[0]) for value in values]
    found = set().union(*map(named_by, pickles))
    # Whatever the picklers call of `rebuild`, also for modules that are not installed.
    nodes = ast.walk(ast.parse(Path(travel.__file__).read_text()))
    used = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    found |= {
        f"ipclusterz.shared.rebuild.{node.attr}" for node in used if node.value.id == "rebuild" and node.attr != "keep"
    }
    assert found <= set(NAMED), sorted(found - set(NAMED))
