"""The error classes themselves, and the examples in docstrings that need no cluster."""

from __future__ import annotations

import builtins
import copy
import multiprocessing
import pickle

import pytest

import ipclusterz as ipz
from ipclusterz import error

CLASSES = [
    value for value in vars(error).values() if isinstance(value, type) and issubclass(value, error.IpclusterzError)
] + [error.TimeoutError]


def example(kind: type[error.IpclusterzError]) -> error.IpclusterzError:
    if kind is error.RemoteError:
        return error.RemoteError("KeyError", "'k'", "Traceback…\nKeyError: 'k'", 3, "apply", hint="look")
    if kind is error.CompositeError:
        return error.CompositeError("two failed", [example(error.RemoteError), example(error.EngineError)])
    return kind("what happened", "what to do")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_can_be_pickled_and_copied(kind: type[error.IpclusterzError]) -> None:
    original = example(kind)
    original.engine_id = 3
    for other in (pickle.loads(pickle.dumps(original)), copy.copy(original)):
        assert type(other) is kind
        assert str(other) == str(original)
        assert (other.hint, other.engine_id) == (original.hint, 3)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_exported(kind: type[error.IpclusterzError]) -> None:
    assert getattr(ipz, kind.__name__) is kind
    assert getattr(ipz.client, kind.__name__, kind) is kind


def test_a_hint_is_a_line_of_its_own() -> None:
    assert str(error.UnknownEngine("no engine 7", "there are 0, 1")) == "no engine 7\nhint: there are 0, 1"
    assert str(error.UnknownEngine("no engine 7")) == "no engine 7"


def test_timeouts_are_everybodys_timeouts() -> None:
    for kind in (builtins.TimeoutError, multiprocessing.TimeoutError, error.IpclusterzError):
        with pytest.raises(kind, match="Result not ready"):
            raise ipz.TimeoutError("Result not ready.")


def test_a_composite_error_names_each_engine(capsys: pytest.CaptureFixture[str]) -> None:
    composite = example(error.CompositeError)
    assert isinstance(composite, error.CompositeError)
    assert str(composite).splitlines() == [
        "two failed",
        "[3:apply]: KeyError: 'k'",
        "[?:call]: EngineError: what happened",
        "",
        "[3:apply]:",
        "Traceback…",
        "KeyError: 'k'",
        "hint: look",
        "hint: what to do",
    ]
    assert len(composite) == 2
    assert composite[0] is composite.elist[0]
    assert list(composite) == composite.elist
    composite.print_tracebacks()
    shown = capsys.readouterr().out
    assert f"[3:apply]:\n{'-' * 75}\nTraceback…\nKeyError: 'k'\n" in shown
    assert "[?:call]:\nwhat happened\nhint: what to do\n" in shown
    composite.print_tracebacks(1)
    assert capsys.readouterr().out == "[?:call]:\nwhat happened\nhint: what to do\n\n"
    with pytest.raises(error.EngineError):
        composite.raise_exception(1)
    for use in (composite.raise_exception, composite.print_tracebacks):
        with pytest.raises(IndexError, match="index 2 does not exist, there are 2"):
            use(2)


def test_equal_tracebacks_are_printed_once_with_all_engines(capsys: pytest.CaptureFixture[str]) -> None:
    def failure(engine: int, cell: int, text: str = "no") -> error.RemoteError:
        traceback = (
            f'Traceback (most recent call last):\n  File "<ipython-input-{cell}-0f>", line 1\nValueError: {text}\n'
        )
        return error.RemoteError("ValueError", text, traceback, engine, "execute")

    error.CompositeError("failed", [failure(0, 7), failure(1, 7, "other"), failure(2, 6)]).print_tracebacks()
    title = "ValueError" + "Traceback (most recent call last)".rjust(65)
    assert capsys.readouterr().out.splitlines() == [
        "[0:execute]:",
        "[2:execute]:",
        "-" * 75,
        title,
        '  File "<ipython-input-7-0f>", line 1',
        "ValueError: no",
        "",
        "[1:execute]:",
        "-" * 75,
        title,
        '  File "<ipython-input-7-0f>", line 1',
        "ValueError: other",
        "",
    ]


def test_a_missing_name_is_a_key_error() -> None:
    missing = error.RemoteKeyError("KeyError", "name 'a' is not defined on engine 3", "", 3, "pull")
    assert isinstance(missing, KeyError)
    assert isinstance(missing, error.RemoteError)
    assert str(missing) == "KeyError(name 'a' is not defined on engine 3)"


def test_who_catches_what_one_engine_raises_catches_what_several_do(rc: ipz.Client) -> None:
    for targets in (0, [0, 1]):
        with pytest.raises(ipz.RemoteError) as caught:
            rc[targets].apply_sync(lambda: 1 / 0)
        error = caught.value
        assert isinstance(error, ipz.CompositeError) is isinstance(targets, list)
        assert (error.engine_id, error.method) == (0, "apply")
        assert "ZeroDivisionError" in error.traceback
        with pytest.raises(ZeroDivisionError):
            error.raise_exception()
