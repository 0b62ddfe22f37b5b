"""What cells of a frontend write and display, on its way from the main thread to the thread of the kernel."""

from __future__ import annotations

import json
from threading import Condition
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator

__all__ = ["Outlet"]

# Characters that may wait to be sent; whoever writes more waits.
_MOST = 1024 * 1024
# Seconds in which text is gathered: `print` writes its end apart.
_GATHER = 0.01
# Cells whose threads still have somebody to write to.
_CELLS = 100


class Outlet:
    """Sends what cells write, as messages of the request that each cell came with.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Of the thread that sends.
    send : callable
        Is called there, with the request, the type of a message and its content.
    """

    def __init__(self, loop: AbstractEventLoop, send: Callable[[Any, str, dict[str, Any]], object]) -> None:
        self._loop = loop
        self._send = send
        self._requests: dict[int, Any] = {}
        self._pieces: list[tuple[int, str, str]] = []
        self._size = 0
        self._room = Condition()

    def begin(self, number: int, request: Any) -> None:
        """This cell runs from here on."""
        while len(self._requests) >= _CELLS:
            del self._requests[next(iter(self._requests))]
        self._requests[number] = request

    def write(self, number: int, stream: str, text: str) -> bool:
        """Take what a cell, or a thread that it has started, writes; see `streams.Stream.cells`."""
        if number not in self._requests or self._loop.is_closed():
            return False
        # Sent later, where nobody can be told that it has no place in UTF-8.
        text.encode()
        with self._room:
            while self._size > _MOST and self._loop.is_running():
                # In steps: an interrupt is seen between two of them.
                self._room.wait(0.1)
            first = not self._pieces
            self._pieces.append((number, stream, text))
            self._size += len(text)
        if first:
            self._loop.call_soon_threadsafe(self._loop.call_later, _GATHER, self.flush)
        return True

    def flush(self) -> None:
        """Send what there is. Called by the thread of the loop."""
        with self._room:
            pieces, self._pieces, self._size = self._pieces, [], 0
            self._room.notify_all()
        for number, stream, text in _joined(pieces):
            request = self._requests.get(number)
            if request is None:
                continue
            if stream != "display":
                self._send(request, "stream", {"name": stream, "text": text})
                continue
            for kind, content in map(_message, text.splitlines()):
                if kind:
                    self._send(request, kind, content)


def _joined(pieces: list[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
    """The same with neighbours of one stream as one."""
    begin = 0
    for end in range(1, len(pieces) + 1):
        if end == len(pieces) or pieces[end][:2] != pieces[begin][:2]:
            yield (*pieces[begin][:2], "".join(text for _, _, text in pieces[begin:end]))
            begin = end


def _message(line: str) -> tuple[str, dict[str, Any]]:
    """Type and content of the message for a line of the displays; see `ipython`. No type: it is for clients alone."""
    entry = json.loads(line)
    if "clear" in entry:
        return "clear_output", {"wait": entry["clear"] == "wait"}
    if "data" not in entry:
        return "", {}
    kind = "update_display_data" if entry.get("update") else "display_data"
    transient = {"display_id": entry["display_id"]} if "display_id" in entry else {}
    return kind, {"data": entry["data"], "metadata": entry["metadata"], "transient": transient}
