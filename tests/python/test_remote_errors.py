"""Whatever a task raises arrives, with type, message and the engine's traceback, and the engine goes on."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from ipclusterz import Client, CompositeError, EngineError, RemoteError


@pytest.fixture(autouse=True)
def the_engine_goes_on(rc: Client) -> Iterator[None]:
    pid = rc[0].apply_sync(eval, "__import__('os').getpid()")
    yield
    assert rc[0].apply_sync(eval, "__import__('os').getpid()") == pid
    assert rc.ids == {0, 1, 2, 3}


def failure(rc: Client, function: Callable[..., object], *arguments: object) -> RemoteError:
    """What comes back from a call that fails."""
    with pytest.raises(RemoteError) as caught:
        rc[0].apply_sync(function, *arguments)
    assert caught.value.engine_id == 0
    assert caught.value.method == "apply"
    return caught.value


def test_type_message_and_traceback(rc: Client) -> None:
    def inner() -> float:
        return 1 / 0

    def outer() -> float:
        return inner()

    error = failure(rc, outer)
    assert (error.ename, error.evalue) == ("ZeroDivisionError", "division by zero")
    lines = error.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    # From the user's code on: not one line of the engine's own.
    assert lines[1].endswith("in outer")
    assert "ipclusterz" not in error.traceback
    assert "in inner" in error.traceback
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert str(error) == f"ZeroDivisionError(division by zero)\n{error.traceback.rstrip()}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_guides_name_error(rc: Client) -> None:
    error = failure(rc, lambda: b)  # type: ignore[name-defined] # noqa: F821
    assert str(error).startswith("NameError(name 'b' is not defined)\nTraceback (most recent call last):\n")
    assert "in <lambda>" in error.traceback


def test_a_chain_of_exceptions_is_told(rc: Client) -> None:
    def chain() -> NoReturn:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    error = failure(rc, chain)
    assert error.ename == "ValueError"
    assert "KeyError: 'first'" in error.traceback
    assert "direct cause" in error.traceback
    assert "ipclusterz" not in error.traceback


def test_cells_show_their_lines(rc: Client) -> None:
    with pytest.raises(RemoteError) as caught:
        rc[0].execute("x = 1\ndef f():\n    return x / 0\nf()", block=True)
    assert "    return x / 0" in caught.value.traceback
    assert caught.value.method == "execute"


def test_the_original_can_be_raised(rc: Client) -> None:
    with pytest.raises(CompositeError) as caught:
        rc[:].apply_sync(lambda: {}["key"])
    with pytest.raises(KeyError) as original:
        caught.value.raise_exception(2)
    assert original.value.args == ("key",)
    assert original.value.__cause__ is caught.value[2]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError])
def test_what_ends_other_programs_is_an_error_reply(rc: Client, kind: type[BaseException]) -> None:
    def fail(kind: type[BaseException]) -> NoReturn:
        raise kind("reason")

    error = failure(rc, fail, kind)
    assert (error.ename, error.evalue) == (kind.__name__, "reason")


def test_a_real_recursion(rc: Client) -> None:
    def deeper(n: int) -> int:
        return deeper(n + 1)

    assert failure(rc, deeper, 0).ename == "RecursionError"


def test_a_real_lack_of_memory(rc: Client) -> None:
    assert failure(rc, lambda: bytearray(1 << 60)).ename == "MemoryError"


def test_exceptions_that_cannot_be_pickled(rc: Client) -> None:
    def with_a_lock() -> NoReturn:
        error = ValueError("text")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    error = failure(rc, with_a_lock)
    assert (error.ename, error.evalue, error.original()) == ("ValueError", "text", None)


def test_exceptions_that_cannot_be_rebuilt(rc: Client) -> None:
    def raise_it() -> NoReturn:
        class Picky(Exception):
            def __init__(self, first: int, second: int) -> None:
                super().__init__(f"{first} and {second}")

        raise Picky(1, 2)

    error = failure(rc, raise_it)
    assert (error.ename, error.evalue, error.original()) == ("Picky", "1 and 2", None)


def test_exceptions_that_misbehave(rc: Client) -> None:
    def raise_it() -> NoReturn:
        class Rude(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no text")

            def __reduce__(self) -> Any:
                raise SystemExit

        raise Rude

    error = failure(rc, raise_it)
    assert error.ename == "Rude"
    assert "RuntimeError" in error.evalue
    assert "in raise_it" in error.traceback


def test_exceptions_of_classes_from_here(rc: Client) -> None:
    class Ours(Exception):
        pass

    def raise_it() -> NoReturn:
        raise Ours("mine")

    error = failure(rc, raise_it)
    original = error.original()
    assert type(original) is Ours
    assert original.args == ("mine",)
    assert original.__cause__ is error


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: __import__("threading").Lock(), r"_thread\.lock"),
        (lambda: (number for number in range(3)), "generator"),
        (lambda: __import__("socket").socket(), "socket"),
        (lambda: [__import__("threading").Lock()], "list"),
    ],
)
def test_results_that_cannot_travel(rc: Client, make: Callable[[], object], name: str) -> None:
    error = failure(rc, make)
    assert error.ename == "SerializationError"
    assert "on engine 0" in error.evalue
    assert error.hint
    with pytest.raises(RemoteError, match=name):
        rc[0].apply_sync(make)


class Explosive:
    def __reduce__(self) -> Any:
        return eval, ("1/0",)


def test_arguments_that_cannot_be_rebuilt(rc: Client) -> None:
    error = failure(rc, repr, Explosive())
    assert error.ename == "ZeroDivisionError"


def test_results_that_cannot_be_rebuilt_here(rc: Client) -> None:
    def make() -> object:
        class OnlyThere:
            def __reduce__(self) -> Any:
                return eval, ("1/0 if __import__('os').environ.get('PYTEST_CURRENT_TEST') else 0",)

        return OnlyThere()

    with pytest.raises(TypeError, match=r"answer of engine 0 cannot be rebuilt here: ZeroDivisionError"):
        rc[0].apply_sync(make)


def test_a_module_that_the_engine_does_not_have(rc: Client) -> None:
    error = failure(rc, lambda: __import__("no_such_module"))
    assert error.ename == "ModuleNotFoundError"
    assert "no_such_module" in error.hint
    assert str(error).endswith(f"hint: {error.hint}")


def test_a_function_whose_source_is_gone(rc: Client) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("def f():\n    raise OSError(2, 'text')", "/nonexistent/file.py", "exec"), space)
    error = failure(rc, space["f"])
    assert error.evalue == "[Errno 2] text"
    assert 'File "/nonexistent/file.py", line 2, in f' in error.traceback


def test_dead_engines_are_listed_like_failed_ones(own_cluster: Callable[..., Any]) -> None:
    import os

    with own_cluster(2).connect_client() as rc:
        pids = rc[:].apply_sync(os.getpid)

        def fall(pid: int) -> str:
            if os.getpid() == pid:
                os.kill(pid, 9)
            return "alive"

        result = rc[:].apply_async(fall, pids[1])
        with pytest.raises(CompositeError, match=r"\[1:apply\]: EngineError: ") as caught:
            result.get(timeout=10)
        assert isinstance(caught.value[0], EngineError)
        assert caught.value[0].engine_id == 1
        assert result[0] == "alive"
