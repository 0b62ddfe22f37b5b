"""`become_dask`: Dask on the engines, with the real `distributed`."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import engine_pid, engine_pids, is_over, until

from ipclusterz import Client, Cluster, RemoteError
from ipclusterz.client import dask_cluster
from ipclusterz.shared import dask_engine


@pytest.fixture(scope="module")
def engines() -> Iterator[Cluster]:
    """Three engines, which import Dask once."""
    with Cluster(n=3, cluster=f"dask-{os.getpid()}") as client:
        assert client is not None
        yield client  # type: ignore[misc]


@pytest.fixture
def rc(engines: Any) -> Iterator[Client]:
    """Their client; Dask has ended after each test."""
    yield engines
    engines.stop_dask()


def schedulers(rc: Client) -> list[int]:
    """The processes of schedulers beside the engines."""
    there = rc[:].apply_async(dask_engine.running).get()
    return [scheduler["pid"] for scheduler, _ in there if scheduler is not None]


def threads_of_dask() -> list[str]:
    """On an engine: threads and folders that Dask has there."""
    import glob
    import tempfile
    import threading

    found = [thread.name for thread in threading.enumerate() if "dask" in thread.name.lower()]
    return found + glob.glob(f"{tempfile.gettempdir()}/ipclusterz-dask-*-{os.getpid()}-*")


def waiting_for(gate: str) -> Callable[[], bool]:
    """A function that waits for a file, which Dask has to send by value."""

    def wait() -> bool:
        import os
        import time

        deadline = time.monotonic() + 60
        while not os.path.exists(gate) and time.monotonic() < deadline:
            time.sleep(0.005)
        return True

    return wait


def test_dask_computes_in_the_engines(rc: Client) -> None:
    dask = rc.become_dask()
    assert sorted(dask.run(os.getpid).values()) == sorted(engine_pids(rc).values())
    assert dask.submit(sum, [1, 2, 3]).result(timeout=20) == 6
    assert sum(dask.gather(dask.map(lambda number: number**2, range(50)))) == 40425
    workers = dask.scheduler_info()["workers"].values()
    assert sorted(worker["name"] for worker in workers) == ["engine-0", "engine-1", "engine-2"]
    assert {worker["nthreads"] for worker in workers} == {1}
    # Values go from worker to worker.
    halves = [dask.submit(bytes, 10_000, workers=[f"engine-{engine}"], pure=False) for engine in range(3)]
    assert dask.submit(lambda *parts: sum(map(len, parts)), *halves).result(timeout=20) == 30_000


def test_collections(rc: Client) -> None:
    delayed = pytest.importorskip("dask").delayed
    rc.become_dask()
    assert delayed(sum)([delayed(abs)(number) for number in range(-9, 0)]).compute() == 45


def test_engines_go_on_answering(rc: Client, gate: Path) -> None:
    dask = rc.become_dask()
    holding = [dask.submit(waiting_for(str(gate)), pure=False) for _ in range(3)]
    assert rc[:].apply_sync(abs, -1) == {0: 1, 1: 1, 2: 1}
    assert rc[None].map_sync(abs, range(100)) == list(range(100))
    assert not any(each.done() for each in holding)
    gate.touch()
    assert [each.result(timeout=20) for each in holding] == [True] * 3


def test_nothing_is_left(rc: Client) -> None:
    dask = rc.become_dask()
    (pid,) = schedulers(rc)
    assert not is_over(pid)
    rc.stop_dask()
    assert is_over(pid)
    assert dask.status == "closed"
    assert rc[:].apply_sync(threads_of_dask) == {0: [], 1: [], 2: []}
    rc.stop_dask()
    # And again.
    assert rc.become_dask().submit(abs, -1).result(timeout=20) == 1


def test_an_address_that_all_reach_is_taken(rc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"hosts": ["10.0.0.1", "fd00::1", "127.0.0.1"], "port": 7, "credentials": None}
    reached = [["10.0.0.1", "fd00::1"], ["fd00::1", "127.0.0.1"]]
    monkeypatch.setattr(dask_cluster, "_ask", lambda *_: reached)
    monkeypatch.setattr(dask_engine, "connectable", lambda *_: told["hosts"])
    assert dask_cluster._address(rc, [0, 1], told) == "tcp://[fd00::1]:7"
    reached[1] = []
    with pytest.raises(ConnectionError, match=r"none of these can be reached by engines 1: .*interface"):
        dask_cluster._address(rc, [0, 1], told)


def test_it_is_called_again(rc: Client) -> None:
    dask = rc.become_dask(targets=[0, 1])
    again = rc.become_dask()
    assert len(schedulers(rc)) == 1
    assert again.scheduler.address == dask.scheduler.address
    until(lambda: len(dask.scheduler_info()["workers"]) == 3)


def test_a_stranger_is_not_let_in(rc: Client) -> None:
    import distributed

    dask = rc.become_dask()
    address = dask.scheduler.address
    assert address.startswith("tls://")
    with pytest.raises(OSError, match=r"Timed out|reset|closed"):
        distributed.Client(address.replace("tls", "tcp"), timeout="2s")
    with pytest.raises(OSError, match="certificate"):
        distributed.Client(address, security=distributed.Security.temporary(), timeout="2s")
    # A certificate is asked for.
    host, _, port = address.rpartition("/")[2].rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port)), 5) as plain, context.wrap_socket(plain) as connection:
        connection.settimeout(5)
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
            connection.recv(1)


def test_secrets_are_not_in_arguments(rc: Client) -> None:
    rc.become_dask()
    (pid,) = schedulers(rc)
    words = psutil.Process(pid).cmdline()
    assert words[1:] == ["-m", "ipclusterz.shared.dask_scheduler"]


def test_options(rc: Client) -> None:
    dask = rc.become_dask(
        targets=0, security=False, scheduler_args={"host": "127.0.0.1"}, nthreads=3, memory_limit="1GiB", name="mine"
    )
    assert dask.scheduler.address.startswith("tcp://127.0.0.1:")
    (worker,) = dask.scheduler_info()["workers"].values()
    assert (worker["nthreads"], worker["memory_limit"], worker["name"]) == (3, 2**30, "mine")


def test_what_does_not_start_is_said(rc: Client) -> None:
    with pytest.raises(RemoteError, match="did not start"):
        rc.become_dask(targets=0, scheduler_args={"no_such_option": 1})
    with pytest.raises(RemoteError, match="no_such_option"):
        rc.become_dask(targets=0, no_such_option=1)
    assert schedulers(rc) == []
    with pytest.raises(ValueError, match="nanny"):
        rc.become_dask(nanny=True)


def test_a_package_that_is_missing(rc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = rc[1].apply_sync(lambda: "distributed" in __import__("sys").modules)
    rc[1].execute("import sys; kept = sys.modules.get('distributed'); sys.modules['distributed'] = None", block=True)
    try:
        with pytest.raises(ImportError, match=r"on the engines.* not on 1: pip install"):
            rc.become_dask()
    finally:
        code = "sys.modules['distributed'] = kept" if kept else "del sys.modules['distributed']"
        rc[1].execute(code, block=True)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match="needs the package distributed"):
        rc.become_dask()


def test_it_ends_with_its_engine(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(2).connect_client() as rc:
        rc.wait_for_engines(2)
        dask = rc.become_dask()
        (pid,) = schedulers(rc)
        killed = engine_pid(rc, 0)
        os.kill(killed, signal.SIGKILL)
        until(lambda: is_over(pid), 20)
        dask.close()
        until(lambda: not rc[1].apply_sync(dask_engine.running)[1])
        # The next worker of the host removes what the dead one has left.
        assert rc.become_dask(targets=1).submit(abs, -1).result(timeout=20) == 1
        assert not list(Path(tempfile.gettempdir()).glob(f"ipclusterz-dask-*-{killed}-*"))
        rc.stop_dask(targets=1)
