"""Whether a call waits, and the shape of what it returns."""

from __future__ import annotations

import pytest

from ipclusterz import AsyncResult, Client
from ipclusterz.client import ExecuteReply, MapResult

pytestmark = pytest.mark.usefixtures("numbered")


def test_block(rc: Client) -> None:
    assert rc.block is False
    view, own = rc[0], rc[0]
    own.block = False
    for block in (True, False):
        rc.block = block
        assert isinstance(rc.pull("who"), AsyncResult) is not block
        assert isinstance(rc.apply(abs, (-1,)), AsyncResult) is not block
        assert isinstance(view.pull("who"), AsyncResult) is not block
        assert isinstance(rc[None].apply(abs, -1), AsyncResult) is not block
        assert isinstance(rc.remote()(abs)(1), AsyncResult) is not block
        # A keyword is stronger than the attribute, and a view's attribute stronger than the client's.
        assert isinstance(rc.pull("who", block=not block), AsyncResult) is block
        assert isinstance(view.map(abs, [1], block=not block), MapResult) is block
        assert isinstance(own.pull("who"), AsyncResult)
        assert rc.block is block
    rc.block = True
    own.block = None
    assert own.pull("who") == 0


def test_a_clients_map_waits_like_the_builtin(rc: Client) -> None:
    assert rc.map(abs, [-1]) == [1]
    assert rc.map(abs, [-1], targets=None) == rc.map(abs, [-1], targets=0) == [1]
    assert isinstance(rc.map(abs, [-1], block=False), MapResult)
    assert isinstance(rc[:].map(abs, [-1]), MapResult)


def test_shapes(rc: Client) -> None:
    assert rc.pull("who", targets=0, block=True) == 0
    assert rc.pull("who", targets=[0], block=True) == {0: 0}
    assert rc.pull("who", targets=[2, 0]).get() == [2, 0]
    assert list(rc.pull("who", targets=[2, 0], block=True)) == [2, 0]
    assert rc.pull("who", targets=0).get() == 0
    assert rc.pull("who", targets=[0]).get() == [0]
    assert rc.push({"a": 1}, block=True) == dict.fromkeys(range(4))
    assert rc.push({"a": 1}, targets=1, block=True) is None
    assert rc.push({"a": 1}).get() == [None] * 4
    reply = rc.execute("1 + 1", targets=1, block=True)
    assert isinstance(reply, ExecuteReply)
    assert (reply.engine_id, reply.result) == (1, "2")
    replies = rc.execute("1 + 1", block=True)
    assert isinstance(replies, dict)
    assert list(replies) == [0, 1, 2, 3]
    listed = rc.execute("1 + 1").get()
    assert isinstance(listed, list)
    assert [each.engine_id for each in listed] == [0, 1, 2, 3]
    assert repr(replies).startswith("<Results List>\n[0] In [")
    assert repr(listed).startswith("<Results List>\n[0] In [")


def test_slices_of_results(rc: Client) -> None:
    result = rc[:].apply_async(abs, -1)
    assert result[1:3] == [1, 1]
    mapped = rc[:].map_async(abs, range(10))
    assert mapped[2:5] == [2, 3, 4]
    assert mapped[-1] == 9
