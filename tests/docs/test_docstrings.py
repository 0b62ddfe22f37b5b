"""Every example in a docstring of the package, run against four engines.

An example uses what its module has, and the names that `names` gives: ``rc``, ``dview``, ``lbv`` and so on. Those about
MPI have engines that are ranks, and those of `ipclusterz.mpi` are run by these, with what `on_rank` gives.
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
from clusters import START_SECONDS, mpi_cluster
from on_rank import run_examples
from pages import FLAGS

import ipclusterz as ipz


def _with_examples() -> list[doctest.DocTest]:
    modules = [ipz] + [
        import_module(module.name)
        for module in pkgutil.walk_packages(ipz.__path__, "ipclusterz.")
        if not module.name.endswith(("__main__", "_core"))
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


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ipz.Client]:
    """A client of four engines that are ranks, with numbers that the examples work on."""
    with mpi_cluster("openmpi", 4, tmp_path_factory.mktemp("docstrings")) as name, ipz.Client(cluster=name) as rc:
        rc.mpi.wait_epoch(timeout=START_SECONDS)
        rc.push({"x": np.ones(3), "part": np.ones(3)}, block=True)
        yield rc


def _on_ranks(test: doctest.DocTest) -> bool:
    of_ranks = ("ipclusterz.mpi", "ipclusterz.client.mpi", "ipclusterz.client.collectives")
    return test.name.startswith(of_ranks) or test.name.endswith(".become_mpi4py_pool")


@pytest.mark.parametrize("test", [test for test in _with_examples() if not _on_ranks(test)], ids=lambda test: test.name)
def test_examples_of(test: doctest.DocTest, names: dict[str, Any]) -> None:
    run(test, names)


@pytest.mark.parametrize("test", list(filter(_on_ranks, _with_examples())), ids=lambda test: test.name)
@pytest.mark.timeout(START_SECONDS + 60)
def test_examples_with_mpi(test: doctest.DocTest, ranks: ipz.Client) -> None:
    if test.name.startswith("ipclusterz.mpi"):
        assert "doctest: +SKIP" not in test.docstring
        # What is printed differs from rank to rank; the docstring shows the first one's.
        assert not (told := ranks.mpi.spmd(run_examples, test.docstring, test.name, FLAGS).get(START_SECONDS)[0]), told
    else:
        run(test, {"rc": ranks, "np": np})


def run(test: doctest.DocTest, names: dict[str, Any]) -> None:
    """Run it here."""
    assert not any(doctest.SKIP in example.options for example in test.examples)
    test.globs.update(names)
    told: list[str] = []
    doctest.DocTestRunner(Checker(), optionflags=FLAGS).run(test, out=told.append)
    assert not told, "".join(told)
