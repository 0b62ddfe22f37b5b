"""What the tests of calls share: all ways to say which engines are meant, and what is run there."""

from __future__ import annotations

import os

import numpy as np
import pytest

WHERE = {
    "an id": 2,
    "a negative id": -1,
    "an id of numpy": np.int64(1),
    "a list": [0, 2],
    "a list with negative ids": [-1, 0],
    "a list of one": [1],
    "a tuple": (3, 1),
    "a set": {1, 2},
    "an array": np.array([1, 3]),
    "a slice": slice(1, None),
    "a slice with a step": slice(None, None, -2),
    "all": "all",
}

everywhere = pytest.mark.parametrize("where", WHERE.values(), ids=WHERE)

SCRIPT = "from_script = who + 100\nprint('ran', who)\nfrom_script"


def process_id(_number: int) -> int:
    return os.getpid()
