"""What is imported when: an engine must not pay for what it may never need."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ipclusterz as ipz
from ipclusterz import Client

HEAVY = {
    "IPython", "ast", "asyncio", "cloudpickle", "concurrent", "dataclasses", "enum", "hashlib", "inspect", "json",
    "linecache", "logging", "multiprocessing", "numpy", "pathlib", "pickle", "re", "selectors", "signal", "socket",
    "subprocess", "tempfile", "threading", "traceback", "typing", "uuid", "weakref",
}  # fmt: skip

ENGINE = (
    "from ipclusterz import _core, error; "
    "from ipclusterz.engine import __main__, calls, failure, loop, shell, state, streams; "
    "from ipclusterz.shared import namespace"
)


def imported_by(statement: str) -> set[str]:
    """Modules that a statement imports, beside those that a bare interpreter and `-m` have anyway."""
    code = f"import sys, runpy; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return {name.partition(".")[0] for name in output.split()}


@pytest.mark.parametrize("statement", ["import ipclusterz", ENGINE])
def test_nothing_heavy_is_imported(statement: str) -> None:
    assert not imported_by(statement) & HEAVY


def test_an_idle_engine_has_imported_nothing_heavy(own_cluster) -> None:
    with own_cluster(1).connect_client() as rc:
        # The interpreter of a virtual environment may import a few of these by itself.
        bare = subprocess.run(
            [sys.executable, "-c", "import sys; print(*sys.modules)"], check=True, capture_output=True, text=True
        ).stdout.split()
        there = set(rc[0].apply_sync(eval, "list(__import__('sys').modules)")) - set(bare)
        assert not there & (HEAVY - {"weakref"})


def test_functions_by_reference_need_no_cloudpickle_on_the_engine(own_cluster) -> None:
    with own_cluster(1).connect_client() as rc:
        assert rc[0].apply_sync(abs, -1) == 1
        assert "cloudpickle" not in rc[0].apply_sync(eval, "list(__import__('sys').modules)")


def test_public_names_are_there(rc: Client) -> None:
    from ipclusterz import client

    assert client.Client is ipz.Client
    assert client.CompositeError is ipz.CompositeError
    assert client.TimeoutError is ipz.TimeoutError
    for name in ipz.__all__:
        assert getattr(ipz, name) is not None
    assert set(ipz.__all__) <= set(dir(ipz))
    with pytest.raises(AttributeError, match="nonsense"):
        ipz.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--connection-file is needed"),
        (["--nonsense"], "unknown option '--nonsense'"),
        (["--connection-file"], "--connection-file needs a value"),
        (["--connection-file", "f", "--engine-id", "x"], "--engine-id needs a whole number, not 'x'"),
        (["--connection-file", "/nonexistent/engine.json"], "/nonexistent/engine.json"),
    ],
)
def test_an_engine_that_cannot_register_says_why(arguments: list[str], message: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ipclusterz.engine", *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert message in ended.stderr
    assert "\nhint: " in ended.stderr
    assert "Traceback" not in ended.stderr
