"""Clients in tasks: they go to the task's own cluster, and what a task waits for does not wait for its engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ipclusterz as ipz
from ipclusterz import Client, Cluster, ClusterError, CompositeError, RemoteError

WAYS: list[Callable[[Any], Any]] = [
    lambda client: client[None].map_sync(square, range(10)),
    lambda client: client[None].map_async(square, range(10), chunksize=3).get(timeout=40),
    lambda client: list(client[None].imap(square, range(10))),
    lambda client: sorted(client[None].imap(square, range(10), ordered=False)),
    lambda client: list(client[None].map_async(square, range(10))),
    lambda client: [client[None].apply_sync(square, x) for x in range(10)],
    lambda client: [ar.get() for ar in [client[None].apply_async(square, x) for x in range(10)]],
    lambda client: through_barrier(client),
    lambda client: through_executor(client),
    lambda client: through_futures(client),
    lambda client: through_asyncio(client),
    lambda client: through_joblib(client),
    lambda client: through_polling(client),
]


def square(x: int) -> int:
    return x * x


def through_barrier(client: Client) -> Any:
    results = [client[None].apply_async(square, x) for x in range(10)]
    client.barrier()
    return [result.get(timeout=0) for result in results]


def through_executor(client: Client) -> Any:
    with client[None].executor as executor:
        return list(executor.map(square, range(10)))


def through_futures(client: Client) -> Any:
    from concurrent.futures import as_completed

    results = [client[None].apply_async(square, x) for x in range(10)]
    return sorted(result.get() for result in as_completed(results, timeout=40))


def through_asyncio(client: Client) -> Any:
    import asyncio

    async def gathered() -> Any:
        return list(await asyncio.gather(*(client[None].apply_async(square, x) for x in range(10))))

    return asyncio.run(gathered())


def through_polling(client: Client) -> Any:
    from threading import Event

    result = client[None].map_async(square, range(10))
    while not result.ready():
        Event().wait(0.01)
    return result.get(timeout=0)


def through_joblib(client: Client) -> Any:
    from joblib import Parallel, delayed, parallel_config

    client[None].register_joblib_backend()
    with parallel_config("ipclusterz"):
        return Parallel()(delayed(square)(x) for x in range(10))


def in_task(way: Callable[[Any], Any]) -> Any:
    with ipz.worker_client() as client:
        return way(client)


@pytest.fixture(scope="module", params=[1, 3], ids=["one engine", "three engines"])
def engines(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Cluster(request.param, cluster=f"nested{request.param}-{os.getpid()}") as rc:
        yield rc


@pytest.mark.parametrize(
    "way", WAYS, ids=lambda way: str(way.__code__.co_firstlineno - WAYS[0].__code__.co_firstlineno)
)
def test_tasks_of_all_engines_wait(engines: Client, way: Callable[[Any], Any]) -> None:
    answers = engines[:].apply_async(in_task, way).get(timeout=50)
    assert answers == [[x * x for x in range(10)]] * len(engines)
    assert engines[:].apply_async(abs, -1).get(timeout=10) == [1] * len(engines)


def tree(depth: int) -> int:
    """How many calls there are in a tree of tasks that wait for tasks."""
    if depth == 0:
        return 1
    with ipz.worker_client() as client:
        return 1 + sum(client[None].map_async(tree, [depth - 1] * 3, chunksize=1).get(timeout=40))


def test_tasks_that_wait_for_tasks_that_wait(engines: Client) -> None:
    assert engines[None].map_async(tree, [3, 3], chunksize=1).get(timeout=50) == [40, 40]


def test_calls_on_the_own_engine(engines: Client) -> None:
    def own(engine: int) -> Any:
        with ipz.worker_client() as client:
            mine = client[engine]
            mine.push({"kept": 5})
            mine.execute("kept += 1")
            return mine.pull("kept").get(timeout=10), mine.apply_sync(os.getpid) == os.getpid()

    for engine in sorted(engines.ids):
        assert engines[engine].apply_async(own, engine).get(timeout=40) == (6, True)
        assert engines[engine]["kept"] == 6


def test_what_fails_in_a_call_of_a_task(engines: Client) -> None:
    def failing() -> Any:
        with ipz.worker_client() as client:
            result = client[None].map_async(lambda x: 1 // x, [1, 0, 2], chunksize=1)
            try:
                result.get(timeout=40)
            except CompositeError as error:
                return (
                    [failed.index for failed in result.failures()],
                    error.elist[0].engine_id in client.ids,
                    len(result),
                )

    assert engines[:].apply_async(failing).get(timeout=50) == [([1], True, 3)] * len(engines)


def test_arguments_arrive_as_they_were_and_can_be_written_to(engines: Client) -> None:
    def arrays() -> Any:
        import numpy as np

        def doubled(array: Any) -> Any:
            array *= 2
            return float(array.sum())

        with ipz.worker_client() as client:
            data = np.ones(100_000)
            result = client[None].apply_async(doubled, data)
            data[:] = 0
            return result.get(timeout=40)

    assert engines[:].apply_async(arrays).get(timeout=50) == [200_000.0] * len(engines)


def test_ctrl_c_ends_a_task_that_does_calls_of_its_own(engines: Client, tmp_path: Path) -> None:
    def waits(folder: str) -> Any:
        def endless(x: int) -> None:
            Path(folder, str(x)).touch()
            while True:
                pass

        with ipz.worker_client() as client:
            client[None].map_sync(endless, range(8), chunksize=1)

    result = engines[0].apply_async(waits, str(tmp_path))
    from helpers import until

    until(lambda: len(list(tmp_path.iterdir())) >= len(engines), 20)
    engines.interrupt()
    with pytest.raises((RemoteError, CompositeError), match="KeyboardInterrupt"):
        result.get(timeout=20)
    # What was under way for the client of that task ends with it.
    until(lambda: not interrupted_again(engines), 20)


def interrupted_again(engines: Client) -> bool:
    engines.interrupt()
    return any(engine["state"] != "idle" for engine in engines.status()["engines"])


def test_chosen_engines_that_wait_for_each_other_are_told(engines: Client) -> None:
    def everywhere() -> Any:
        with ipz.worker_client() as client:
            return client[:].apply_async(abs, -1).get(timeout=30)

    result = engines[:].apply_async(everywhere)
    if len(engines) == 1:
        assert result.get(timeout=20) == [[1]]
        return
    with pytest.raises(CompositeError, match=r"RejectedError: this task of engine \d waits for engine \d"):
        result.get(timeout=25)
    assert engines[0].apply_async(everywhere).get(timeout=20) == [1] * len(engines)


# -- which cluster ----------------------------------------------------------------------------------------------


def cluster_here() -> list[str]:
    """The cluster that clients in a task, in a fork of it and in a program that it starts go to."""
    code = "import ipclusterz; print(ipclusterz.Client().cluster.name)"
    program = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    with Client() as client:
        return [client.cluster.name, os.environ["IPCLUSTERZ_CLUSTER"], program.stdout.strip()]


def test_a_client_in_a_task_goes_to_its_own_cluster(
    cluster: Cluster, own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What would be found by name, and what the launcher itself was told.
    default = own_cluster(1, cluster="default")
    monkeypatch.setenv("IPCLUSTERZ_CLUSTER", "default")
    other = own_cluster(1)
    elsewhere = own_cluster(1, listen="127.0.0.1:0")
    for one in (other, elsewhere, default):
        with one.connect_client() as rc:
            assert rc[0].apply_sync(cluster_here) == [one.name] * 3
            named = rc[0].apply_sync(lambda name: Client(cluster=name).cluster.name, "default")
            assert named == "default"


def test_a_worker_client_is_for_tasks() -> None:
    with pytest.raises(ClusterError, match="for code that runs on an engine"):
        ipz.worker_client()


def test_a_client_of_another_cluster_in_a_task(cluster: Cluster, own_cluster: Callable[..., Cluster]) -> None:
    other = own_cluster(2)

    def there(file: str) -> Any:
        with Client(file) as client:
            return client[:].apply_sync(os.getpid), client[None].apply_sync(os.getpid) != os.getpid()

    with cluster.connect_client() as rc, other.connect_client() as others:
        assert rc[0].apply_async(there, other.report["client_file"]).get(timeout=20) == (
            others[:].apply_sync(os.getpid), True,
        )  # fmt: skip


# -- clusters of engines ----------------------------------------------------------------------------------------

STARTS = "import ipclusterz\ncluster = ipclusterz.Cluster(1).start()\n"


def test_a_module_that_starts_a_cluster_is_refused(rc: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "careless.py").write_text(STARTS)
    (tmp_path / "deeper.py").write_text("def begin():\n    import careless\n\n\nbegin()\n")

    def imports(name: str, folder: str) -> None:
        sys.path.insert(0, folder)
        try:
            __import__(name)
        finally:
            sys.path.remove(folder)

    for name in ("careless", "deeper"):
        with pytest.raises(
            RemoteError, match=r"this process is an engine.* and careless \(line 2 of .*careless\.py\)"
        ) as error:
            rc[0].apply_sync(imports, name, str(tmp_path))
        assert 'if __name__ == "__main__"' in error.value.hint
    with pytest.raises(RemoteError, match="and careless"):
        rc[0].apply_sync(lambda folder: subprocess_imports(folder), str(tmp_path))


def subprocess_imports(folder: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import careless"], cwd=folder, capture_output=True, text=True, timeout=30
    )
    if done.returncode:
        raise RuntimeError(done.stderr)


def test_a_task_may_start_a_cluster(rc: Client) -> None:
    def starts() -> Any:
        with Cluster(1) as inner:
            return inner[0].apply_sync(lambda: Client().cluster.name) == inner.cluster.name

    assert rc[0].apply_sync(starts) is True
