"""Functions of modules: by reference where the engine can import the module, by value elsewhere."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ipclusterz import Client, Cluster, RemoteError

SOURCE = """
from threading import Lock
lock = Lock()
calls = 0
factor = 2

def count():
    global calls
    calls += 1
    return calls

def scale(x):
    return helper(x) * factor

def helper(x):
    return x

def locked():
    return lock.locked()

class Point:
    def __init__(self, x):
        self.x = x

class Guarded:
    def is_held(self):
        return lock.locked()

def is_point(value):
    return isinstance(value, Point)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module beside the script, as far as the client can tell."""
    (tmp_path / "beside.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    module = importlib.import_module("beside")
    monkeypatch.setitem(sys.modules, "beside", module)
    return module


def test_by_value_where_it_cannot_be_imported(rc: Client, module: ModuleType) -> None:
    assert rc[0].apply_sync(module.scale, 4) == 8
    module.factor = 3
    assert rc[0].apply_sync(module.scale, 4) == 12
    assert rc[:].map_sync(module.scale, [1, 2]) == [3, 6]
    # What it counts is thrown away with the copy.
    assert [rc[0].apply_sync(module.count) for _ in range(2)] == [1, 1]
    assert rc[0].apply_sync(eval, "'beside' in __import__('sys').modules") is False


def test_a_whole_module_by_value(rc: Client, module: ModuleType) -> None:
    del module.lock
    assert rc[0].apply_sync(lambda x: module.scale(x), 4) == 8


def test_what_cannot_travel_by_value_names_the_module(rc: Client, module: ModuleType) -> None:
    with pytest.raises(RemoteError, match="No module named 'beside'") as caught:
        rc[0].apply_sync(module.locked)
    assert "rc.upload() puts it there" in caught.value.hint
    with pytest.raises(RemoteError, match="No module named 'beside'"):
        rc[0].apply_sync(repr, module.Guarded())
    assert "lock" in caught.value.hint


def test_what_can_travel_travels_as_an_argument_too(rc: Client, module: ModuleType) -> None:
    assert rc[0].apply_sync(lambda point: point.x, module.Point(4)) == 4
    assert type(rc[0].apply_sync(module.Point, 1)) is module.Point
    assert rc[0].apply_sync(module.is_point, module.Point(1)) is True


def test_by_reference_where_it_can(
    own_cluster: Callable[..., Cluster], module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        assert [rc[0].apply_sync(module.count) for _ in range(3)] == [1, 2, 3]
        assert rc[0].apply_sync(module.is_point, module.Point(1)) is True
        assert rc[0].apply_sync(module.locked) is False
        module.factor = 3
        assert rc[0].apply_sync(module.scale, 4) == 8


def test_bound_functions_of_a_module_see_the_engines_names(rc: Client, module: ModuleType) -> None:
    rc[0].push({"factor": 10, "helper": abs}, block=True)
    assert rc[0].apply_bound(module.scale, -1).get() == 10
