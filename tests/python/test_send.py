"""Values that go from engine to engine: `view.send`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import until

from ipclusterz import Client, Cluster, RemoteKeyError

SECONDS = 30
LARGE = 3 << 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    with Cluster(n=4) as rc:
        yield rc


@pytest.fixture
def rc(cluster: Client) -> Client:
    cluster[:].clear(block=True)
    return cluster


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("to", [[1, 2], slice(1, 3)])
def test_others_have_the_value_and_each_its_own(rc: Client, size: int, to: Any) -> None:
    value = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    rc[0].push({"x": value, "y": 5}, block=True)
    assert rc[0].send("x", to=to, block=True) is None
    rc[1].execute("x[0] = 7", block=True)
    found = rc[:3].pull("x", block=True)
    assert all((found[engine] == value).all() for engine in (0, 2))
    assert found[1][0] == 7
    assert (found[1][1:] == value[1:]).all()
    with pytest.raises(RemoteKeyError, match="'x' is not defined on engine 3"):
        rc[3].pull("x", block=True)


def test_an_engine_itself_and_nobody_else_is_no_work(rc: Client) -> None:
    rc[0].push({"x": 5}, block=True)
    rc[0].send("x", to=0, block=True)
    rc[0].send("x", to="all", block=True)
    assert rc[:].pull("x", block=True) == dict.fromkeys(range(4), 5)


def test_engines_exchange_at_the_same_time(rc: Client) -> None:
    values = {engine: bytes([engine]) * LARGE for engine in range(4)}
    for engine, value in values.items():
        rc[engine].push({f"x{engine}": value}, block=True)
    sent = [rc[engine].send(f"x{engine}", to="all", block=False) for engine in range(4)]
    assert [each.result(timeout=SECONDS) for each in sent if each is not None] == [None] * 4
    for engine, value in values.items():
        assert rc[:].pull(f"x{engine}", block=True) == dict.fromkeys(range(4), value)


@pytest.fixture
def own(own_cluster: Callable[..., Cluster]) -> Iterator[Client]:
    """A client of engines whose functions may be replaced."""
    with own_cluster(n=3).connect_client() as client:
        client[0].push({"x": bytes(LARGE)}, block=True)
        yield client


def test_it_goes_by_no_client_and_leaves_no_port(own: Client) -> None:
    def refuse() -> None:
        from ipclusterz.shared import handover

        def pack(_name: str) -> None:
            raise AssertionError("it goes by the client")

        handover.pack = pack  # type: ignore[assignment]

    def listening() -> list[str]:
        def link(descriptor: str) -> str:
            try:
                return os.readlink(f"/proc/self/fd/{descriptor}")
            except OSError:
                return ""

        held = set(map(link, os.listdir("/proc/self/fd")))
        lines = [line for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
        return [line for line in lines if f"socket:[{line.split()[9]}]" in held and line.split()[3] == "0A"]

    own[0].apply_sync(refuse)
    own[0].send("x", to=[1, 2], block=True)
    assert own[:].pull("x", block=True) == dict.fromkeys(range(3), bytes(LARGE))
    until(lambda: own[0].apply_sync(listening) == [], SECONDS)


def test_where_engines_do_not_reach_each_other_it_goes_by_the_client(own: Client) -> None:
    def be_out_of_reach() -> None:
        import ipclusterz._core as core

        core.give = lambda *_: ["127.0.0.1:1"]  # type: ignore[assignment]

    own[0].apply_sync(be_out_of_reach)
    own[0].send("x", to=[1, 2], block=True)
    assert own[:].pull("x", block=True) == dict.fromkeys(range(3), bytes(LARGE))


def test_what_is_wrong_is_said(rc: Client) -> None:
    with pytest.raises(RemoteKeyError, match="'x' is not defined on engine 0"):
        rc[0].send("x", to=1, block=True)
    with pytest.raises(ValueError, match=r"one engine sends a value, and these are 2: \[0, 1\]"):
        rc[:2].send("x", to=1)
    with pytest.raises(IndexError, match="9"):
        rc[0].send("x", to=9)
    with pytest.raises(TypeError, match="names are strings, not int"):
        rc[0].send(5, to=1)  # type: ignore[arg-type]
    later = rc[0].send("x", to=1, block=False)
    assert later is not None
    with pytest.raises(RemoteKeyError):
        later.result(timeout=SECONDS)
