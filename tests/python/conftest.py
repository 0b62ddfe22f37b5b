"""Fixtures that several files of this folder share. Clusters are made in `tests/conftest.py`."""

from __future__ import annotations

import numpy as np
import pytest

from ipclusterz import Client


@pytest.fixture
def numbered(rc: Client) -> None:
    """On each engine: its number, and parts of sequences."""
    rc.scatter("who", range(4), flatten=True)
    rc.scatter("numbers", [0, 0, 1, 1, 2, 2, 3, 3])
    rc.scatter("array", np.arange(24.0).reshape(8, 3))
    rc.push({"name": "engine"})
