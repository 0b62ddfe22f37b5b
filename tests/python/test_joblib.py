"""The joblib backend: `joblib.Parallel` and scikit-learn on engines."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from helpers import hold, until
from joblib import Parallel, delayed, parallel_backend, parallel_config

import ipclusterz as ipz
import ipclusterz.joblib
from ipclusterz import Client, Cluster, LoadBalancedView, NoEnginesRegistered, RemoteError
from ipclusterz.joblib import IpclusterzBackend


@pytest.fixture(autouse=True)
def on_engines(lview: LoadBalancedView) -> Iterator[None]:
    with parallel_config(backend="ipclusterz", view=lview):
        yield


def pid() -> int:
    return os.getpid()


def meet(folder: Path) -> int:
    """Wait until two engines are here."""
    (folder / str(os.getpid())).touch()
    until(lambda: len(list(folder.iterdir())) > 1, message="no second engine was given a task")
    return os.getpid()


def fail_on(number: int, bad: int) -> int:
    if number == bad:
        raise ValueError(f"{number} is bad")
    return number


def nested(number: int) -> tuple[str, str, list[int], int]:
    """Runs a Parallel in a task, and one more in that."""

    def inner(number: int) -> tuple[str, int]:
        backend, _ = joblib.parallel.get_active_backend()
        return type(backend).__name__, os.getpid()

    backend, _ = joblib.parallel.get_active_backend()
    told = Parallel(n_jobs=2)(delayed(inner)(i) for i in range(4))
    return type(backend).__name__, told[0][0], [of for _, of in told], os.getpid()


def test_parallel() -> None:
    assert Parallel()(delayed(pow)(i, 2) for i in range(100)) == [i**2 for i in range(100)]
    assert Parallel(n_jobs=2)(delayed(lambda x: x + 1)(i) for i in range(10)) == list(range(1, 11))
    assert Parallel()([]) == []


@pytest.mark.parametrize(
    "options", [{"batch_size": 1}, {"batch_size": 7}, {"pre_dispatch": "all"}, {"pre_dispatch": 3}]
)
def test_options(options: dict[str, object]) -> None:
    assert Parallel(**options)(delayed(abs)(-i) for i in range(50)) == list(range(50))


def test_tasks_run_on_the_engines(rc: Client, tmp_path: Path) -> None:
    engines = set(rc[:].apply_sync(os.getpid).values())
    used = set(Parallel(batch_size=1)(delayed(meet)(tmp_path) for _ in range(4)))
    assert used <= engines
    assert len(used) > 1


def test_the_old_context_manager(rc: Client) -> None:
    with parallel_backend("ipclusterz", client=rc):
        assert Parallel()(delayed(abs)(-i) for i in range(10)) == list(range(10))
    with parallel_backend("ipclusterz", n_jobs=2, view=rc[:]):
        assert Parallel()(delayed(abs)(-i) for i in range(10)) == list(range(10))


def test_a_managed_parallel() -> None:
    with Parallel() as parallel:
        for _ in range(3):
            assert parallel(delayed(abs)(-i) for i in range(10)) == list(range(10))
        with pytest.raises(ValueError, match="3 is bad"):
            parallel(delayed(fail_on)(i, 3) for i in range(10))
        # joblib 1.6 begins the next call with what the failed one had not sent, on any backend.
        parallel._ready_batches.queue.clear()
        assert parallel(delayed(abs)(-i) for i in range(10)) == list(range(10))


def test_an_instance_of_the_backend(rc: Client) -> None:
    backend = IpclusterzBackend(client=rc)
    assert Parallel(backend=backend, n_jobs=-1)(delayed(abs)(-i) for i in range(10)) == list(range(10))


# -- how many engines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "given"), [(-1, 4), (None, 4), (-2, 3), (-4, 1), (-9, 1), (1, 1), (3, 3), (9, 4)])
def test_effective_n_jobs(lview: LoadBalancedView, asked: int | None, given: int) -> None:
    assert IpclusterzBackend(view=lview).effective_n_jobs(asked) == given


def test_fewer_jobs_than_engines(rc: Client) -> None:
    engines = rc[:].apply_sync(os.getpid)
    used = set(Parallel(n_jobs=2, batch_size=1)(delayed(pid)() for _ in range(100)))
    assert used <= {engines[0], engines[1]}
    with parallel_config(backend="ipclusterz", view=rc[1, 2, 3]):
        used = set(Parallel(n_jobs=2, batch_size=1)(delayed(pid)() for _ in range(100)))
    assert used <= {engines[1], engines[2]}


def test_one_job_stays_here() -> None:
    assert Parallel(n_jobs=1)(delayed(pid)() for _ in range(3)) == [os.getpid()] * 3


def test_no_jobs() -> None:
    with pytest.raises(ValueError, match="n_jobs is 0"):
        Parallel(n_jobs=0)(delayed(pid)() for _ in range(3))


def test_no_engines(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(1).connect_client() as client:
        client.shutdown()
        until(lambda: not client.ids)
        with (
            parallel_config(backend="ipclusterz", client=client),
            pytest.raises(NoEnginesRegistered, match="no engine to run on") as caught,
        ):
            Parallel()(delayed(pid)() for _ in range(3))
        assert caught.value.hint


def test_view_and_client() -> None:
    with pytest.raises(TypeError, match="view and client are both given"):
        IpclusterzBackend(view=object(), client=object())  # type: ignore[arg-type]


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
def test_an_exception_in_a_task(return_as: str) -> None:
    with pytest.raises(ValueError, match="7 is bad") as caught:
        list(Parallel(return_as=return_as)(delayed(fail_on)(i, 7) for i in range(20)))
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteError)
    assert 'raise ValueError(f"{number} is bad")' in cause.traceback
    assert "in fail_on" in "".join(traceback.format_exception(type(caught.value), caught.value, caught.tb))


def test_an_exception_gives_up_what_waits(rc: Client, gate: Path, tmp_path: Path) -> None:
    def run(number: int, gate: str, folder: str) -> None:
        if number == 0:
            raise ValueError("first")
        hold(gate)
        open(f"{folder}/{number}", "w").close()

    with pytest.raises(ValueError, match="first"):
        Parallel(batch_size=1, pre_dispatch="all")(delayed(run)(i, str(gate), str(tmp_path)) for i in range(40))

    def waiting() -> int:
        status = rc.status()
        return status["pending"] + sum(max(0, engine["queue"] - 1) for engine in status["engines"])

    until(lambda: waiting() == 0)
    gate.touch()
    rc.barrier(timeout=10)
    # What each engine had begun went on.
    assert len(list(tmp_path.iterdir())) <= 4 + 1


def test_an_exception_in_the_iterable() -> None:
    def tasks() -> Iterator[object]:
        yield delayed(abs)(-1)
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        Parallel(pre_dispatch=1)(tasks())


def test_a_task_that_cannot_travel() -> None:
    with pytest.raises(ipz.SerializationError):
        Parallel()(delayed(id)(sys.stdout) for _ in range(3))
    assert Parallel()(delayed(abs)(-i) for i in range(10)) == list(range(10))


def test_a_timeout(gate: Path) -> None:
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.2)(delayed(hold)(str(gate)) for _ in range(4))
    gate.touch()
    assert Parallel(timeout=30)(delayed(abs)(-i) for i in range(10)) == list(range(10))


def test_an_engine_that_dies(own_cluster: Callable[..., Cluster]) -> None:
    with (
        own_cluster(2).connect_client() as client,
        parallel_config(backend="ipclusterz", client=client),
        pytest.raises(ipz.EngineError),
    ):
        Parallel(batch_size=1)(delayed(os._exit)(1) if i == 3 else delayed(abs)(i) for i in range(10))


# -- generators ---------------------------------------------------------------------------------------------------


def test_a_generator(gate: Path) -> None:
    results = Parallel(return_as="generator", batch_size=1)(
        delayed(hold if i == 5 else os.fspath)(str(gate)) for i in range(6)
    )
    assert [next(results) for _ in range(5)] == [str(gate)] * 5
    gate.touch()
    assert next(results) > 0
    assert list(results) == []


def test_an_unordered_generator(gate: Path) -> None:
    results = Parallel(return_as="generator_unordered", batch_size=1)(
        delayed(hold if i == 0 else os.fspath)(str(gate)) for i in range(6)
    )
    assert [next(results) for _ in range(5)] == [str(gate)] * 5
    gate.touch()
    assert next(results) > 0


def test_a_generator_that_is_left_early() -> None:
    results = Parallel(return_as="generator", batch_size=1)(delayed(abs)(-i) for i in range(100))
    assert next(results) == 0
    with pytest.warns(UserWarning, match="tasks"):
        results.close()
    assert Parallel()(delayed(abs)(-i) for i in range(10)) == list(range(10))


def test_two_generators_in_turn() -> None:
    first = Parallel(return_as="generator", batch_size=1)(delayed(abs)(-i) for i in range(30))
    second = Parallel(return_as="generator", batch_size=1)(delayed(pow)(i, 2) for i in range(30))
    assert next(second) == 0
    assert list(first) == list(range(30))
    assert list(second) == [i**2 for i in range(1, 30)]


# -- nesting, and what travels ------------------------------------------------------------------------------------


def test_nested_parallelism(rc: Client) -> None:
    engines = set(rc[:].apply_sync(os.getpid).values())
    for outer, inner, used, own in Parallel(batch_size=1)(delayed(nested)(i) for i in range(4)):
        assert outer == "ThreadingBackend"
        assert inner in ("ThreadingBackend", "SequentialBackend")
        assert set(used) == {own}
        assert own in engines


def test_arrays() -> None:
    arrays = [np.arange(100_000.0) + i for i in range(8)]
    for array, doubled in zip(arrays, Parallel()(delayed(np.multiply)(array, 2) for array in arrays)):
        assert np.array_equal(doubled, 2 * array)
        doubled[0] = 1


# -- registering --------------------------------------------------------------------------------------------------


@pytest.fixture
def as_before() -> Iterator[None]:
    backends, default = dict(joblib.parallel.BACKENDS), joblib.parallel.DEFAULT_BACKEND
    yield
    joblib.parallel.BACKENDS.clear()
    joblib.parallel.BACKENDS.update(backends)
    joblib.parallel.DEFAULT_BACKEND = default


def test_registering_a_view(rc: Client, as_before: None) -> None:
    engines = rc[:].apply_sync(os.getpid)
    rc[2, 3].register_joblib_backend("two")
    with parallel_config(backend="two"):
        used = set(Parallel(batch_size=1)(delayed(pid)() for _ in range(50)))
    assert used <= {engines[2], engines[3]}
    with parallel_config(backend="two", view=rc[:2]):
        used = set(Parallel(batch_size=1)(delayed(pid)() for _ in range(50)))
    assert used <= {engines[0], engines[1]}
    assert Parallel(backend="two", n_jobs=2)(delayed(abs)(-i) for i in range(5)) == list(range(5))


def test_registering_a_default(rc: Client, as_before: None) -> None:
    rc.load_balanced_view().register_joblib_backend("everywhere", make_default=True)
    # What was configured here is not, in another thread.
    with ThreadPoolExecutor(1) as thread:
        used = thread.submit(lambda: set(Parallel(n_jobs=-1, batch_size=1)(delayed(pid)() for _ in range(50)))).result()
    assert used <= set(rc[:].apply_sync(os.getpid).values())


def blas_threads() -> list[int]:
    import numpy
    from threadpoolctl import threadpool_info

    assert numpy.linalg
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_inner_max_num_threads(rc: Client) -> None:
    usual = rc[0].apply_sync(blas_threads)
    for limit in (1, 3):
        with parallel_config(backend="ipclusterz", client=rc, inner_max_num_threads=limit):
            found = Parallel(batch_size=1)(delayed(blas_threads)() for _ in range(8))
            assert {number for numbers in found for number in numbers} == {limit}
    assert rc[0].apply_sync(blas_threads) == usual
    with (
        parallel_config(backend="ipclusterz", client=rc, inner_max_num_threads=0),
        pytest.raises(ValueError, match="inner_max_num_threads is 0"),
    ):
        Parallel()(delayed(blas_threads)() for _ in range(2))


def test_what_a_limited_task_loads_is_not_limited_afterwards(
    own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with own_cluster(2).connect_client() as client:
        loaded = client[:].apply_sync(eval, "'numpy' in __import__('sys').modules")
        assert loaded == {0: False, 1: False}
        with parallel_config(backend="ipclusterz", client=client, inner_max_num_threads=1):
            assert Parallel(batch_size=1)(delayed(blas_threads)() for _ in range(4)) == [[1]] * 4
        assert client[:].apply_sync(blas_threads) == {0: [2], 1: [2]}
        assert client[0].apply_sync(os.getenv, "OPENBLAS_NUM_THREADS") == "2"


SCRIPT = """
import os, sys, threading
import joblib
import ipclusterz.joblib
with joblib.parallel_backend("ipclusterz"):
    for _ in range(2):
        assert joblib.Parallel()(joblib.delayed(pow)(i, 2) for i in range(20)) == [i**2 for i in range(20)]
        backend, _ = joblib.parallel.get_active_backend()
        assert backend._own_client is None
    assert os.getpid() not in joblib.Parallel(return_as="generator")(joblib.delayed(os.getpid)() for _ in range(20))
for thread in threading.enumerate():
    if thread.name.startswith("ipclusterz"):
        thread.join(30)  # It ends by itself once its client is closed.
        assert not thread.is_alive(), thread
"""


def test_the_default_cluster(
    own_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a folder where it is the only one.
    monkeypatch.setenv("IPCLUSTERZ_HOME", str(tmp_path))
    with own_cluster(2).connect_client() as client:
        before = client.status()["clients"]
        ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
        assert (ended.stderr, ended.returncode) == ("", 0)
        until(lambda: client.status()["clients"] == before)


def test_without_joblib() -> None:
    code = "import sys; sys.modules['joblib'] = None; sys.modules['joblib.parallel'] = None; import ipclusterz.joblib"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr.splitlines()[-1].startswith("ImportError: ")
    assert "pip install joblib" in ended.stderr


# -- scikit-learn -------------------------------------------------------------------------------------------------


def test_grid_search(rc: Client) -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.svm import SVC

    features, labels = make_classification(n_samples=200, n_features=10, random_state=0)
    grid = {"C": [0.1, 1, 10], "gamma": [0.01, 0.1], "kernel": ["rbf", "linear"]}

    def search() -> GridSearchCV:
        return GridSearchCV(SVC(random_state=0), grid, cv=3).fit(features, labels)

    balanced = search()
    with parallel_config(backend="sequential"):
        sequential = search()
    assert balanced.best_params_ == sequential.best_params_
    for name, column in sequential.cv_results_.items():
        if "time" not in name:
            assert list(balanced.cv_results_[name]) == list(column), name
    assert np.array_equal(balanced.predict(features), sequential.predict(features))

    # A forest grows its trees by a Parallel of its own, on the engine in threads.
    forest = RandomForestClassifier(n_estimators=10, random_state=0, n_jobs=2)
    here = cross_val_score(forest, features, labels, cv=3, n_jobs=1)
    assert np.array_equal(cross_val_score(forest, features, labels, cv=3), here)
