"""When data go through MPI by themselves. That they arrive is tested in `tests/mpi`."""

from __future__ import annotations

from typing import Any

import pytest

from ipclusterz.client.via import WORTH_IT, is_worth_it

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


@pytest.mark.parametrize(
    ("engines", "worth_it"),
    [
        ([ONE, ONE, ONE], True),
        ([(NEAR, "a", 1, True), ONE, ONE], True),
        # One copy by the network is the same either way.
        ([(NEAR, "a", 1, True), (NEAR, "a", 1, True), ONE], False),
        # They share memory with the controller.
        ([(NEAR, "a", 1, True)] * 3, False),
        ([ONE, ONE, (FAR, None, 0, False)], False),
        ([ONE, ONE, (FAR, "b", 1, True)], False),
        ([ONE, ONE, (FAR, "a", 2, True)], False),
        ([(FAR, "a", 2, False)] * 3, False),
        # The third has just died.
        ([ONE, ONE], False),
    ],
)
def test_which_engines_pass_data_on(engines: list[tuple[str, str | None, int, bool]], worth_it: bool) -> None:
    assert is_worth_it(Calls(*engines), [0, 1, 2], LARGE) is worth_it  # type: ignore[arg-type]


def test_nobody_is_asked_for_small_data_or_one_engine() -> None:
    calls: Any = Calls(ONE, ONE)
    assert not is_worth_it(calls, [0, 1], [b"pickle", bytearray(WORTH_IT - 7)])
    assert not is_worth_it(calls, [0], LARGE)
    assert calls.asked == 0
