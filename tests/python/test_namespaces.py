"""Names on the engines: a view as a dictionary, `zip_pull`, and names that are not there."""

from __future__ import annotations

import pytest

import ipclusterz as ipz
from ipclusterz import Client, CompositeError, RemoteError

pytestmark = pytest.mark.usefixtures("numbered")


def test_the_dictionary_interface(rc: Client) -> None:
    dview, one = rc[:], rc[2]
    dview["a"] = ["foo", "bar"]
    assert dview["a"] == {engine: ["foo", "bar"] for engine in range(4)}
    assert one["a"] == ["foo", "bar"]
    assert one["a", "who"] == [["foo", "bar"], 2]
    assert "a" in dview
    assert "a" in one
    del one["a"]
    assert "a" not in one
    # In a view of several it is where all of them have it.
    assert "a" not in dview
    assert "a" in rc[0, 1, 3]
    assert one.get("a") is None
    assert one.get("a", 5) == 5
    assert dview.get("a", "none") == {0: ["foo", "bar"], 1: ["foo", "bar"], 2: "none", 3: ["foo", "bar"]}
    dview.update({"b": 1, "c": 2})
    assert one["b", "c"] == [1, 2]
    assert one.keys() == ["array", "b", "c", "name", "numbers", "who"]
    assert dview.keys().keys() == {0, 1, 2, 3}
    dview.clear(block=True)
    assert one.keys() == []


@pytest.mark.parametrize("name", ["a.b", "a b", "2a", "", "class", "a[0]"])
def test_what_is_no_name_is_set_nowhere(rc: Client, name: str) -> None:
    dview = rc[:]
    for call in (
        lambda: dview.push({name: 0}),
        lambda: dview.update({"good": 1, name: 0}),
        lambda: dview.scatter(name, [1, 2]),
        lambda: dview.__setitem__(name, 0),
    ):
        with pytest.raises(ValueError, match="no code could use the name"):
            call()
    assert "good" not in dview


def test_expressions_are_read_as_references_are(rc: Client) -> None:
    dview = rc[:]
    dview.execute("class Model: weights = [1, who]", block=True)
    assert dview["Model.weights"] == {engine: [1, engine] for engine in range(4)}
    assert rc[2]["Model.weights[1]", "who"] == [2, 2]
    assert rc.gather("Model.weights", targets=[0, 1], block=True) == [1, 0, 1, 1]
    for name, said in [
        ("Model.biases", "AttributeError"),
        ("nobody.weights", "name 'nobody' is not defined on engine 2"),
        ("a b", "'a b' is no name and no expression"),
    ]:
        with pytest.raises(RemoteError, match=said):
            rc[2][name]
    with pytest.raises(KeyError):
        del rc[2]["Model.weights"]


def test_zip_pull(rc: Client) -> None:
    rc.push({"a": 1.03234, "b": 3453}, block=True)
    assert rc.zip_pull(("a", "b"), block=True) == [(1.03234,) * 4, (3453,) * 4]
    assert rc.zip_pull("who", block=True) == (0, 1, 2, 3)
    assert rc.zip_pull(["who"], block=True) == [(0, 1, 2, 3)]
    assert rc.zip_pull((name for name in ("who", "a")), targets=[3, 1]).get() == [(3, 1), (1.03234, 1.03234)]
    assert rc.zip_pull([], block=True) == []
    assert rc.zip_pull("who", targets=2, block=True) == (2,)
    with pytest.raises(
        CompositeError, match=r"(?s)call to method: zip_pull.*\[1:zip_pull\]: KeyError.*'nope'.*engine 1"
    ):
        rc.zip_pull(("who", "nope"), block=True)


def test_names_that_are_not_there(rc: Client) -> None:
    for use in (lambda: rc[1]["nope"], lambda: rc.pull("nope", targets=1, block=True), lambda: rc[1]["who", "nope"]):
        with pytest.raises(RemoteError, match=r"KeyError.*'nope' is not defined on engine 1") as caught:
            use()
        assert isinstance(caught.value, KeyError)
        assert isinstance(caught.value, ipz.RemoteKeyError)
        assert caught.value.engine_id == 1
    with pytest.raises(KeyError, match="'nope' is not defined on engine 3"):
        del rc[3]["nope"]
    rc[0, 1]["half"] = 1
    with pytest.raises(CompositeError) as composite:
        rc[:]["half"]
    assert [error.engine_id for error in composite.value] == [2, 3]
    assert all(isinstance(error, KeyError) for error in composite.value)
    with pytest.raises(KeyError, match="engine 2"):
        composite.value.raise_exception()
    with pytest.raises(CompositeError, match=r"\[2:delete\]: KeyError: .*'half' is not defined on engine 2"):
        del rc[:]["half"]
    # A function's own KeyError is about something else.
    with pytest.raises(RemoteError) as others:
        rc[0].apply_sync(lambda: {}["k"])
    assert not isinstance(others.value, KeyError)
