"""Hostile code that ends its task alone, or whose value cannot be returned. Each function is a task."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any, NoReturn

from kinds import passing


@passing
def exit_of_the_interpreter() -> None:
    sys.exit(3)


@passing
def exit_in_a_thread() -> None:
    thread = threading.Thread(target=sys.exit, args=(3,))
    thread.start()
    thread.join()


class _Base(BaseException):
    pass


@passing
def an_exception_that_is_none() -> None:
    raise _Base("not an Exception")


@passing
def keyboard_interrupt() -> None:
    raise KeyboardInterrupt


@passing
def generator_exit() -> None:
    raise GeneratorExit


@passing
def recursion() -> None:
    recursion()


@passing
def a_message_of_20_megabytes() -> None:
    raise ValueError("x" * 20_000_000)


class _Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@passing
def an_exception_that_cannot_be_shown() -> None:
    raise _Wordless


class _Unsendable(Exception):
    def __reduce__(self) -> NoReturn:
        raise RuntimeError("not to be sent")


@passing
def an_exception_that_cannot_be_sent() -> None:
    raise _Unsendable(threading.Lock())


class _Particular(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__("one argument")


@passing
def an_exception_that_cannot_be_made_again() -> None:
    raise _Particular(1, 2)


@passing
def exceptions_in_a_circle() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    first.__context__, second.__context__ = second, first
    raise first


@passing
def a_chain_of_5000_exceptions() -> None:
    error = ValueError("first")
    for number in range(5000):
        following = ValueError(number)
        following.__cause__ = error
        error = following
    raise error


@passing
def groups_within_groups() -> None:
    error: Exception = ValueError("inmost")
    for _ in range(200):
        error = ExceptionGroup("group", [error, ValueError("beside it")])
    raise error


@passing
def memory_that_is_not_there() -> None:
    bytearray(1 << 60)


@passing
def an_interrupt_of_itself() -> None:
    signal.raise_signal(signal.SIGINT)
    time.sleep(5)


# What cannot be returned.


class _Refuses:
    def __init__(self, error: type[BaseException] = RuntimeError) -> None:
        self.error = error

    def __reduce__(self) -> NoReturn:
        raise self.error("not to be sent")


@passing
def a_lock() -> Any:
    return threading.Lock()


@passing
def a_generator() -> Any:
    return (number for number in range(3))


@passing
def a_frame() -> Any:
    return sys._getframe()


@passing
def what_refuses_to_be_sent() -> Any:
    return _Refuses()


@passing
def what_exits_when_it_is_sent() -> Any:
    return _Refuses(SystemExit)


@passing
def what_interrupts_when_it_is_sent() -> Any:
    return _Refuses(KeyboardInterrupt)


class _Junk:
    def __reduce_ex__(self, protocol: Any) -> Any:
        return (1, 2, 3, 4, 5, 6, 7)


@passing
def what_is_sent_as_junk() -> Any:
    return _Junk()


class _Bad:
    def __reduce__(self) -> Any:
        return int, ("no number",)


@passing
def what_cannot_be_received() -> Any:
    return _Bad()


@passing
def a_list_within_a_list_100000_deep() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


class _Liar:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no class")

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "_")


@passing
def what_has_no_class_and_all_attributes() -> Any:
    return _Liar()


class _Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        return -1


@passing
def what_has_no_repr_equality_hash_truth_or_length() -> Any:
    return _Odd()


class _Dying:
    def __del__(self) -> None:
        raise RuntimeError("in a finalizer")


@passing
def finalizers_that_raise() -> Any:
    for _ in range(100):
        _Dying()
    return _Dying()


class _Leaving:
    def __del__(self) -> None:
        sys.exit(3)


@passing
def finalizers_that_exit() -> None:
    for _ in range(100):
        _Leaving()
