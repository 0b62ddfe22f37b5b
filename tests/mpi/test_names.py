"""What the groups of a client call on engines, among ranks without a cluster: both libraries, on 1, 2 and 4 ranks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mpi_library import SECONDS

pytestmark = pytest.mark.timeout(SECONDS + 30)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_collectives_on_names(run: Callable[..., str], ranks: int) -> None:
    run(ranks, "names.py")
