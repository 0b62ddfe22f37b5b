"""What pickles where plain pickle cannot: cloudpickle, dill, or nothing."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipclusterz as ipz
from ipclusterz import Client, RemoteError, SerializationError
from ipclusterz import ipyparallel as ipp
from ipclusterz.client.functions import pack

CHOICES = ("use_cloudpickle", "use_dill", "use_pickle")
# dill opens a file again where it arrives; cloudpickle sends what is in it.
FILE = Path("/proc/self/comm")


@pytest.fixture(autouse=True)
def as_at_first(rc: Client) -> Iterator[None]:
    """Later tests pickle as they would."""
    yield
    rc.use_cloudpickle()


def kind_there(rc: Client) -> str:
    """What engine 0 gets of an open file."""
    with FILE.open() as file:
        kind: str = rc[0].apply_sync(lambda file: type(file).__name__, file)
    return kind


def kind_back(rc: Client, engine: int = 0) -> type:
    """What comes of a file that an engine has opened."""
    with rc[engine].apply_sync(open, str(FILE)) as file:
        return type(file)


def test_dill_does_what_is_sent_and_what_comes_back(rc: Client) -> None:
    assert (kind_there(rc), kind_back(rc)) == ("StringIO", io.StringIO)
    rc[:2].use_dill()
    assert (kind_there(rc), kind_back(rc)) == ("TextIOWrapper", io.TextIOWrapper)
    # Others have not been told.
    assert kind_back(rc, 2) is io.StringIO
    rc.use_cloudpickle()
    assert (kind_there(rc), kind_back(rc)) == ("StringIO", io.StringIO)


def test_functions_are_packed_anew(rc: Client) -> None:
    with FILE.open() as file:

        def kind() -> str:
            return type(file).__name__

        def number() -> int:
            return 1

        packed = pack(number)
        assert pack(number) is packed
        assert rc[0].apply_sync(kind) == "StringIO"
        rc.use_dill(targets=[0])
        assert pack(number) != packed
        assert rc[0].apply_sync(kind) == "TextIOWrapper"
        assert rc[None].map_sync(lambda x: (x, kind()), range(9)) == [(x, "TextIOWrapper") for x in range(9)]


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_the_same_with_each(rc: Client, choice: str) -> None:
    getattr(rc, choice)()
    offset = 3
    assert rc[0].apply_sync(lambda x: x + offset, 1) == 4
    rc[0].push({"place": 5}, block=True)
    here: Any = {}
    exec("def there(x): return x + place", here)
    assert rc[0].apply_bound(here["there"], 1).get() == 6
    assert rc[0].apply_sync(lambda f, x: f(x), ipz.interactive(here["there"]), 2) == 7
    large = np.arange(1e5)
    large.flags.writeable = False
    assert rc[0].apply_sync(lambda array: array.flags.writeable, large)
    back = rc[0].apply_sync(np.negative, large)
    assert back[-1] == 1 - 1e5
    assert back.flags.writeable
    assert rc[:].map_sync(lambda x: x * offset, range(8)) == [x * 3 for x in range(8)]
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        rc[0].apply_sync(lambda: 1 / 0)


def test_arrays_beside_what_dill_does(rc: Client) -> None:
    rc.use_dill()
    array, twice = rc[0].apply_sync(lambda array, f: (f(array), f), np.arange(1e4), lambda x: 2 * x)
    assert array[-1] == 19998.0
    assert twice(2) == 4


def test_pickle_sends_names(rc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Thing:
        x = 3

    Thing.__module__, Thing.__qualname__ = "__main__", "Thing"
    monkeypatch.setattr(sys.modules["__main__"], "Thing", Thing, raising=False)
    rc[0].execute("class Thing: x = 4\nthing = Thing()", block=True)
    here: Any = {}
    exec("def look(thing): return type(thing) is Thing, thing.x", here)
    assert rc[0].apply_bound(here["look"], Thing()).get() == (False, 3)
    rc.use_pickle()
    assert rc[0].apply_bound(here["look"], Thing()).get() == (True, 4)
    assert type(rc[0].pull("thing", block=True)) is Thing
    with pytest.raises(SerializationError, match="argument 0 cannot be sent") as caught:
        rc[0].apply_sync(lambda f, x: f(x), lambda x: x, 1)
    assert "use_cloudpickle()" in caught.value.hint
    with pytest.raises(RemoteError, match="SerializationError"):
        rc[0].apply_sync(lambda: lambda: 1)


def test_modules_travel_with_cloudpickle_alone(rc: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here_for_pickling.py").write_text("class Point:\n    x = 3\ndef get(point): return point.x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here_for_pickling as module  # type: ignore[import-not-found]

    assert rc[0].apply_sync(module.get, module.Point()) == 3
    rc.use_dill()
    with pytest.raises(RemoteError, match="No module named 'only_here_for_pickling'"):
        rc[0].apply_sync(module.get, module.Point())
    rc.use_cloudpickle()
    assert rc[0].apply_sync(module.get, module.Point()) == 3


def test_without_dill_nothing_changes(rc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "dill", None)
        with pytest.raises(ImportError, match="needs the package dill: pip install dill, here"):
            rc.use_dill()
        with pytest.raises(ImportError, match="pip install dill"):
            ipp.use_dill()
    rc[1, 3].execute("import sys; sys.modules['dill'] = None", block=True)
    try:
        with pytest.raises(ImportError, match="it is not on 1, 3: pip install dill where they run"):
            rc.use_dill()
        assert (kind_there(rc), kind_back(rc)) == ("StringIO", io.StringIO)
        rc[0, 2].use_dill()
    finally:
        rc[1, 3].execute("del sys.modules['dill']", block=True)
    assert (kind_there(rc), kind_back(rc)) == ("TextIOWrapper", io.TextIOWrapper)


def test_bad_targets(rc: Client) -> None:
    for choice in CHOICES:
        with pytest.raises(ipz.UnknownEngine):
            getattr(rc, choice)(targets=9)


def test_the_face_of_ipyparallel(rc: Client, ippc: ipp.Client, dview: ipp.DirectView) -> None:
    assert dview.use_dill() is None
    assert (kind_there(rc), kind_back(rc)) == ("TextIOWrapper", io.TextIOWrapper)
    dview.use_cloudpickle()
    assert (kind_there(rc), kind_back(rc)) == ("StringIO", io.StringIO)
    # The function alone is of this process.
    ipp.use_dill()
    assert (kind_there(rc), kind_back(rc)) == ("TextIOWrapper", io.StringIO)
    ipp.use_cloudpickle()
    ippc[:].use_pickle()
    assert ippc[:].apply_sync(lambda x: x + 1, 1) == [2] * 4
    with pytest.raises(SerializationError):
        ippc[0].apply_sync(lambda f, x: f(x), lambda x: x, 1)
    ipp.use_pickle()
    assert not hasattr(ippc.load_balanced_view(), "use_dill")
