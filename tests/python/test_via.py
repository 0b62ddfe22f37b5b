"""When data go through MPI by themselves. That they arrive is tested in `tests/mpi`."""

from __future__ import annotations

from typing import Any

import pytest

from ipclusterz.client.via import MANY_HOSTS, WORTH_IT, is_worth_it

LARGE = [b"pickle", memoryview(bytearray(WORTH_IT))]
FAR, NEAR = "tcp://n1:5000", "ipc:///run/controller.sock"


class Calls:
    """A client whose cluster has these engines."""

    def __init__(self, *engines: tuple[str, str | None, int, bool]) -> None:
        self.asked = 0
        self._engines = [
            {
                "id": number,
                "address": address,
                "host": "head" if address == NEAR else f"n{number // 2}",
                "world": None if world is None else {"name": world, "epoch": epoch, "formed": formed},
            }
            for number, (address, world, epoch, formed) in enumerate(engines)
        ]

    @property
    def _owner_client(self) -> Calls:
        return self

    def status(self) -> dict[str, Any]:
        self.asked += 1
        return {"engines": self._engines}


ONE = (FAR, "a", 1, True)
# Two of a host.
MANY = [ONE] * (2 * MANY_HOSTS)


@pytest.mark.parametrize(
    ("engines", "worth_it"),
    [
        (MANY, True),
        ([*MANY, (NEAR, "a", 1, True)], True),
        # Each of a few hosts gets its copy as soon.
        (MANY[:-2], False),
        # They share memory with the controller.
        ([(NEAR, "a", 1, True)] * 20, False),
        ([*MANY, (FAR, None, 0, False)], False),
        ([*MANY, (FAR, "b", 1, True)], False),
        ([*MANY, (FAR, "a", 2, True)], False),
        ([(FAR, "a", 2, False)] * 20, False),
    ],
)
def test_which_engines_pass_data_on(engines: list[tuple[str, str | None, int, bool]], worth_it: bool) -> None:
    ids = list(range(len(engines)))
    assert is_worth_it(Calls(*engines), ids, LARGE) is worth_it  # type: ignore[arg-type]
    # One has just died.
    assert not is_worth_it(Calls(*engines), [*ids, len(ids)], LARGE)  # type: ignore[arg-type]


def test_nobody_is_asked_for_small_data_or_one_engine() -> None:
    calls: Any = Calls(ONE, ONE)
    assert not is_worth_it(calls, [0, 1], [b"pickle", bytearray(WORTH_IT - 7)])
    assert not is_worth_it(calls, [0], LARGE)
    assert calls.asked == 0
