"""Programs as the documentation of ipyparallel has them, of which one line names `ipclusterz`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent / "ipyparallel_examples"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.*py")), ids=lambda path: path.name)
def test_example(example: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "IPython", "--colors=NoColor"] if example.suffix == ".ipy" else [sys.executable]
    environment = os.environ | {"IPYTHONDIR": str(tmp_path / "ipython"), "NO_COLOR": "1"}
    told = {"cwd": tmp_path, "env": environment, "timeout": 50, "capture_output": True, "text": True}
    done = subprocess.run([*command, str(example)], **told)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "done", done.stdout + done.stderr
