"""Full disks: nothing that cannot be written ends a cluster, and what cannot start names the file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import until

from ipclusterz import Cluster
from ipclusterz.client.command import program

_SCRIPT = Path(__file__).parent / "programs" / "full_disk.py"
_KIB = 1024


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Callable[..., Any]:
    """Runs the program on a small disk, which nobody else sees, and returns what it tells."""

    def run(*words: str, megabytes: int = 1) -> Any:
        (tmp_path / "disk").mkdir(exist_ok=True)
        script = f'mount -t tmpfs -o size={megabytes}m,mode=700 none "$1" && shift && exec "$@"'
        inside = [sys.executable, str(_SCRIPT), str(tmp_path / "disk"), *words]
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path / "disk"), *inside]
        environment = {**os.environ, "IPCLUSTERZ_HOME": str(tmp_path / "disk")}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run


@pytest.mark.timeout(120)
def test_a_cluster_goes_on_while_its_disk_is_full(on_small_disk: Callable[..., Any], faults: Any) -> None:
    told = on_small_disk("live")
    assert told["tasks"] == sum(range(1000))
    assert told["spoke"], "a thread of an engine prints on"
    assert told["restarted"]
    assert told["status"] == 0
    code, said = told["scaled"]
    assert code == 0 or re.search(r"engine-2\.log: No space left on device", said), said
    assert re.search(r"^\d+ lines? (was|were) lost: No space left on device$", told["controller"], re.M)
    assert told["engine"], "its log says what is missing, too"
    assert told["alive"] >= 2
    assert told["stopped"][0] == 0, told["stopped"]
    assert told["left"] == []
    faults.survived("disks", "a full disk under a running cluster", 230, "work goes on; logs say what they lack")


@pytest.mark.timeout(120)
def test_what_a_full_disk_cannot_take_is_refused(on_small_disk: Callable[..., Any], faults: Any) -> None:
    told = on_small_disk("journal", megabytes=8)
    assert re.search(
        r"no requests are taken: the journal /\S+ cannot be written: .* \(\d+ KiB are free\)", told["refused"]
    )
    assert (told["status"], told["accepted"], told["again"], told["after"]) == ("busy", [7, 7, 7], True, 3)
    assert told["waited"]
    faults.survived("disks", "a full disk under a journal", 1, "requests are refused, nothing accepted is lost")


@pytest.mark.timeout(120)
def test_a_start_on_a_full_disk_names_the_file(on_small_disk: Callable[..., Any], faults: Any, tmp_path: Path) -> None:
    sizes = [0, 4, 8, 12, 16, 20, 24, 32, 48, 64][:: faults.times(2, 1)]
    starts = on_small_disk("start", *(str(size * _KIB) for size in sizes))
    assert [start["free"] for start in starts] == [size * _KIB for size in sizes]
    failed = [start for start in starts if start["code"] != 0]
    assert 0 < len(failed) < len(starts), starts
    for start in failed:
        assert re.search(rf"{re.escape(str(tmp_path))}/disk/\S+: No space left on device", start["said"]), start
        assert start["left"] == []
    assert [start["stopped"] for start in starts] == [0] * len(starts)
    faults.survived("disks", "starts with 0 to 64 KiB left", len(starts), "the file is named, nothing is left")


def test_large_arrays_where_shared_memory_is_full(on_small_disk: Callable[..., Any], faults: Any) -> None:
    told = on_small_disk("shm")
    assert told.pop("left") == []
    assert all(told.values()), told
    faults.survived("disks", "arrays larger than /dev/shm", len(told), "they travel as frames")


def test_an_upload_without_room_names_the_file(on_small_disk: Callable[..., Any], faults: Any) -> None:
    told = on_small_disk("uploads")
    assert re.search(r"No space left on device: '/\S+/uploads/\S+'", told["failed"]), told
    assert told["alive"] == 1
    faults.survived("disks", "an upload on a full disk", 1, "the file is named; later it works")


def test_a_terminal_that_is_paused_holds_nothing_up(faults: Any) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, bytes(4096))
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    run = [
        program(),
        "run",
        "-n",
        "1",
        "--cluster",
        f"paused-{os.getpid()}",
        "--",
        sys.executable,
        "-c",
        _SCRIPT_OF_RUN,
    ]
    ended = subprocess.run(run, stderr=writer, timeout=50, check=False)
    os.close(reader)
    os.close(writer)
    assert ended.returncode == 7
    faults.survived("disks", "standard error that nobody reads", 1, "the cluster starts, runs and ends")


@pytest.mark.parametrize("streams", [">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", ">&- 2>&-"])
def test_commands_whose_streams_take_nothing_do_not_panic(streams: str, faults: Any, tmp_path: Path) -> None:
    commands = ["list", "list --json", "status", "logs", "profile list", "profile show", "--help", "nonsense", "gc"]
    commands += ["completions bash", "man", "stop", "wait --timeout 1", "doctor --help", "start --print-script"]
    for words in commands[:: faults.times(2, 1)]:
        trace = tmp_path / "errors"
        script = f'"$@" {streams}' if "2>" in streams else f'"$@" {streams} 2>{trace}'
        ended = subprocess.run(["bash", "-c", script, "_", program(), *words.split()], timeout=30, check=False)
        assert 0 <= ended.returncode < 20, words
        assert "panicked" not in (trace.read_text() if trace.exists() else ""), words
    faults.survived("disks", f"commands with {streams}", len(commands[:: faults.times(2, 1)]), "no panic")


@pytest.mark.parametrize("streams", ["2>/dev/full", ">/dev/full 2>/dev/full", ">&- 2>&-"])
def test_a_cluster_starts_and_ends_without_a_terminal(streams: str, faults: Any) -> None:
    name = f"mute-{os.getpid()}"
    run = ["run", "-n", "1", "--cluster", name, "--", sys.executable, "-c", _SCRIPT_OF_RUN]
    ended = subprocess.run(["bash", "-c", f'"$@" {streams}', "_", program(), *run], timeout=60, check=False)
    assert ended.returncode == 7
    faults.survived("disks", f"a cluster started with {streams}", 1, "it runs and ends in order")


def test_a_limit_on_the_length_of_files_ends_nothing(faults: Any) -> None:
    script = "import ipclusterz as ipz\nfor _ in range(60):\n    with ipz.Client() as rc: rc[0].apply_sync(abs, 1)"
    name = f"short-{os.getpid()}"
    journal = ("--set", "controller.journal=best-effort")
    run = [program(), "run", "-n", "1", *journal, "--cluster", name, "--", sys.executable, "-c", script]
    ended = subprocess.run(["bash", "-c", 'ulimit -f 8 && "$@"', "_", *run], timeout=60, check=False)
    assert ended.returncode == 0
    faults.survived("disks", "lines of a log behind ulimit -f", 120, "work goes on")


@pytest.mark.parametrize("streams", [">/dev/full 2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_an_engine_whose_streams_take_nothing_works(
    own_cluster: Callable[..., Cluster], faults: Any, streams: str
) -> None:
    cluster = own_cluster(1)
    file = cluster.report["engine_file"]
    engine = [sys.executable, "-P", "-m", "ipclusterz.engine", "--connection-file", file]
    process = subprocess.Popen(["bash", "-c", f'exec "$@" {streams}', "_", *engine])
    with cluster.connect_client() as rc:
        until(lambda: 1 in rc.ids, 20)
        rc[1].apply_sync(speak_outside, 300)
        until(lambda: rc[1].apply_sync(has_spoken), 20)
        assert rc[1].apply_async(print, "to the client").stdout is not None
        rc.shutdown([1])
    assert process.wait(20) == 0
    faults.survived("disks", f"an engine with {streams}", 300, "it works, and ends in order")


def speak_outside(lines: int) -> None:
    def speak() -> None:
        for number in range(lines):
            print(f"line {number}")
            print(f"line {number}", file=sys.stderr)
        sys.has_spoken = True  # type: ignore[attr-defined]

    threading.Timer(0.05, speak).start()


def has_spoken() -> bool:
    return getattr(sys, "has_spoken", False)


_SCRIPT_OF_RUN = "import ipclusterz as ipz; rc = ipz.Client(); raise SystemExit(rc[0].apply_sync(int, '7'))"
