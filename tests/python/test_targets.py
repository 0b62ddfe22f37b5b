"""Which engines a call goes to: its keyword targets, and the attribute of clients and views."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from calls import everywhere, process_id
from helpers import until

import ipclusterz as ipz
from ipclusterz import Client, Cluster, CompositeError, LoadBalancedView

pytestmark = pytest.mark.usefixtures("numbered")


# -- targets=None ------------------------------------------------------------------------------------------------------


def test_none_is_the_load_balanced_view(rc: Client) -> None:
    for caller in (rc, rc[0], rc[:]):
        assert caller.map(abs, [-1, -2], targets=None, block=True) == [1, 2]
        assert list(caller.imap(abs, [-1, -2], targets=None)) == [1, 2]
        assert caller.remote(targets=None, block=True)(abs)(-1) == 1
        assert caller.parallel(targets=None, block=True)(sorted)([2, 1]) == [2, 1]
    assert rc.apply(abs, (-1,), targets=None, block=True) == 1
    assert rc.apply(abs, (-1,), targets=None).get() == 1
    assert isinstance(rc[None], LoadBalancedView)
    assert rc[None].targets is None


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("execute", ("a",)),
        ("apply", ("a",)),
        ("run", (__file__,)),
        ("push", ({},)),
        ("pull", ("a",)),
        ("zip_pull", ("a",)),
        ("scatter", ("a", [1])),
        ("gather", ("a",)),
        ("keys", ()),
        ("clear", ()),
        ("get_result", ()),
        ("sync_imports", ()),
        ("interrupt", ()),
        ("shutdown", ()),
    ],
)
def test_none_is_refused_where_engines_are_needed(rc: Client, method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r"(?s)targets=None is the load-balanced view.*hint: targets='all'"):
        getattr(rc, method)(*arguments, targets=None)
    with pytest.raises(TypeError, match="targets=None"):
        rc.targets = None


# -- the attribute -----------------------------------------------------------------------------------------------------


def test_targets_are_all_at_first_also_those_that_come_later(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    with cluster.connect_client() as rc:
        assert rc.targets == "all"
        view = rc[:]
        rc.shutdown(targets=1)
        until(lambda: rc.ids == {0})
        assert rc.apply(abs, (-1,), block=True) == {0: 1}
        assert view.targets == [0, 1]
        with pytest.raises(CompositeError, match=r"\[1:apply\]: EngineError"):
            view.apply_sync(abs, -1)


def test_targets_of_the_client_are_used_where_none_are_given(rc: Client) -> None:
    rc.targets = [0, 2]
    assert rc.targets == [0, 2]
    rc.block = True
    assert rc.execute("a = 5").keys() == {0, 2}
    assert rc.pull("a") == {0: 5, 2: 5}
    assert rc.apply(lambda: a, bound=True) == {0: 5, 2: 5}  # type: ignore[name-defined] # noqa: F821
    assert rc.zip_pull("who") == (0, 2)
    assert rc.gather("numbers") == [0, 0, 2, 2]
    assert rc.map(process_id, range(2)) == list(rc.apply(os.getpid).values())
    assert rc.scatter("part", range(4)) == {0: None, 2: None}
    assert set(rc.keys()) == {0, 2}
    assert rc.parallel()(sorted)([2, 1]) == [2, 1]
    assert rc.push({"here": 1}) == {0: None, 2: None}
    assert rc.get_result().keys() == {0, 2}
    assert rc[1].keys() == rc[3].keys()
    assert "here" not in rc[1]
    # The keyword is stronger, and leaves the attribute as it is.
    assert rc.pull("who", targets=1) == 1
    assert rc.pull("who", targets="all") == {0: 0, 1: 1, 2: 2, 3: 3}
    assert rc.targets == [0, 2]
    # Views have their own.
    assert rc[:].targets == [0, 1, 2, 3]
    rc.targets = "all"
    assert rc.pull("who") == {0: 0, 1: 1, 2: 2, 3: 3}


@everywhere
def test_targets_take_any_index(rc: Client, where: Any) -> None:
    expected = rc[where].pull("who", block=True)
    rc.targets = where
    assert rc.pull("who", block=True) == expected
    view = rc[3]
    view.targets = where
    assert view.pull("who", block=True) == expected
    assert view.targets == rc[where].targets
    balanced = rc.load_balanced_view()
    balanced.targets = where
    assert balanced.targets == rc[where].targets
    assert len(balanced) == len(rc[where])


def test_targets_cannot_be_changed_from_outside(rc: Client) -> None:
    rc.targets = [0, 2]
    rc.targets.append(9)
    view = rc[0, 2]
    view.targets.append(9)
    assert rc.targets == view.targets == [0, 2]


# -- what names no engines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["some", "0", b"all", 1.5, object(), [0, "1"], True, [None], {0: 1.5}.values()])
def test_targets_of_a_wrong_type(rc: Client, bad: Any) -> None:
    view = rc[0]
    for use in (
        lambda: rc[bad],
        lambda: setattr(rc, "targets", bad),
        lambda: setattr(view, "targets", bad),
        lambda: rc.load_balanced_view(bad),
        lambda: rc.push({}, targets=bad),
        lambda: view.push({}, targets=bad),
        lambda: rc.interrupt(bad),
    ):
        with pytest.raises(TypeError, match="engines are an id, a slice, a list of ids or 'all', not"):
            use()
    assert rc.targets == "all"
    assert view.targets == [0]


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        (4, ipz.UnknownEngine, r"(?s)no engine 4.*the engines are 0, 1, 2, 3"),
        (-5, ipz.UnknownEngine, "no engine -5"),
        ([0, 9], IndexError, "no engine 9"),
        ([], ipz.EmptyTargets, r"(?s)the list of engines is empty.*hint: "),
        (slice(4, None), ValueError, r"slice \[4:\] selects none"),
        ([1, 1], ValueError, "named twice"),
        ([1, -3], ValueError, "named twice"),
    ],
)
def test_targets_that_are_not_there(rc: Client, bad: Any, error: type[Exception], text: str) -> None:
    for use in (
        lambda: rc.execute("1", targets=bad),
        lambda: rc[0].pull("who", targets=bad),
        lambda: rc.map(abs, [1], targets=bad),
        lambda: rc.imap(abs, [1], targets=bad),
        lambda: rc.remote(targets=bad)(abs)(1),
        lambda: rc.sync_imports(targets=bad),
        lambda: setattr(rc, "targets", bad),
        lambda: setattr(rc[0], "targets", bad),
    ):
        with pytest.raises(error, match=text):
            use()
