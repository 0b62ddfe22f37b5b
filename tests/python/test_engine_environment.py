"""What engines find: threads of BLAS, one hash seed, and a Python that files of the working folder do not break."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ipclusterz import Client, Cluster
from ipclusterz._core import cores
from ipclusterz.engine.options import Options
from ipclusterz.engine.threads import set_threads
from ipclusterz.shared.ranks import local_size, started_by_srun
from ipclusterz.shared.threads import OPENMP, VARIABLES

MANY = 4096


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing about threads and hashes."""
    for name in (*VARIABLES, "PYTHONHASHSEED", "PYTHONSAFEPATH", "IPCLUSTERZ_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def project(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next cluster started with these keys of a profile."""
    (folder / "ipclusterz.toml").write_text(text)
    monkeypatch.setenv("IPCLUSTERZ_PROJECT", str(folder / "ipclusterz.toml"))


def environment() -> dict[str, str]:
    return dict(os.environ)


def test_engines_share_the_cores_and_have_one_hash_seed(
    own_cluster: Callable[..., Cluster], unset: pytest.MonkeyPatch
) -> None:
    hashes = set()
    for _ in range(2):
        with own_cluster(2).connect_client() as rc:
            for own in rc[:].apply_sync(environment).values():
                assert {own[name] for name in VARIABLES} == {str(max(1, cores() // 2))}
                assert "PYTHONSAFEPATH" not in own
            found = set(rc[:].apply_sync(hash, "a text").values())
            assert len(found) == 1
            hashes |= found
    assert len(hashes) == 2


def test_what_the_user_says_stays(
    tmp_path: Path, own_cluster: Callable[..., Cluster], unset: pytest.MonkeyPatch
) -> None:
    unset.setenv("OMP_NUM_THREADS", "3")
    unset.setenv("PYTHONHASHSEED", "random")
    unset.setenv("PYTHONSAFEPATH", "1")
    project(tmp_path, '[engines]\nenv = { MKL_NUM_THREADS = "5", PYTHONHASHSEED = "7" }\nhash_seed = 8\n', unset)
    with own_cluster(1).connect_client() as rc:
        own = rc[0].apply_sync(environment)
        assert (own["OMP_NUM_THREADS"], own["OPENBLAS_NUM_THREADS"], own["MKL_NUM_THREADS"]) == ("3", "3", "5")
        assert own["PYTHONHASHSEED"] == "7"
        assert own["PYTHONSAFEPATH"] == "1"


@pytest.mark.parametrize(("threads", "wanted"), [("4", "4"), ('"unset"', None)])
def test_the_profile_says_how_many(
    threads: str, wanted: str | None, tmp_path: Path, own_cluster: Callable[..., Cluster], unset: pytest.MonkeyPatch
) -> None:
    project(tmp_path, f'[engines]\nthreads = {threads}\nhash_seed = "unset"\n', unset)
    with own_cluster(1).connect_client() as rc:
        own = rc[0].apply_sync(environment)
        assert {own.get(name) for name in VARIABLES} == {wanted}
        assert "PYTHONHASHSEED" not in own


def test_without_a_number_there_is_an_engine_for_each_core(unset: pytest.MonkeyPatch) -> None:
    unset.delenv("IPCLUSTERZ_ENGINES", raising=False)
    first = min(os.sched_getaffinity(0))
    affinity = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {first})
        cluster = Cluster()
        with cluster as rc:
            assert len(rc) == cores() == 1
            assert "1 engines" in repr(cluster)
            assert rc[0].apply_sync(os.getenv, "OMP_NUM_THREADS") == "1"
    finally:
        os.sched_setaffinity(0, affinity)


def test_files_of_the_working_folder_do_not_break_the_start(
    tmp_path: Path, own_cluster: Callable[..., Cluster], unset: pytest.MonkeyPatch
) -> None:
    # What engines import, and what Python itself imports before the first line of a module: older versions take that
    # from the working folder.
    before = ("types", "operator", "functools", "collections", "contextlib", "keyword", "runpy", "enum", "heapq")
    for name in ("random", "logging", "pickle", *(before if sys.version_info >= (3, 11) else ())):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the file of the user')\n")
    (tmp_path / "mine.py").write_text("value = 7\n")
    with unset.context() as context:
        context.chdir(tmp_path)
        cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        assert rc[0].apply_sync(eval, "__import__('mine').value") == 7
        if sys.version_info >= (3, 11):
            # Older versions give the processes of a pool the working folder first, as everywhere.
            assert rc[0].apply_sync(pool_of_processes) == 4


def pool_of_processes() -> int:
    from multiprocessing import get_context

    with get_context("spawn").Pool(1) as pool:
        return pool.apply(pow, (2, 2))


# -- the number of threads, in any environment --------------------------------------------------------------------


def threads(
    variables: dict[str, str], ranks: int | None = None, host_engines: int = 1, threads: str = "share"
) -> dict[str, str]:
    options = Options()
    options.ranks, options.host_engines, options.threads = ranks, host_engines, threads
    environment = dict(variables)
    set_threads(options, environment)
    return environment


@pytest.mark.parametrize(
    ("variables", "local"),
    [
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_SIZE": "8"}, 2),
        ({"MPI_LOCALNRANKS": "3", "PMI_SIZE": "8", "SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_NODEID": "0"}, 3),
        ({"PALS_LOCAL_SIZE": "4", "PMI_SIZE": "8"}, 4),
        ({"SLURM_STEP_TASKS_PER_NODE": "4(x2),1", "SLURM_NODEID": "1", "SLURM_NTASKS": "9"}, 4),
        ({"SLURM_STEP_TASKS_PER_NODE": "4(x2),1", "SLURM_NODEID": "2", "SLURM_NTASKS": "9"}, 1),
        ({"SLURM_STEP_TASKS_PER_NODE": "nonsense", "SLURM_NODEID": "0", "SLURM_NTASKS": "9"}, 9),
        ({"PMI_SIZE": "8"}, 8),
    ],
)
def test_ranks_on_this_host(variables: dict[str, str], local: int) -> None:
    assert local_size(variables) == local
    assert started_by_srun(variables) == (variables.keys() >= {"SLURM_NODEID"} and "MPI_LOCALNRANKS" not in variables)


def test_an_engine_has_at_least_one_thread_and_at_most_its_cores() -> None:
    assert set(threads({}, host_engines=MANY).values()) == {"1"}
    assert threads({})[OPENMP] == str(cores())
    assert threads({"PMI_SIZE": "1"}, ranks=1)[OPENMP] == str(cores())
    assert threads({"PMI_SIZE": str(MANY)}, ranks=MANY)[OPENMP] == "1"


def test_steps_of_slurm_know_the_cores_of_each_task() -> None:
    step = {"SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NODEID": "0", "SLURM_NTASKS": "2"}
    assert threads(step | {"SLURM_CPUS_PER_TASK": "1", "SLURM_CPUS_ON_NODE": "64"}, ranks=2)[OPENMP] == "1"
    assert threads(step | {"SLURM_CPUS_ON_NODE": "2"}, ranks=2)[OPENMP] == "1"
    assert threads(step | {"SLURM_CPUS_ON_NODE": "512"}, ranks=2)[OPENMP] == str(cores())


def test_what_is_set_stays_and_what_is_empty_does_not() -> None:
    own = threads({"OMP_NUM_THREADS": "6,2", "NUMBA_NUM_THREADS": "2", "MKL_NUM_THREADS": ""}, threads="9")
    assert (own["OMP_NUM_THREADS"], own["NUMBA_NUM_THREADS"], own["MKL_NUM_THREADS"]) == ("6,2", "2", "6")
    assert threads({"OPENBLAS_NUM_THREADS": "2"}, threads="9")["OMP_NUM_THREADS"] == "9"
    # numexpr has room for no more.
    large = threads({}, threads="128")
    assert (large["OMP_NUM_THREADS"], large["NUMEXPR_NUM_THREADS"]) == ("128", "64")
    assert threads({"OMP_NUM_THREADS": "6"}, threads="unset") == {"OMP_NUM_THREADS": "6"}


@pytest.mark.parametrize(
    "job",
    [{"PBS_JOBID": "1.pbs", "NCPUS": "16"}, {"_CONDOR_SLOT": "slot1", "CUBACORES": "16"}],
    ids=["PBS", "HTCondor"],
)
def test_what_a_queue_sets_for_the_whole_job_is_nobodys_wish(job: dict[str, str]) -> None:
    assert threads(job | {"OMP_NUM_THREADS": "16"}, threads="2")[OPENMP] == "2"
    assert threads(job | {"OMP_NUM_THREADS": "3"}, threads="2")[OPENMP] == "3"


def test_a_child_of_an_engine_has_the_same(rc: Client) -> None:
    code = "import os; print(os.environ['OMP_NUM_THREADS'])"
    run = "__import__('subprocess').check_output([__import__('sys').executable, '-c', code], text=True).strip()"
    own = rc[0].apply_sync(os.getenv, "OMP_NUM_THREADS")
    assert rc[0].apply_sync(eval, run, {"code": code}) == own
