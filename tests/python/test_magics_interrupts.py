"""Ctrl-C at a prompt in a terminal while `%px` waits for engines."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from cells import Prompt
from helpers import hold, until

from ipclusterz import AbortedError, Client, Cluster, CompositeError
from ipclusterz.client.follow import follow


def test_ctrl_c_stops_the_engines_and_gives_the_prompt_back(prompt: Prompt, rc: Client) -> None:
    rc[:]["kept"] = 1
    prompt.child.sendline("%px print('running'); exec('while True: pass')")
    for _ in range(4):
        prompt.child.expect(r"\[stdout:\d\] running")
    begin = time.monotonic()
    prompt.child.sendintr()
    shown = prompt.shown()
    assert time.monotonic() - begin < 3
    assert [f"[{k}:execute]: KeyboardInterrupt" in shown for k in range(4)] == [True] * 4
    assert "Out[" in prompt.type("%px kept + 1")


def test_ctrl_c_gives_up_what_was_not_begun(prompt: Prompt, rc: Client, gate: Path) -> None:
    running = rc[1].apply_async(hold, str(gate), "busy")
    until(lambda: running.stdout)
    prompt.child.sendline("%px print('running'); exec('while True: pass')")
    for _ in range(3):
        prompt.child.expect(r"\[stdout:\d\] running")
    prompt.child.sendintr()
    shown = prompt.shown()
    assert "[0:execute]: KeyboardInterrupt" in shown
    assert "[1:execute]: AbortedError" in shown
    # What others run on that engine is not interrupted.
    gate.touch()
    assert running.get(10) > 0


STUBBORN = """
import os, time
print("running")
while not os.path.exists(gate):
    try:
        time.sleep(0.01)
    except KeyboardInterrupt:
        print("no")
"""


def test_ctrl_c_with_code_that_does_not_stop(prompt: Prompt, rc: Client, gate: Path) -> None:
    rc[:]["gate"] = str(gate)
    rc[0, 1, 3]["code"] = "pass"
    rc[2]["code"] = STUBBORN
    prompt.child.sendline("%px exec(code)")
    prompt.child.expect(r"\[stdout:2\] running")
    prompt.child.sendintr()
    prompt.child.expect(r"\[stdout:2\] no")
    shown = prompt.shown()
    assert "[2:execute]: TimeoutError: the code has not stopped and goes on" in shown
    assert "client.shutdown([2])" in shown
    gate.touch()
    assert "Out[" in prompt.type("%px 1 + 1")


def test_a_second_ctrl_c_does_not_wait(prompt: Prompt, rc: Client, gate: Path) -> None:
    rc[:]["gate"] = str(gate)
    rc[:]["code"] = STUBBORN
    prompt.child.sendline("%px exec(code)")
    prompt.child.expect(r"\[stdout:2\] running")
    prompt.child.sendintr()
    prompt.child.expect(r"\[stdout:2\] no")
    prompt.child.sendintr()
    shown = prompt.shown()
    assert "[2:execute]: TimeoutError: the code has not stopped and goes on" in shown
    assert "follow.py" not in shown
    gate.touch()


def test_a_signal_is_for_the_engines_that_have_begun_and_for_no_other(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    controller = psutil.Process(cluster.report["controller_pid"])
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        until(lambda: sys._current_frames()[main].f_code.co_name == "_wait")
        signal.pthread_kill(main, signal.SIGINT)

    with cluster.connect_client() as rc:
        controller.suspend()
        try:
            # Nobody can say on which engine it is, or take it back.
            call = rc.load_balanced_view().apply_async(abs, -1)
            assert call.engine_ids == [-1]
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(CompositeError, match="interrupted in call to method"):
                follow(call, signal=signal.SIGUSR1)
            thread.join()
        finally:
            controller.resume()
        with pytest.raises(AbortedError):
            call.get(20)
        assert rc[0].apply_async(abs, -1).get(20) == 1
