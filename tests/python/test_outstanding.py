"""Ctrl-C in a call that waits: what goes on is told, and can be taken up or ended."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import hold, until

from ipclusterz import AbortedError, Client, Cluster

SCRIPT = """
import os, signal, sys
from threading import Event, Thread, main_thread
import ipclusterz as ipz

def hold(number, gate, note):
    open(note, "a").close()
    while not os.path.exists(gate):
        Event().wait(0.005)
    return number

rc = ipz.Client({file!r})
gate, note = {gate!r}, {note!r}
view, lview = rc[:], rc.load_balanced_view()

def interrupt():
    # Once the engines have begun, and the main thread waits in the extension module.
    seen = 0
    while seen < 20 or not os.path.exists(note):
        frame = sys._current_frames()[main_thread().ident]
        seen = seen + 1 if frame.f_code.co_name in ("_wait", "_value", "barrier", "_as_they_arrive") else 0
        Event().wait(0.005)
    os.kill(os.getpid(), signal.SIGINT)

Thread(target=interrupt).start()
try:
    {call}
except KeyboardInterrupt as error:
    print(error)
    if sys.argv[1:] == ["uncaught"]:
        raise
print(rc.outstanding)
open(gate, "w").close()
for result in rc.outstanding:
    print(result.get(20))
print(rc.outstanding)
"""

CALLS = {
    "lview.map_sync(hold, range(12), [gate] * 12, [note] * 12, chunksize=1)": ("12 tasks go on", list(range(12))),
    "view.map_sync(hold, range(8), [gate] * 8, [note] * 8)": ("4 tasks go on", list(range(8))),
    "view.apply_sync(hold, 3, gate, note)": ("4 tasks go on", [3, 3, 3, 3]),
    "rc[0].apply_sync(hold, 3, gate, note)": ("1 task goes on", 3),
    "ar = rc[0].apply_async(hold, 3, gate, note); ar.wait()": ("1 task goes on", 3),
    "ar = rc[0].apply_async(hold, 3, gate, note); rc.barrier()": ("what was submitted goes on", 3),
    "list(lview.map_async(hold, [1, 2], [gate] * 2, [note] * 2))": ("2 tasks go on", [1, 2]),
    "list(lview.map_async(hold, [1], [gate], [note], ordered=False))": ("1 task goes on", [1]),
}


def interrupted(cluster: Cluster, tmp_path: Path, call: str, *arguments: str) -> tuple[str, str]:
    """Output and errors of a script that is interrupted while it waits."""
    gate, note, script = tmp_path / "gate", tmp_path / "note", tmp_path / "script.py"
    file = str(cluster.report["client_file"])
    script.write_text(SCRIPT.format(file=file, gate=str(gate), note=str(note), call=call))
    command = [sys.executable, str(script), *arguments]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=40)
    finally:
        gate.touch()
    return ran.stdout, ran.stderr


@pytest.mark.usefixtures("rc")
@pytest.mark.parametrize("call", CALLS)
def test_what_goes_on_is_told_and_can_be_taken_up(cluster: Cluster, tmp_path: Path, call: str) -> None:
    told, expected = CALLS[call]
    out, err = interrupted(cluster, tmp_path, call)
    assert err == ""
    message, outstanding, values, rest = out.splitlines()
    assert message.startswith(told)
    assert "rc.abort()" in message
    assert "rc.outstanding" in message
    assert outstanding.count("<AsyncResult: ") == 1
    assert values == str(expected)
    assert rest == "[]"


@pytest.mark.usefixtures("rc")
def test_a_script_that_ends_says_it_too(cluster: Cluster, tmp_path: Path) -> None:
    _, err = interrupted(cluster, tmp_path, "view.apply_sync(hold, 3, gate, note)", "uncaught")
    assert err.splitlines()[-1].startswith("KeyboardInterrupt: 4 tasks go on: rc.abort()")


def test_the_results_that_somebody_has(rc: Client, gate: Path) -> None:
    assert rc.outstanding == []
    first = rc[0].apply_async(hold, str(gate), "held")
    until(lambda: "held" in first.stdout)
    second = rc[0].apply_async(abs, -1)
    dropped: Any = rc[0].apply_async(abs, -2)
    assert rc.outstanding == [first, second, dropped]
    del dropped
    gc.collect()
    assert rc.outstanding == [first, second]
    second.abort()
    until(second.ready)
    assert rc.outstanding == [first]
    gate.touch()
    first.get(20)
    assert rc.outstanding == []
    with pytest.raises(AbortedError):
        second.get()
