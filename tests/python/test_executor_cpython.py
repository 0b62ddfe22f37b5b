"""`view.executor` in the place of a pool of the standard library, by CPython's own tests."""

from __future__ import annotations

import importlib
import sys
import unittest
import warnings
from collections.abc import Iterator

import pytest

from ipclusterz import LoadBalancedView
from ipclusterz.client.executor import ViewExecutor


def from_cpython(name: str, submodule: str) -> type | None:
    """A class of the standard library's tests of executors: one file up to Python 3.11.4, a package from then on."""
    for module in ("test.test_concurrent_futures", f"test.test_concurrent_futures.{submodule}"):
        try:
            found: type | None = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError:
            continue
        if found is not None:
            return found
    return None


class OnEngines:
    """In the place of CPython's mixins that make a pool of threads or processes for each test."""

    worker_count = 4
    executor: ViewExecutor

    @pytest.fixture(autouse=True)
    def _executor_on_engines(self, lview: LoadBalancedView) -> Iterator[None]:
        self._view = lview
        with lview.executor as self.executor:
            yield

    def executor_type(self, max_workers: int) -> ViewExecutor:
        return self._view.executor


# What is left out, by name: the tests that look at the threads or processes of a pool are not in these classes.
LEFT_OUT = {
    "ExecutorTest": [
        "test_max_workers_negative",  # The workers are the view's engines; nobody says how many.
    ],
    "ExecutorShutdownTest": [
        # These start an interpreter that makes a pool by its class's name. What happens to our futures when the
        # interpreter ends is in test_watcher.
        "test_interpreter_shutdown",
        "test_submit_after_interpreter_shutdown",
        "test_hang_gh83386",
    ],
    "WaitTests": [],
    "AsCompletedTests": [],
}
PLACES = {
    "ExecutorTest": "executor",
    "ExecutorShutdownTest": "test_shutdown",
    "WaitTests": "test_wait",
    "AsCompletedTests": "test_as_completed",
}

MISSING = []
for _name, _submodule in PLACES.items():
    _class = from_cpython(_name, _submodule)
    if _class is None:
        MISSING.append(_name)
        continue
    globals()[f"Test{_name}"] = type(
        f"Test{_name}", (OnEngines, _class, unittest.TestCase), dict.fromkeys(LEFT_OUT[_name])
    )
if MISSING:
    # Some releases of 3.11 and 3.12 do not install tests that lie in a folder of their own:
    # https://github.com/python/cpython/issues/115421
    _version = sys.version.split()[0]
    warnings.warn(f"Python {_version} came without its tests {', '.join(MISSING)}: they are not run", stacklevel=1)
