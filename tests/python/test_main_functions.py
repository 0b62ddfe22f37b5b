"""Functions and classes of ``__main__``: a script of its own, since a test is part of a module. See `main_script`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ipclusterz import Cluster

SCRIPT = Path(__file__).with_name("main_script.py")


@pytest.fixture(scope="module")
def outcome(cluster: Cluster) -> dict[str, str | None]:
    """What became of each check."""
    command = [sys.executable, str(SCRIPT), cluster.report["client_file"]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, str | None] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("name", re.findall(r"^def (check_\w+)", SCRIPT.read_text(), flags=re.MULTILINE))
def test_in_main(outcome: dict[str, str | None], name: str) -> None:
    assert outcome[name] is None, outcome[name]
