"""Engines of another Python than the client's: data goes both ways, and bytecode is refused in words.

One such Python is always there: this one, with a package that takes it for another. Others are tried where they are
found.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from releases import OWN, Release, for_python, interpreters, other

import ipclusterz
from ipclusterz import Client, Cluster, CompositeError, SerializationError, VersionError
from ipclusterz.shared.bytecode import PYTHON, is_own

PRETENDED = "3.99.1"
HINT = "hint: use Python of the same 3.x on both sides; or put the function into a module that is installed on both"


def label(python: object) -> str:
    """The version of an interpreter, by its path."""
    found = re.search(r"3\.\d+", str(python))
    return found[0] if found else str(python)


@pytest.fixture(scope="module", params=["pretended", *interpreters()], ids=label)
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, str]:
    """The release that is installed for another Python, and the version of that."""
    folder = tmp_path_factory.mktemp("python") / "release"
    if request.param == "pretended":
        return other(folder, number=OWN, of_python=PRETENDED), PRETENDED
    release = for_python(folder, request.param)
    return release, release.run("import platform; print(platform.python_version())").strip()


@pytest.fixture
def client(there: tuple[Release, str], own_cluster: Callable[..., Cluster]) -> Client:
    """A client of two engines of that Python."""
    return own_cluster(2, python=there[0].python).connect_client()


def refused(theirs: str, ours: str, name: str) -> str:
    return f"the function {name!r} came by value, as bytecode of Python {theirs}, which this Python {ours} cannot run ("


def test_data_and_what_both_sides_have_go_on_working(client: Client) -> None:
    view = client[:]
    data = {"numbers": [1, 2.5, 3j], "text": "é", "bytes": bytes(100_000)}
    view.push({"data": data}, block=True)
    assert view.pull("data", block=True) == {0: data, 1: data}
    assert view.apply_sync(sorted, [3, 1, 2], reverse=True)[0] == [3, 2, 1]
    assert client.load_balanced_view().map_sync(abs, range(-20, 0)) == list(range(20, 0, -1))
    view.execute("def double(x): return 2 * x\nvalue = double(21)", block=True)
    assert view.pull("value", block=True) == {0: 42, 1: 42}


def test_a_module_that_both_sides_have(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_both_sides.py").write_text("def triple(x):\n    return 3 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import of_both_sides

    client.upload(tmp_path / "of_both_sides.py")
    assert client[:].apply_sync(of_both_sides.triple, 4) == {0: 12, 1: 12}
    assert client[:].apply_sync(sorted, [2, 1], key=of_both_sides.triple) == {0: [1, 2], 1: [1, 2]}


def test_functions_by_value_are_refused_with_both_versions(there: tuple[Release, str], client: Client) -> None:
    def own(x: int) -> int:
        return x + 1

    class Own:
        def method(self) -> None: ...

    def check(call: Callable[[], object], name: str) -> None:
        with pytest.raises(CompositeError) as failed:
            call()
        text = str(failed.value)
        assert refused(PYTHON, there[1], name) in text, text
        assert text.count(HINT) == 1, text
        assert all(error.ename == "VersionError" for error in failed.value.elist), text

    view = client[:]
    check(lambda: view.apply_sync(own, 1), "own")
    check(lambda: view.apply_sync(ipclusterz.interactive(own), 1), "own")
    check(lambda: client.load_balanced_view().map_sync(own, range(8)), "own")
    check(lambda: view.push({"f": own}, block=True), "own")
    check(lambda: view.push({"objects": [Own()]}, block=True), "method")
    check(lambda: view.apply_sync(sorted, [1], key=own), "own")
    # The engines go on.
    assert view.apply_sync(abs, -1) == {0: 1, 1: 1}


def test_functions_that_come_back_are_refused_here(there: tuple[Release, str], client: Client) -> None:
    view = client[:]
    view.execute("def f(): return 1\nclass Mine(Exception): pass", block=True)
    with pytest.raises(SerializationError) as failed:
        client[0].pull("f", block=True)
    assert refused(there[1], PYTHON, "f") in str(failed.value)
    assert HINT in str(failed.value)
    # An exception of a class that cannot be made here is told in words.
    with pytest.raises(ipclusterz.RemoteError, match="with words"):
        client[0].execute("raise Mine('with words')", block=True)


def test_code_as_data_says_why_it_is_none(client: Client) -> None:
    view = client[:]
    view.push({"code": (lambda: 1).__code__}, block=True)
    with pytest.raises(CompositeError, match="came by value, as bytecode of Python"):
        view.execute("code.co_name", block=True)


def test_which_pythons_are_the_same() -> None:
    major, minor, patch = sys.version_info[:3]
    assert is_own(f"{major}.{minor}.{patch}")
    assert is_own(f"{major}.{minor}.{patch + 1}")
    assert not is_own(f"{major}.{minor + 1}.{patch}")
    assert not is_own(f"{major}.{minor}1.0")
    assert not is_own("")
    assert issubclass(VersionError, ipclusterz.IpclusterzError)
