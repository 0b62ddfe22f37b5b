"""Ctrl-C at a prompt in a terminal while `%px` waits for engines."""

from __future__ import annotations

import time
from pathlib import Path

from cells import Prompt
from helpers import hold, until

from ipclusterz import Client


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
