"""What tests have engines do that are ranks; these find it by its name."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np

from ipclusterz import mpi

__all__ = ["run_examples"]


def run_examples(comm: mpi.Comm, text: str, name: str, flags: int) -> str:
    """Run the examples of a docstring, which may use these names; what differs."""
    names: dict[str, Any] = {"comm": comm, "mpi": mpi, "np": np, "part": np.ones(3), "total": np.empty(3)}
    test = doctest.DocTestParser().get_doctest(text, names | {"__name__": "__main__"}, name, None, 0)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=told.append)
    return "".join(told)
