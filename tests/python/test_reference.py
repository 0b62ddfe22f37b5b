"""`Reference`: a name that stands for an engine's own object."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import pytest

from ipclusterz import Client, CompositeError, LoadBalancedView, Reference, RemoteError


@pytest.fixture(autouse=True)
def names(rc: Client) -> None:
    rc.scatter("part", range(16))
    rc.scatter("who", range(4), flatten=True)
    rc.execute("def double(x): return 2 * x\nclass Model: weights = [who]\nmodel = Model()", block=True)


def test_as_an_argument(rc: Client) -> None:
    assert rc[:].apply_sync(sum, Reference("part")) == {0: 6, 1: 22, 2: 38, 3: 54}
    assert rc.apply(sum, (Reference("part"),), {"start": Reference("who")}, targets=[1, 3], block=True) == {
        1: 23,
        3: 57,
    }
    assert rc[2].apply_sync(lambda *args, **kwargs: (args, kwargs), Reference("who"), x=Reference("part[0]")) == (
        (2,),
        {"x": 8},
    )
    assert rc[2].apply_bound(lambda x: x is part, Reference("part")).get() is True  # type: ignore[name-defined] # noqa: F821


def test_deep_in_an_argument(rc: Client) -> None:
    deep = {"list": [Reference("who"), (Reference("model.weights"),)], Reference("who"): 1}
    assert rc[1].apply_sync(lambda x: x, deep) == {"list": [1, ([1],)], 1: 1}


def test_expressions(rc: Client) -> None:
    for text, value in (("who", 3), ("part[0]", 12), ("model.weights", [3]), ("part[1:] + [who]", [13, 14, 15, 3])):
        assert rc[3].apply_sync(lambda x: x, Reference(text)) == value


def test_it_is_the_object_and_not_a_copy(rc: Client) -> None:
    rc[0].apply_sync(lambda part: part.append("more"), Reference("part"))
    assert rc[0]["part"] == [0, 1, 2, 3, "more"]


def test_as_the_function(rc: Client, lview: LoadBalancedView) -> None:
    double = Reference("double")
    assert rc[:].apply_sync(double, 4) == dict.fromkeys(range(4), 8)
    assert rc[0].apply_bound(double, 4).get() == 8
    assert rc.apply(double, (4,), targets=1, block=True) == 8
    assert rc[1:].map_sync(double, range(5)) == [0, 2, 4, 6, 8]
    assert lview.map_sync(double, range(5)) == [0, 2, 4, 6, 8]
    assert list(lview.imap(double, range(5))) == [0, 2, 4, 6, 8]
    assert rc[2].apply_sync(Reference("model.weights.index"), 2) == 0
    # What it stands for is looked up at each call.
    rc[0].execute("def double(x): return 'new'", block=True)
    assert rc[0].apply_sync(double, 4) == "new"
    with pytest.raises(RemoteError, match="'int' object is not callable"):
        rc[0].apply_sync(Reference("who"))


def test_carried_by_a_function(rc: Client) -> None:
    own = Reference("who")
    for _ in range(2):
        assert rc[:].apply_sync(lambda: own) == {0: 0, 1: 1, 2: 2, 3: 3}
        assert rc[:].apply_sync(partial(pow, own, 2)) == {0: 0, 1: 1, 2: 4, 3: 9}
        assert rc[:].apply_sync(lambda x=own: x) == {0: 0, 1: 1, 2: 2, 3: 3}
        rc[0]["who"] = 0
    rc.push({"who": 7}, block=True)
    assert rc[:].apply_sync(lambda: own) == dict.fromkeys(range(4), 7)


def test_pushed_and_scattered(rc: Client) -> None:
    rc.push({"again": Reference("part"), "several": [Reference("who")]}, block=True)
    rc[:]["item"] = Reference("who")
    assert rc[2]["again", "several", "item"] == [[8, 9, 10, 11], [2], 2]
    assert rc[2].apply_bound(lambda: again is part).get() is True  # type: ignore[name-defined] # noqa: F821
    rc.scatter("mine", [Reference("who")] * 8, block=True)
    assert rc[3]["mine"] == [3, 3]


def test_names_that_are_not_there(rc: Client, lview: LoadBalancedView) -> None:
    with pytest.raises(RemoteError, match=r"NameError.*'nope'"):
        rc[0].apply_sync(abs, Reference("nope"))
    with pytest.raises(RemoteError, match=r"NameError.*'nope'"):
        lview.apply_sync(Reference("nope"), 1)
    with pytest.raises(RemoteError, match=r"AttributeError.*'nope'"):
        rc[0].apply_sync(abs, Reference("model.nope"))
    rc[1, 2]["half"] = 1
    with pytest.raises(CompositeError) as caught:
        rc[:].apply_sync(abs, Reference("half"))
    assert [error.engine_id for error in caught.value] == [0, 3]
    with pytest.raises(RemoteError, match=r"NameError.*'nope'"):
        rc[0].push({"a": Reference("nope")}, block=True)


def test_here_it_stays_a_reference(rc: Client) -> None:
    reference = Reference("who")
    copy = pickle.loads(pickle.dumps(reference))
    assert copy == reference
    assert hash(copy) == hash(reference)
    assert reference != Reference("part")
    assert reference != "who"
    assert repr(reference) == "Reference('who')"
    assert reference.name == "who"
    # An engine can make one, which is one here.
    made = rc[0].apply_sync(eval, "__import__('ipclusterz').Reference('there')")
    assert made == Reference("there")


@pytest.mark.parametrize("bad", [None, 3, b"who", ["who"]])
def test_a_reference_is_text(bad: Any) -> None:
    with pytest.raises(TypeError, match="a reference is a name, not"):
        Reference(bad)


@pytest.mark.parametrize("bad", ["", "a b", "a = 1", "import os", "def", "a;b", "\0"])
def test_a_reference_is_an_expression(bad: str) -> None:
    with pytest.raises(ValueError, match="a reference is a name or an expression, not"):
        Reference(bad)
