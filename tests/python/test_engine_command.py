"""The command line of an engine: ids by rank, several engines of one parent, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import until

from ipclusterz import Client, Cluster
from ipclusterz.compat import OWN_PROCESS_GROUP
from ipclusterz.engine import options, world

NO_RANK = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("OMPI_", "PMIX_", "PMI_", "SLURM_", "IPCLUSTERZ_END"))
}


@pytest.fixture
def start(own_cluster: Callable[..., Cluster]) -> Iterator[Callable[..., tuple[Client, subprocess.Popen[str]]]]:
    """Starts an engine's command for a cluster of one engine."""
    made: list[tuple[Client, subprocess.Popen[str]]] = []

    def start(*arguments: str, **variables: str) -> tuple[Client, subprocess.Popen[str]]:
        cluster = own_cluster(n=1)
        command = [sys.executable, "-m", "ipclusterz.engine"]
        command += ["--connection-file", cluster.report["engine_file"], *arguments]
        process = subprocess.Popen(
            command, env=NO_RANK | variables, **OWN_PROCESS_GROUP, stderr=subprocess.PIPE, text=True
        )
        made.append((cluster.connect_client(), process))
        return made[-1]

    yield start
    for rc, process in made:
        rc.close()
        process.kill()
        process.communicate()


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def test_the_id_is_the_first_one_plus_the_rank(start: Callable[..., Any]) -> None:
    variables = {"SLURM_PROCID": "7", "PMI_RANK": "3", "PMI_SIZE": "4", "SLURM_NTASKS": "8"}
    rc, process = start("--first-engine-id", "10", "--ranks=4", **variables)
    until(lambda: rc.ids == {0, 13})
    # It has been told that it is registered.
    rc[13].apply_sync(os.getpid)
    rc.shutdown(targets=13)
    assert "engine 13: pid " in process.communicate(timeout=20)[1]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--first-engine-id", "1"], {}, r"OMPI_COMM_WORLD_RANK, PMIX_RANK, PMI_RANK, SLURM_PROCID is set"),
        (["--ranks", "4"], {}, r"OMPI_COMM_WORLD_SIZE, PMI_SIZE, SLURM_STEP_NUM_TASKS, SLURM_NTASKS is set"),
        (["--ranks", "4"], {"PMI_SIZE": "1"}, "one of 1 ranks, and there must be 4"),
        (["--first-engine-id", "1"], {"PMI_RANK": "x"}, "PMI_RANK is no number: 'x'"),
    ],
)
def test_a_process_that_is_not_the_rank_that_was_meant_does_not_register(
    start: Callable[..., Any], arguments: list[str], variables: dict[str, str], said: str
) -> None:
    rc, process = start(*arguments, **variables)
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert said in errors
    assert rc.ids == {0}


def test_one_that_cannot_register_ends_whatever_would_hold_it_up(tmp_path: Path) -> None:
    # As MPI does, which is ended by a function of atexit and waits for ranks that cannot be reached.
    (tmp_path / "stuck.py").write_text("import atexit, time\natexit.register(time.sleep, 1000)\n")
    file = tmp_path / "engine.json"
    file.touch(mode=0o600)
    keys = dict.fromkeys(("server", "public", "secret"), "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")
    about = {"version": 1, "role": "engine", "cluster": "gone", "run_id": "0", "host": "n1", "shared_memory": None}
    file.write_text(json.dumps(about | {"addresses": ["tcp://127.0.0.1:1"], "curve": keys}))
    command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", str(file), "--preload", "stuck"]
    command += ["--timeout", "0.5", "--end-timeout", "0.2"]
    done = subprocess.run(
        command, env=NO_RANK | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert "this engine could not register" in done.stderr
    assert done.returncode == -signal.SIGALRM, done.stderr


FAKE_MPI = """
class COMM_WORLD:
    Get_rank = staticmethod(lambda: {rank})
    Get_size = staticmethod(lambda: {size})

def Get_library_version():
    return "Fake MPI v1, and so on"
"""


@pytest.mark.parametrize(
    ("mine", "said"),
    [((1, 2), None), ((0, 1), "2 engines that each believe to be rank 0 of 1"), ((0, 2), "rank 0 of 2, the environ")],
)
def test_mpi_must_agree_with_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: tuple[int, int], said: str | None
) -> None:
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").touch()
    (tmp_path / "mpi4py" / "MPI.py").write_text(FAKE_MPI.format(rank=mine[0], size=mine[1]))
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mpi4py"]:
        monkeypatch.delitem(sys.modules, name)
    environment = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
    if said is None:
        world.check_world(environment, 2)
    else:
        with pytest.raises(ValueError, match=rf"{said}.*") as caught:
            world.check_world(environment, 2)
        assert "Fake MPI v1" in str(caught.value)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mpi4py"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--connection-file is needed"),
        (["--connection-file"], "--connection-file needs a value"),
        (["--engine-ids", "1"], "unknown option '--engine-ids'"),
        (["--engine-id", "one"], "--engine-id needs a whole number, not 'one'"),
        (["--engine-id=-1"], "--engine-id must be 0 or more, not -1"),
        (["--lease", "nan"], "--lease must be 0 or more, not nan"),
        (["--end-time", "soon"], "--end-time needs a number of seconds, not 'soon'"),
        (["--engines=0"], "--engines must be 1 or more, not 0"),
        (["--check-world=1"], "unknown option"),
        (["--check-world"], "--check-world needs --ranks"),
        (["--engine-id", "1", "--first-engine-id", "1"], "give one of them"),
        (["--engines", "2", "--engine-id", "1"], "--engine-id is for one engine"),
        (["--engines", "2", "--ranks", "2"], "--ranks is for one engine"),
    ],
)
def test_bad_options_are_refused(arguments: list[str], said: str) -> None:
    if arguments and arguments[0] != "--connection-file":
        arguments = ["--connection-file", "x", *arguments]
    with pytest.raises(ValueError, match=r"^.+$") as caught:
        options.read(arguments, {})
    assert said in str(caught.value)


def test_an_end_of_time_comes_from_the_option_or_the_environment() -> None:
    assert options.read(["--connection-file=x"], {}).end_time is None
    assert options.read(["--connection-file=x"], {options.END_TIME: "17.5"}).end_time == 17.5
    assert options.read(["--connection-file=x", "--end-time", "18"], {options.END_TIME: "17"}).end_time == 18
    with pytest.raises(ValueError, match=rf"{options.END_TIME} needs a number of seconds"):
        options.read(["--connection-file=x"], {options.END_TIME: "tomorrow"})


def test_a_parent_of_several_engines_says_how_each_ended(start: Callable[..., Any]) -> None:
    rc, process = start("--engines", "3", "--first-engine-id", "5")
    until(lambda: rc.ids == {0, 5, 6, 7})
    pids = rc[5, 6, 7].apply_sync(os.getpid)
    os.kill(pids[6], signal.SIGKILL)
    until(lambda: rc.ids == {0, 5, 7})
    rc.shutdown(targets=[5, 7])
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + signal.SIGKILL
    assert f"engine 6 (pid {pids[6]}) ended by signal 9 (SIGKILL)" in errors
    assert f"engine 5 (pid {pids[5]}) ended with status 0" in errors


@pytest.mark.parametrize("of", [["--engines", "2", "--first-engine-id", "5"], ["--engine-id", "6"]])
def test_a_parent_starts_an_engine_again_when_it_is_told_to(
    start: Callable[..., Any], tmp_path: Path, of: list[str]
) -> None:
    words = tmp_path / "words"
    words.write_text("engine 60: of another job\n")
    rc, process = start(*of, "--again", str(words))
    there = {0, 5, 6} if "--engines" in of else {0, 6}
    until(lambda: rc.ids == there)
    pids = set()
    for _ in range(2):
        pid = rc[6].apply_sync(os.getpid)
        os.kill(pid, signal.SIGKILL)
        until(lambda: rc.ids == there - {6})
        with words.open("a") as file:
            file.write("engine 6: signal: 9 (SIGKILL)\n")
        until(lambda: rc.ids == there)
        pids.add(pid)
    assert len({*pids, rc[6].apply_sync(os.getpid)}) == 3
    os.kill(rc[6].apply_sync(os.getpid), signal.SIGKILL)
    until(lambda: rc.ids == there - {6})
    # It waits for the launcher's word, but not when it is to end.
    assert process.poll() is None
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGKILL


def test_a_parent_passes_signals_on(start: Callable[..., Any], gate: Path) -> None:
    rc, process = start("--engines", "2", "--first-engine-id", "5")
    until(lambda: rc.ids == {0, 5, 6})
    call = rc[5].apply_async(wait_for_interrupt)
    until(lambda: rc.status()["engines"][1]["state"] == "busy" and call.stdout)
    os.kill(process.pid, signal.SIGINT)
    assert call.get(timeout=20) == "interrupted"
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=20)
    # An engine that is asked to end kills its group, itself included.
    assert process.returncode == 128 + signal.SIGKILL
    until(lambda: rc.ids == {0})


def wait_for_interrupt() -> str:
    from threading import Event

    print("waiting", flush=True)
    try:
        Event().wait(50)
    except KeyboardInterrupt:
        return "interrupted"
    return "in vain"


def test_engines_end_with_their_parent(start: Callable[..., Any]) -> None:
    rc, process = start("--engines", "2")
    until(lambda: rc.ids == {0, 1, 2})
    engines = children(process)
    assert len(engines) == 2
    process.kill()
    psutil.wait_procs(engines, timeout=20)
    until(lambda: rc.ids == {0})
