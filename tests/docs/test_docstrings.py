"""Every example in a docstring of the package, run against four engines.

An example uses what its module has, and the names that `names` gives: ``rc``, ``dview``, ``lbv`` and so on.
"""

from __future__ import annotations

import doctest
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from pages import FLAGS

import ipclusterz as ipz

# Their examples are run by ranks of an MPI program, in `tests/mpi`.
_OF_RANKS = ("ipclusterz.mpi", "ipclusterz.client.mpi", "ipclusterz.client.collectives")


def _with_examples() -> list[doctest.DocTest]:
    modules = [ipz] + [
        import_module(module.name)
        for module in pkgutil.walk_packages(ipz.__path__, "ipclusterz.")
        if not module.name.endswith(("__main__", "_core")) and not module.name.startswith(_OF_RANKS)
    ]
    found = [test for module in modules for test in doctest.DocTestFinder(exclude_empty=True).find(module)]
    return [test for test in found if test.examples]


class Checker(doctest.OutputChecker):
    """Does not mind how many cells the engines have run before."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        want, got = (re.sub(r"\b(In|Out) ?\[\d+\]", "", text) for text in (want, got))
        return super().check_output(want, got, optionflags)


@pytest.fixture(scope="module")
def default_cluster() -> Iterator[ipz.Cluster]:
    """The cluster that ``Client()`` finds."""
    cluster = ipz.Cluster(n=4, cluster="default").start()
    yield cluster
    cluster.stop()


@pytest.fixture
def names(default_cluster: ipz.Cluster) -> Iterator[dict[str, Any]]:
    """What an example may use without making it."""
    with default_cluster.connect_client() as rc:
        public = {name: getattr(ipz, name) for name in ipz.__all__}
        yield public | {"__name__": "__main__", "rc": rc, "dview": rc[:], "lbv": rc[None], "np": np}
        rc.clear(block=True)


@pytest.mark.parametrize("test", _with_examples(), ids=lambda test: test.name)
def test_examples_of(test: doctest.DocTest, names: dict[str, Any]) -> None:
    assert not any(doctest.SKIP in example.options for example in test.examples)
    test.globs.update(names)
    told: list[str] = []
    doctest.DocTestRunner(Checker(), optionflags=FLAGS).run(test, out=told.append)
    assert not told, "".join(told)
