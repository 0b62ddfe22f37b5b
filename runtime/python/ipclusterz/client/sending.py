"""A value that goes from one engine to others: `DirectCalls.send`.

The engine that has it gives it at a port of its host, to whoever has the ticket. On each other host one engine takes it
and gives it to those beside it, so that it crosses the network once for a host. Who can reach nobody gets it from this
client, as does everybody what is small.
"""

from __future__ import annotations

import os
from concurrent.futures import Future
from threading import Thread

from ..compat import zip_equal
from ..shared import handover
from .about import about
from .arguments import argument_frames
from .asyncresult import AsyncResult
from .functions import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .calls import Calls

__all__ = ["Sending", "later"]


class Sending:
    """One value on its way.

    Parameters
    ----------
    calls : Calls
        A view or client.
    name : str
        The value's name.
    source : int
        The engine that has it.
    """

    def __init__(self, calls: Calls, name: str, source: int) -> None:
        self._calls = calls
        self._name = name
        self._source = source
        self._ticket = (os.urandom(16), os.urandom(32))

    def send(self, engines: list[int]) -> None:
        """Have these engines have it."""
        groups = self._by_host([engine for engine in engines if engine != self._source])
        if not groups:
            return
        heads = [group[0] for group in groups]
        [given] = self._ask(handover.give, {self._source: (self._name, self._ticket, len(heads))}, single=True)
        if isinstance(given[0], bytes):
            return self._push([engine for group in groups for engine in group], given)
        orders = {group[0]: (given, self._ticket, len(group) - 1) for group in groups}
        taken = dict(zip_equal(heads, self._ask(handover.take, orders)))
        apart = [engine for group in groups if isinstance(taken[group[0]], str) for engine in group]
        others = {engine: (taken[group[0]], self._ticket, 0) for group in groups for engine in group[1:]}
        others = {engine: order for engine, order in others.items() if engine not in apart}
        if others:
            answers = zip_equal(others, self._ask(handover.take, others))
            apart += [engine for engine, answer in answers if isinstance(answer, str)]
        if apart:
            [frames] = self._ask(handover.pack, {self._source: (self._name,)}, single=True)
            self._push(apart, frames)

    def _by_host(self, engines: list[int]) -> list[list[int]]:
        """Engines that share a host; those beside the source are each for itself: nothing crosses a network."""
        rows = {row["id"]: row["host"] for row in self._calls._owner_client.status()["engines"]}
        groups: dict[object, list[int]] = {}
        for engine in engines:
            host = rows.get(engine)
            alone = host is None or host == rows.get(self._source)
            groups.setdefault(engine if alone else host, []).append(engine)
        return list(groups.values())

    def _ask(self, f: Callable[..., Any], orders: dict[int, tuple[Any, ...]], single: bool = False) -> list[Any]:
        """What a function gives on each of these engines, which get arguments of their own."""
        items = [([engine], argument_frames(arguments, {})) for engine, arguments in orders.items()]
        told = about("call", method="send", single=single)
        core = self._calls._core
        pending = core.submit("apply", items, function=pack(f), name="send", about=told)
        result = AsyncResult(self._calls._owner_client, pending, "send", single, quiet=True)
        answer = result.get()
        return [answer] if single else list(answer)

    def _push(self, engines: list[int], frames: list[bytes]) -> None:
        told = about("call", method="send", single=False)
        pending = self._calls._core.submit("push", [(engines, frames)], about=told)
        AsyncResult(self._calls._owner_client, pending, "send", False).get()


def later(run: Callable[[], None]) -> Future[None]:
    """The same in a thread of its own."""
    result: Future[None] = Future()

    def work() -> None:
        try:
            run()
        except BaseException as error:
            result.set_exception(error)
        else:
            result.set_result(None)

    # The program may end before it has.
    Thread(target=work, name="ipclusterz-send", daemon=True).start()
    return result
