"""A user's script: what it defines is in ``__main__``, which no engine can import. Run by `test_main_functions`.

Each ``check_…`` is one promise about such functions and classes. The script takes a connection file and prints as JSON
what became of each check: null, or the traceback.
"""

from __future__ import annotations

import enum
import functools
import json
import sys
import traceback
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ipclusterz import Client, Reference, RemoteError, depend, interactive, require

FACTOR = 3
TABLE = {"a": 1}


def scale(x: Any) -> Any:
    return x * FACTOR


def make_counter(start: int) -> Callable[[], int]:
    count = start

    def step() -> int:
        nonlocal count
        count += 1
        return count

    return step


def check_closures(rc: Client) -> None:
    step = make_counter(10)
    assert rc[:].apply_sync(step) == dict.fromkeys(range(4), 11)
    # Each call has a copy as it is here now.
    assert rc[0].apply_sync(step) == 11
    assert step() == 11
    assert rc[0].apply_sync(step) == 12
    assert rc[:].map_sync(lambda x: scale(x) + step(), [1, 2]) == [15, 18]
    adders = [lambda x, n=n: x + n for n in range(3)]
    assert [rc[0].apply_sync(adder, 1) for adder in adders] == [1, 2, 3]
    late = [lambda: n for n in range(3)]  # noqa: B023
    assert [rc[0].apply_sync(each) for each in late] == [2, 2, 2]


def factorial(n: int) -> int:
    return 1 if n == 0 else n * factorial(n - 1)


def is_even(n: int) -> bool:
    return n == 0 or is_odd(n - 1)


def is_odd(n: int) -> bool:
    return n != 0 and is_even(n - 1)


def check_recursion(rc: Client) -> None:
    assert rc[0].apply_sync(factorial, 20) == factorial(20)
    assert rc[:].map_sync(factorial, range(10)) == [factorial(n) for n in range(10)]
    assert rc[None].map_sync(is_even, range(7)) == [True, False] * 3 + [True]

    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert rc[1].apply_sync(fibonacci, 10) == 55
    assert rc[1].apply_bound(fibonacci, 10).get() == 55

    @rc.remote(block=True)
    def remotely(n: int) -> int:
        return 1 if n == 0 else n * remotely(n - 1)

    assert remotely(6) == 720
    # A bound function finds the engine's names, itself only if it is there.
    rc.push({"factorial": factorial}, block=True)
    assert rc[2].apply_bound(factorial, 5).get() == 120


def collect(item: int, into: list[int] = [], *, extra: tuple[int, ...] = (7,)) -> tuple[list[int], tuple[int, ...]]:  # noqa: B006
    into.append(item)
    return into, extra


def check_default_arguments(rc: Client) -> None:
    for _ in range(2):
        assert rc[0].apply_sync(collect, 1) == ([1], (7,))
    assert collect.__defaults__ == ([],)
    assert rc[0].apply_sync(collect, 1, [0], extra=()) == ([0, 1], ())
    assert rc[0].apply_bound(collect, 1).get() == ([1], (7,))
    assert rc[0].apply_sync(lambda x, f=scale, *, power=2: f(x) ** power, 2) == 36


def check_globals_are_those_of_now(rc: Client) -> None:
    global FACTOR, scale
    assert rc[0].apply_sync(scale, 2) == 6
    FACTOR = 5
    assert rc[0].apply_sync(scale, 2) == 10
    assert rc[0].apply_sync(lambda: TABLE["a"]) == 1
    TABLE["a"] = 2
    assert rc[0].apply_sync(lambda: TABLE["a"]) == 2
    before = scale

    def scale(x: Any) -> Any:
        return -x

    assert rc[0].apply_sync(lambda x: scale(x), 2) == -2
    scale = before
    FACTOR = 3
    assert rc[0].apply_sync(lambda x: np.sum(np.full(x, FACTOR)), 2) == 6


def check_what_a_call_writes_stays_there(rc: Client) -> None:
    def write() -> int:
        global FACTOR
        FACTOR += 1
        return FACTOR

    assert [rc[0].apply_sync(write) for _ in range(2)] == [4, 4]
    assert FACTOR == 3
    rc[0]["FACTOR"] = 100
    assert [rc[0].apply_bound(write).get() for _ in range(2)] == [101, 102]
    assert rc[0]["FACTOR"] == 102
    assert FACTOR == 3


class Shape:
    sides = 0
    made: list[str] = []  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name = name

    def describe(self) -> str:
        return f"{type(self).__name__} {self.name} {self.sides} {scale(1)}"

    @classmethod
    def unnamed(cls) -> Shape:
        return cls("?")

    @staticmethod
    def double(x: int) -> int:
        return 2 * x

    @property
    def size(self) -> int:
        return len(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class Square(Shape):
    sides = 4

    def describe(self) -> str:
        return "square: " + super().describe()


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value


@dataclass(frozen=True)
class Point:
    x: int
    tags: tuple[str, ...] = field(default=())


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


Pair = namedtuple("Pair", "left right")


class Unlucky(ValueError):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def check_classes(rc: Client) -> None:
    square = Square("s")
    assert rc[0].apply_sync(square.describe) == square.describe() == "square: Square s 4 3"
    assert rc[0].apply_sync(lambda: (Square.unnamed().describe(), Shape.double(2), Square("abc").size)) == (
        "square: Square ? 4 3",
        4,
        3,
    )
    back = rc[0].apply_sync(Square, "made there")
    assert type(back) is Square
    assert back == Square("made there")
    assert rc[:].map_sync(lambda shape: shape.describe(), [square, Shape("p")]) == [
        square.describe(),
        Shape("p").describe(),
    ]
    assert rc[:].map_sync(Shape.describe, [square]) == [Shape.describe(square)]
    assert rc[1].apply_sync(lambda slotted: slotted.value, Slotted(6)) == 6


def check_objects_keep_their_class_from_call_to_call(rc: Client) -> None:
    rc.push({"square": Square("pushed"), "point": Point(1, ("t",))}, block=True)
    assert rc[0]["square"] == Square("pushed")
    assert type(rc[0]["square"]) is Square
    assert rc[0]["point"] == Point(1, ("t",))
    assert rc[0].apply_sync(lambda kept: (isinstance(kept, Shape), kept == Square("pushed")), Reference("square")) == (
        True,
        True,
    )
    assert rc[0].apply_bound(lambda other: square == other and type(square) is type(other), Square("pushed")).get()  # type: ignore[name-defined] # noqa: F821
    assert rc[0].execute("type(square).__name__, square.describe()", block=True).result == (
        "('Square', 'square: Square pushed 4 3')"
    )


def check_a_class_that_was_changed(rc: Client) -> None:
    class Version:
        def tell(self) -> int:
            return 1

    assert rc[0].apply_sync(lambda: Version().tell()) == 1

    class Version:  # type: ignore[no-redef] # noqa: F811
        def tell(self) -> int:
            return 2

    assert rc[0].apply_sync(lambda: Version().tell()) == 2
    assert rc[0].apply_sync(Version.tell, Version()) == 2


def check_dataclasses_enums_and_tuples(rc: Client) -> None:
    assert rc[0].apply_sync(lambda p: Point(p.x + 1, p.tags), Point(1, ("a",))) == Point(2, ("a",))
    assert rc[:].map_sync(lambda c: c is Colour.RED, list(Colour)) == [True, False]
    assert rc[0].apply_sync(lambda: Colour.GREEN) is Colour.GREEN
    rc[0]["colour"] = Colour.RED
    assert rc[0].apply_sync(lambda kept: kept is Colour.RED, Reference("colour")) is True
    assert rc[0]["colour"] is Colour.RED
    assert rc[0].apply_sync(lambda p: Pair(p.right, p.left), Pair(1, 2)) == Pair(2, 1)
    assert type(rc[0].apply_sync(Pair, 1, 2)) is Pair


def check_exceptions(rc: Client) -> None:
    def fail() -> None:
        raise Unlucky(13)

    with pytest.raises(RemoteError) as caught:
        rc[0].apply_sync(fail)
    assert (caught.value.ename, caught.value.evalue) == ("Unlucky", "13")
    with pytest.raises(Unlucky) as original:
        caught.value.raise_exception()
    assert original.value.number == 13
    assert original.value.__cause__ is caught.value


def logged(f: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return ("logged", f(*args, **kwargs))

    return wrapper


@logged
def decorated(x: int) -> Any:
    return scale(x)


def count_up(n: int) -> Iterator[int]:
    yield from range(n)


def check_decorated_functions(rc: Client) -> None:
    assert rc[0].apply_sync(decorated, 2) == ("logged", 6)
    assert rc[0].apply_sync(functools.partial(scale, 2)) == 6
    assert rc[0].apply_sync(lambda n: list(count_up(n)), 3) == [0, 1, 2]
    rc.push({"FACTOR": 50}, block=True)
    # Of a bound function everything that it calls by a closure is bound too.
    assert rc[0].apply_bound(logged(lambda x: x * FACTOR), 2).get() == ("logged", 100)
    assert rc[0].apply_sync(interactive(lambda x: x * FACTOR), 2) == 100
    assert rc[0].apply_sync(interactive(scale), 2) == 100
    assert rc[0].apply_sync(require("colorsys")(depend(is_even, 2)(lambda: scale(1)))) == 3


def check_functions_as_values(rc: Client) -> None:
    rc.push({"scale": scale, "square": Square}, block=True)
    assert rc[0].execute("scale(2), square('x').size", block=True).result == "(6, 1)"
    assert rc[0].apply_sync(lambda functions: [f(3) for f in functions], [scale, factorial, lambda x: x]) == [9, 6, 3]
    back = rc[0].apply_sync(lambda: lambda x: scale(x) + 1)
    assert back(1) == 4
    assert rc[0].apply_sync(make_counter, 5)() == 6


def check_lazily_and_in_parts(rc: Client) -> None:
    assert list(rc.imap(factorial, range(8))) == [factorial(n) for n in range(8)]

    @rc.parallel(block=True)
    def describe(shapes: list[Shape]) -> list[str]:
        return [shape.describe() for shape in shapes]

    shapes = [Shape(letter) for letter in "abcde"]
    assert describe(shapes) == [shape.describe() for shape in shapes]
    rc.scatter("shapes", shapes, block=True)
    assert rc.gather("shapes", block=True) == shapes


def main() -> None:
    outcome: dict[str, str | None] = {}
    with Client(sys.argv[1]) as rc:
        for name, check in [item for item in globals().items() if item[0].startswith("check_")]:
            try:
                check(rc)
                outcome[name] = None
            except Exception:
                outcome[name] = traceback.format_exc()
            rc.clear(block=True)
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
