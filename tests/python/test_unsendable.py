"""What cannot be sent, and modules that engines lack: the error says which object it is and where, and what to do."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import importlib.metadata
import io
import mmap
import queue
import socket
import sqlite3
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ipclusterz as ipz
from ipclusterz import Client, RemoteError
from ipclusterz.shared.unsendable import why_not


class Model:
    """Has what cannot be sent among what can."""

    def __init__(self, part: object) -> None:
        self.parts = {"a": [1, part]}

    def run(self) -> object:
        return self.parts


class Ended:
    """Ends what was made for a test."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __call__(self, value: Any) -> Any:
        self.made.append(value)
        return value


@pytest.fixture
def ended() -> Iterator[Ended]:
    ended = Ended()
    yield ended
    for value in ended.made:
        value.close()


async def begun() -> None:
    pass


async def several() -> AsyncIterator[int]:
    yield 1


KINDS: dict[str, tuple[Callable[[Client, Ended], object], str]] = {
    "client": (lambda rc, _: rc, "a client belongs to its process"),
    "view": (lambda rc, _: rc[:], "a view belongs to its client's process: send its ids"),
    "balanced view": (lambda rc, _: rc[None], "a view belongs to its client's process"),
    "result": (lambda rc, _: rc[:].apply_async(abs, -1), "send its value, which is result.get()"),
    "coroutine": (lambda _, ended: ended(begun()), "send the `async def` itself"),
    "generator": (lambda _, ended: ended(iter(x for x in [1])), "send a list of it"),
    "async generator": (lambda _rc, _: several(), "send the function that makes it"),
    "weak reference": (lambda rc, _: weakref.ref(rc), "send the object, ref()"),
    "thread": (lambda _rc, _: threading.Thread(), "a thread belongs to its process"),
    "socket": (lambda _, ended: ended(socket.socket()), "send the address"),
    "open file": (lambda _, ended: ended(open("/dev/null", "wb")), r"an open file belongs .* rc\.upload\(path\)"),  # noqa: SIM115
    "database": (lambda _, ended: ended(sqlite3.connect(":memory:")), "send the path, and open it there"),
    "mapped memory": (lambda _, ended: ended(mmap.mmap(-1, 10)), "send bytes of it"),
    "queue": (lambda _rc, _: queue.Queue(), "send what is in it"),
    "event": (lambda _rc, _: threading.Event(), "a lock belongs to its process"),
    "lock": (lambda _rc, _: threading.Lock(), "a lock belongs to its process"),
    "context": (lambda _rc, _: contextvars.ContextVar("x"), "send its value"),
    "future": (lambda _rc, _: concurrent.futures.Future(), "which is future.result()"),
    "loop": (lambda _, ended: ended(asyncio.new_event_loop()), "an event loop belongs to its thread"),
    "frame": (lambda _rc, _: sys._getframe(), "a frame belongs to its process"),
    "streams": (lambda _rc, _: sys.__stdout__, "an open file belongs to its process"),
}


@pytest.mark.parametrize(("make", "hint"), KINDS.values(), ids=KINDS)
def test_each_kind_has_its_hint(rc: Client, ended: Ended, make: Callable[[Client, Ended], object], hint: str) -> None:
    value = make(rc, ended)
    for argument in (value, {"deep": [0, value]}):
        with pytest.raises(ipz.SerializationError, match=hint):
            rc[0].apply_sync(abs, argument)
    with pytest.raises(ipz.SerializationError, match=rf"\(variable 'value' is a .*\)\nhint: .*{hint}"):
        rc[0].apply_sync(lambda: value)


PLACES: dict[str, tuple[Callable[[Any], object], str]] = {
    "itself": (lambda bad: bad, ""),
    "dictionary": (lambda bad: {"a": 1, "b": {(1, 2): bad}}, "['b'][<tuple>]"),
    "list": (lambda bad: [1, "x", (2, bad)], "[2][1]"),
    "object": (lambda bad: Model(bad), ".parts['a'][1]"),
    "method": (lambda bad: Model(bad).run, ".__self__.parts['a'][1]"),
    "closure": (lambda bad: lambda: bad, "variable 'bad'"),
    "default": (lambda bad: lambda x=bad: x, "default"),
    "partial": (lambda bad: functools.partial(print, bad), "[0]"),
    "beside files in memory": (lambda bad: [io.StringIO("x"), io.BytesIO(b"x"), Path("x"), len, bad], "[4]"),
    "circle": (lambda bad: circle(bad), "[1]"),
}


def circle(bad: object) -> list[object]:
    """A list that is in itself."""
    made: list[object] = []
    made += [made, bad]
    return made


@pytest.mark.parametrize(("make", "place"), PLACES.values(), ids=PLACES)
def test_the_place_is_named(make: Callable[[Any], object], place: str) -> None:
    found, hint = why_not(make(threading.Lock()))
    assert found.strip() == (f"{place} is a _thread.lock" if place else "")
    assert hint.startswith("a lock belongs")


def test_what_is_not_known_is_not_guessed() -> None:
    class Odd:
        def __reduce__(self) -> str:
            raise TypeError("no")

    assert why_not({"x": Odd()})[1] == why_not([1, 2])[1] == "make it where it is used, or send plain data"


def test_results_have_the_hint_too(rc: Client) -> None:
    with pytest.raises(RemoteError, match="send a list of it"):
        rc[0].apply_sync(lambda: (x for x in [1]))


# -- modules that engines lack --------------------------------------------------------------------------------------

HIDE = """
import sys
class Hidden:
    def find_spec(self, name, *_):
        if name in ("sklearn", "of_mine", "nowhere"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
shown = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "sklearn"}
"""

SHOW = """
sys.meta_path.remove(next(each for each in sys.meta_path if isinstance(each, Hidden)))
sys.modules.update(shown)
"""


@pytest.fixture
def lacking(rc: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """The hint for an import on an engine without some modules."""
    (tmp_path / "of_mine.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    rc[0].execute(HIDE, block=True)

    def hint(code: str) -> str:
        with pytest.raises(RemoteError, match="ModuleNotFoundError") as caught:
            rc[0].execute(code, block=True)
        return caught.value.hint

    yield hint
    rc[0].execute(SHOW, block=True)


def test_the_hint_for_a_missing_module_is_what_it_is_here(lacking: Callable[[str], str], tmp_path: Path) -> None:
    mine = f"'of_mine' is a module of yours: rc.upload({str(tmp_path / 'of_mine.py')!r}) puts it on the engines"
    assert lacking("import of_mine") == mine
    assert lacking("import nowhere").startswith("this Python does not have 'nowhere' either.")
    assert lacking("import numpy.nowhere").startswith("the engine has numpy ")
    assert lacking("import _scproxy").startswith("'_scproxy' is a part of Python that ")


def test_the_hint_has_the_name_that_pip_has(lacking: Callable[[str], str]) -> None:
    version = importlib.metadata.version("scikit-learn")
    install = f"install it for the engines' Python: {sys.executable} -m pip install scikit-learn=={version}"
    assert lacking("import sklearn") == install


def test_the_bridge_is_not_looked_up_by_its_name(rc: Client) -> None:
    with pytest.raises(RemoteError) as caught:
        rc[0].execute("import ipclusterz_mpi", block=True)
    install = f"install it for the engines' Python: {sys.executable} -m pip install ./ipclusterz_mpi-*.whl"
    assert caught.value.hint == install


def test_an_answer_that_cannot_be_made_here(rc: Client) -> None:
    class Strict:
        def __init__(self) -> None:
            self.x = 1

        def __setstate__(self, state: object) -> None:
            import os

            if os.getpid() == client:
                raise RuntimeError("not here")

    import os

    client = os.getpid()
    with pytest.raises(ipz.SerializationError, match="RuntimeError: not here\nhint: its class cannot make it again"):
        rc[0].apply_sync(Strict)
