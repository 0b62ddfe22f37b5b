"""Packing functions: kept when nothing has changed, never stale. Without a cluster."""

from __future__ import annotations

import gc
import math
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from ipclusterz import SerializationError
from ipclusterz.client.capture import local_modules
from ipclusterz.client.functions import pack
from ipclusterz.shared.serialize import FRESH, MAP, loads, split_code

FACTOR = 2
TABLE = {"a": 1}


def scale(x: int) -> int:
    return x * FACTOR


def scale_twice(x: int) -> int:
    return scale(scale(x))


def look_up(name: str) -> int:
    return TABLE[name]


def unpacked(packed: tuple[bytes, bytes], by_value: bool = False) -> Any:
    """The function as an engine rebuilds it; by value as where this module cannot be imported."""
    _, first, second = split_code(packed[1])
    return loads([second if by_value else first])


def flags(packed: tuple[bytes, bytes]) -> int:
    return split_code(packed[1])[0]


def test_the_same_function_is_packed_once() -> None:
    for function in (scale, lambda x: x + 1, math.sqrt, len):
        assert pack(function) is pack(function)


def test_hash_and_code_belong_together() -> None:
    name, _ = pack(scale)
    assert len(name) == 16
    assert pack(scale_twice)[0] != name
    assert pack(scale, mapped=True)[0] != name
    assert flags(pack(scale, mapped=True)) & MAP


def test_this_module_is_not_one_that_engines_have() -> None:
    assert __name__ in local_modules()
    assert "pytest" not in local_modules()
    assert "json" not in local_modules()
    assert not [name for name in local_modules() if name.startswith("_frozen")]


def test_importable_functions_go_by_reference() -> None:
    assert unpacked(pack(math.hypot)) is math.hypot
    assert len(pack(math.hypot)[1]) < 100
    # Of this module by reference first, and by value for engines that do not have it.
    assert unpacked(pack(scale)) is scale
    assert unpacked(pack(scale), by_value=True) is not scale


def test_a_changed_global_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pack(scale_twice)
    assert unpacked(before, by_value=True)(1) == 4
    monkeypatch.setitem(globals(), "FACTOR", 3)
    after = pack(scale_twice)
    assert after[0] != before[0]
    assert unpacked(after, by_value=True)(1) == 9
    monkeypatch.undo()
    assert pack(scale_twice)[0] == before[0]


def test_a_changed_mutable_global_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unpacked(pack(look_up), by_value=True)("a") == 1
    monkeypatch.setitem(TABLE, "a", 5)
    assert unpacked(pack(look_up), by_value=True)("a") == 5


def test_a_global_that_appears_or_goes_is_seen() -> None:
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec("def f(): return later", space)
    before = pack(space["f"])
    space["later"] = 7
    assert unpacked(pack(space["f"]))() == 7
    del space["later"]
    assert pack(space["f"])[0] == before[0]


def test_a_changed_closure_is_sent() -> None:
    def make() -> tuple[Callable[[], int], Callable[[int], None]]:
        value = 1

        def get() -> int:
            return value

        def set_to(new: int) -> None:
            nonlocal value
            value = new

        return get, set_to

    get, set_to = make()
    assert unpacked(pack(get))() == 1
    set_to(2)
    assert unpacked(pack(get))() == 2


def test_a_mutable_closure_or_default_is_sent_as_it_is_now() -> None:
    items = [1]

    def count() -> int:
        return len(items)

    def total(values: list[int] = items) -> int:
        return sum(values)

    assert (unpacked(pack(count))(), unpacked(pack(total))()) == (1, 1)
    items.append(5)
    assert (unpacked(pack(count))(), unpacked(pack(total))()) == (2, 6)


def test_replaced_code_defaults_and_attributes_are_sent() -> None:
    def f(x: int = 1, *, y: int = 10) -> int:
        return x + y

    assert unpacked(pack(f))() == 11
    f.__defaults__ = (2,)
    assert unpacked(pack(f))() == 12
    f.__kwdefaults__["y"] = 20
    assert unpacked(pack(f))() == 22
    f.__code__ = (lambda x, *, y: x - y).__code__
    assert unpacked(pack(f))() == -18
    f.note = "new"  # type: ignore[attr-defined]
    assert unpacked(pack(f)).note == "new"


def test_a_changed_helper_is_sent() -> None:
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec("def helper(): return 1\ndef f(): return helper()", space)
    assert unpacked(pack(space["f"]))() == 1
    exec("def helper(): return 2", space)
    assert unpacked(pack(space["f"]))() == 2
    space["helper"].__code__ = (lambda: 3).__code__
    assert unpacked(pack(space["f"]))() == 3


def test_functions_that_write_what_they_carry_are_fresh_for_each_call() -> None:
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec("count = 0\ndef f():\n    global count\n    count += 1\n    return count\ndef g(): return count", space)
    assert flags(pack(space["f"])) & FRESH
    assert not flags(pack(space["g"])) & FRESH
    assert flags(pack(look_up)) & FRESH


def test_a_function_is_not_kept_alive() -> None:
    def recursive(n: int) -> int:
        return 1 if n == 0 else n * recursive(n - 1)  # noqa: F821 (ruff sees the del)

    pack(recursive)
    pack(recursive, bound=True)
    reference = weakref.ref(recursive)
    del recursive
    gc.collect()
    assert reference() is None


def test_a_million_different_functions_do_not_fill_the_memory() -> None:
    from ipclusterz.client import functions

    kept = [FunctionType(scale.__code__, {"FACTOR": number, "__name__": "__main__"}) for number in range(3000)]
    for function in kept:
        pack(function)
    assert len(functions._plain) <= functions._CACHE_LIMIT


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_pack_at_the_same_time() -> None:
    def work(number: int) -> None:
        for index in range(100):
            pack(lambda n=index: (number, n, local_modules))

    with ThreadPoolExecutor(4) as threads:
        # Raises what a thread raised.
        list(threads.map(work, range(4)))


def test_callables_that_are_no_functions() -> None:
    class Adder:
        def __init__(self, value: int) -> None:
            self.value = value

        def __call__(self, x: int) -> int:
            return x + self.value

    adder = Adder(1)
    assert unpacked(pack(adder))(1) == 2
    adder.value = 10
    assert unpacked(pack(adder))(1) == 11
    assert unpacked(pack([3, 1].index))(1) == 1
    assert unpacked(pack("a-b".split))("-") == ["a", "b"]


@pytest.mark.parametrize("value", [None, 3, "text", SimpleNamespace()])
def test_what_cannot_be_called_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="a function is needed"):
        pack(value)


def test_what_cannot_travel_is_named() -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(SerializationError, match="lock"):
        pack(lambda: lock)
    with pytest.raises(SerializationError, match="lock"):
        pack(lambda: lock, bound=True)


def test_a_lock_in_this_module_leaves_the_reference() -> None:
    packed = pack(uses_a_lock)
    assert unpacked(packed) is uses_a_lock
    assert split_code(packed[1])[2] == b""


def uses_a_lock() -> bool:
    return LOCK.locked()


LOCK = __import__("threading").Lock()


def test_bound_functions_leave_their_globals_behind() -> None:
    packed = pack(scale, bound=True)
    assert b"FACTOR" in packed[1]
    rebuilt = unpacked(packed)
    import __main__

    assert rebuilt.__globals__ is __main__.__dict__
    assert rebuilt.__name__ == "scale"


def test_bound_functions_keep_closure_defaults_and_names() -> None:
    offset = 5

    def f(x: int, y: int = 2, *, z: int = 3) -> int:
        """Add."""
        return x + y + z + offset

    rebuilt = unpacked(pack(f, bound=True))
    assert rebuilt(1) == 11
    assert rebuilt.__doc__ == "Add."
    assert rebuilt.__qualname__ == f.__qualname__

    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    assert unpacked(pack(factorial, bound=True))(5) == 120


def test_bound_functions_of_no_module() -> None:
    space: dict[str, Any] = {}
    exec("def double(x): return 2 * x", space)
    assert space["double"].__module__ is None
    assert unpacked(pack(space["double"], bound=True))(2) == 4
