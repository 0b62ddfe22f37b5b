"""Chaos of two minutes: each kind of fault once at least, under a mixed load, and nothing is lost, doubled or left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from chaos_faults import KINDS

CHAOS = Path(__file__).parent / "chaos.py"


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_left_whatever_fails() -> None:
    command = [sys.executable, CHAOS, "--minutes", "0.8", "--seed", "2", "--lease", "20", "--longest", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["faults"]) == set(KINDS)
    assert found["outcomes"]["right"] > 500
    assert (found["lost"], found["wrong"], found["doubled"], found["left"]) == (0, 0, 0, 0)
