"""The examples of `examples/mpi`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mpi_library import SECONDS

pytestmark = pytest.mark.timeout(SECONDS + 30)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_what_they_run_on_engines(run: Callable[..., str], ranks: int, tmp_path: Path) -> None:
    run(ranks, "examples.py", tmp_path / "heat")
