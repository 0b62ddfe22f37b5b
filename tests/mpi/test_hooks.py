"""The hooks of `ipclusterz.mpi.on_reform`: which are called, in which order, and what becomes of their errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ipclusterz.mpi.reform import Hooks


def comm() -> Any:
    return SimpleNamespace(rank=0, size=2, epoch=3, broken=None)


def test_hooks_are_called_in_the_order_of_their_definition() -> None:
    hooks, called = Hooks(), []

    @hooks
    def second(comm: Any) -> None:
        called.append(("second", comm.epoch))

    @hooks
    def first(comm: Any) -> None:
        called.append(("first", comm.epoch))

    assert hooks.run(comm()) == []
    assert called == [("second", 3), ("first", 3)]
    # A decorator leaves the function as it was.
    second(comm())
    assert called[2:] == [("second", 3)]


def test_a_cell_that_is_run_again_replaces_its_hooks() -> None:
    hooks, called = Hooks(), []
    cell = """
@hooks
def restore(comm):
    called.append(number)
"""
    for number in range(3):
        exec(cell, {"hooks": hooks, "called": called, "number": number, "__name__": "__main__"})
    hooks(print)
    hooks.remove(print)
    assert hooks.names() == ["__main__.restore"]
    assert hooks.run(comm()) == []
    assert called == [2]
    hooks.clear()
    assert hooks.run(comm()) == hooks.names() == []


def test_a_hook_that_raises(capsys: pytest.CaptureFixture[str]) -> None:
    hooks, called = Hooks(), []

    @hooks
    def bad(comm: Any) -> None:
        raise ValueError("no such file: u.npy")

    @hooks
    def interrupted(comm: Any) -> None:
        raise KeyboardInterrupt

    hooks(called.append)
    texts = hooks.run(comm())
    assert len(called) == 1
    assert [text.rpartition(".")[2] for text in texts] == ["npy", "interrupted: KeyboardInterrupt: "]
    assert "bad: ValueError: no such file: u.npy" in texts[0]
    told = capsys.readouterr().err
    assert 'raise ValueError("no such file: u.npy")' in told


def test_no_further_hook_uses_a_broken_communicator() -> None:
    hooks, called, broken = Hooks(), [], comm()

    @hooks
    def loses_a_rank(comm: Any) -> None:
        comm.broken = "rank 1 was killed"

    hooks(called.append)
    assert hooks.run(broken) == []
    assert called == []


def test_what_is_no_hook() -> None:
    hooks = Hooks()
    with pytest.raises(TypeError, match="3 is no function"):
        hooks(3)  # type: ignore[type-var]
    with pytest.raises(ValueError, match=r"builtins.print is not among the hooks; there are none"):
        hooks.remove(print)
