"""Large payloads over TCP, which travel on connections of their own beside the messages that they belong to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from forward import Forward
from helpers import until
from meddler import Fault, Meddler, offering, tcp_address

from ipclusterz import Client, Cluster

# Around the least size of what travels beside its message, and of what the controller keeps as a segment.
SIZES = [0, 1, (64 << 10) - 1, 64 << 10, (256 << 10) + 1, 1 << 20, (16 << 20) + 3]
SECONDS = 30


@pytest.fixture(scope="module", params=["encrypted", "plain"])
def through_tcp(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster whose engines, too, know no other way."""
    controller = {"local": False, "encrypt": request.param == "encrypted"}
    cluster = Cluster(n=2, cluster=f"tcp-{request.param}-{os.getpid()}", listen="127.0.0.1:0", controller=controller)
    yield cluster.start()
    cluster.stop()


@pytest.fixture(scope="module")
def both_ways() -> Iterator[Cluster]:
    """A cluster whose engines are beside their controller."""
    cluster = Cluster(n=2, cluster=f"both-{os.getpid()}", listen="127.0.0.1:0").start()
    yield cluster
    cluster.stop()


def of(cluster: Cluster, path: Path, address: str | None = None) -> Client:
    """A client that knows no other way than TCP."""
    return Client(offering(cluster.report, address or tcp_address(cluster.report), path))


def connections(cluster: Cluster) -> int:
    """How many this process has to the controller's port."""
    port = int(tcp_address(cluster.report).rpartition(":")[2])
    return sum(bool(each.raddr) and each.raddr.port == port for each in psutil.Process().net_connections("tcp"))


def data(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def test_values_of_all_sizes_come_back(through_tcp: Cluster, tmp_path: Path) -> None:
    with of(through_tcp, tmp_path / "client.json") as rc:
        until(lambda: connections(through_tcp) == 3, SECONDS, "there is no third connection")
        for size in SIZES:
            value = data(size)
            rc[:].push({"value": value}, block=True)
            assert rc[:].pull("value", block=True) == {0: value, 1: value}


def test_arrays_can_be_written_to_at_either_end(through_tcp: Cluster, tmp_path: Path) -> None:
    def doubled(array: np.ndarray) -> np.ndarray:
        array *= 2
        return array

    with of(through_tcp, tmp_path / "client.json") as rc:
        array = np.arange(1 << 20, dtype=float)
        result = rc[0].apply_sync(doubled, array)
        result += 1
        assert (result == 2 * array + 1).all()
        rc[:].scatter("part", array, block=True)
        assert (rc[:].gather("part", block=True) == array).all()


def test_large_and_small_keep_their_order(both_ways: Cluster, tmp_path: Path) -> None:
    with of(both_ways, tmp_path / "client.json") as rc:
        results = [rc[0].push({"value": data(size, seed)}) for seed, size in enumerate([2 << 20, 10, 1 << 20, 7] * 8)]
        rc.barrier(results, timeout=SECONDS)
        assert rc[0].pull("value", block=True) == data(7, 31)
        values = rc[None].map_sync(lambda seed: bytes([seed]) * (300_000 if seed % 2 else 3), range(40))
        assert values == [bytes([seed]) * (300_000 if seed % 2 else 3) for seed in range(40)]


def test_large_functions_and_output_travel_so_too(both_ways: Cluster, tmp_path: Path) -> None:
    def of_closure() -> int:
        print("x" * 200_000)
        return len(constant)

    constant = data(500_000)
    with of(both_ways, tmp_path / "client.json") as rc:
        ar = rc[0].apply_async(of_closure)
        ar.quiet = True
        assert ar.get(timeout=SECONDS) == len(constant)
        assert ar.stdout == "x" * 200_000 + "\n"


@pytest.mark.parametrize("upwards", [True, False])
def test_a_link_that_breaks_in_the_middle_loses_nothing(both_ways: Cluster, tmp_path: Path, upwards: bool) -> None:
    # The third connection is the first of the link, and breaks each time it is made.
    def fault(number: int) -> Fault | None:
        return Fault("cut", 3_000_000 + 1_000_000 * number, upwards) if number % 3 == 2 and number < 12 else None

    with Meddler(tcp_address(both_ways.report), fault) as meddler:
        with of(both_ways, tmp_path / "client.json", meddler.address) as rc:
            until(lambda: meddler.accepted >= 3, SECONDS, "there is no third connection")
            value = data(5_000_000)
            results = [rc[:].apply_async(lambda value, _: value, value, number) for number in range(6)]
            assert [result.get(timeout=SECONDS) for result in results] == [[value, value]] * 6
        assert meddler.accepted > 3, "nothing was cut"


@pytest.mark.parametrize("what", ["cut", "damage"])
def test_without_a_link_large_payloads_go_as_they_did(both_ways: Cluster, tmp_path: Path, what: str) -> None:
    # All of its handshakes fail.
    def fault(number: int) -> Fault | None:
        return Fault(what, 40) if number >= 2 else None

    with (
        Meddler(tcp_address(both_ways.report), fault) as meddler,
        of(both_ways, tmp_path / "client.json", meddler.address) as rc,
    ):
        value = data(5_000_000)
        for _ in range(3):
            assert rc[0].apply_sync(lambda value: value, value) == value


def test_a_tunnel_that_comes_back_brings_the_link_again(both_ways: Cluster, tmp_path: Path) -> None:
    forward = Forward(tcp_address(both_ways.report))
    try:
        with of(both_ways, tmp_path / "client.json", forward.address) as rc:
            value = data(3_000_000)
            for _ in range(3):
                assert rc[0].apply_sync(lambda value: value, value) == value
                forward.cut()
                result = rc[0].apply_async(lambda value: value, value)
                forward.open()
                assert result.get(timeout=SECONDS) == value
    finally:
        forward.close()


def test_nothing_of_it_stays(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = own_cluster(1, listen="127.0.0.1:0")
    segments = f"ipclusterz-*-{cluster.report['cluster']}-*/*"
    with of(cluster, tmp_path / "client.json") as rc:
        for _ in range(5):
            assert rc[0].apply_sync(len, data(3_000_000)) == 3_000_000
        until(lambda: not list(Path("/dev/shm").glob(segments)), SECONDS, "segments are still there")
    until(lambda: connections(cluster) == 0, SECONDS, "connections are still there")
