"""The soak of `tests/soak`, short: engines are killed under load, every call ends, nothing is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[1] / "soak" / "soak.py"


def test_every_call_ends_while_engines_are_killed() -> None:
    command = [sys.executable, SOAK, "--calls", "15000", "--kill-every", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"wrong": []' in done.stdout
