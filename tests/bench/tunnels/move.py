"""Bytes over one TCP connection, in a process of its own at either end.

`move.py serve` listens at a free port, prints it, and gives or takes what each connection asks for. `move.py get PORT
BYTES` and `move.py put PORT BYTES` ask for that, and print how many seconds it took. `move.py slow PORT RATE DELAY` is
a relay to that port: RATE bytes a second in each direction, each byte DELAY seconds late.
"""

from __future__ import annotations

import collections
import socket
import sys
import threading
import time

PIECE = 1 << 20


def take(connection: socket.socket, count: int) -> None:
    room = memoryview(bytearray(PIECE))
    while count:
        got = connection.recv_into(room[: min(PIECE, count)])
        if not got:
            raise SystemExit(f"error: {count} bytes have not come")
        count -= got


def give(connection: socket.socket, count: int) -> None:
    piece = memoryview(bytes(range(256)) * (PIECE // 256))
    while count:
        connection.sendall(piece[: min(PIECE, count)])
        count -= min(PIECE, count)


def answer(connection: socket.socket) -> None:
    """What one connection asks for: `get N` or `put N`, and a line's end."""
    with connection, connection.makefile("rb", buffering=0) as lines:
        what, count = lines.readline().split()
        if what == b"get":
            give(connection, int(count))
        else:
            take(connection, int(count))
            connection.sendall(b"!")


def serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def ask(what: str, port: int, count: int) -> float:
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.monotonic()
        connection.sendall(f"{what} {count}\n".encode())
        if what == "get":
            take(connection, count)
        else:
            give(connection, count)
            take(connection, 1)
        return time.monotonic() - began


class Line:
    """One direction of a relay: what is on its way, and when each piece is to come out."""

    def __init__(self, source: socket.socket, sink: socket.socket, rate: float, delay: float) -> None:
        self.source, self.sink, self.rate, self.delay = source, sink, rate, delay
        self.under_way: collections.deque[tuple[float, bytes]] = collections.deque()
        self.bytes = 0
        # What a line holds, and a router's queue before it.
        self.room = int(rate * delay) + PIECE
        self.changed = threading.Condition()

    def start(self) -> None:
        for work in (self.read, self.write):
            threading.Thread(target=work, daemon=True).start()

    def read(self) -> None:
        free = time.monotonic()
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.bytes < self.room)
            try:
                piece = self.source.recv(64 << 10)
            except OSError:
                piece = b""
            free = max(free, time.monotonic()) + len(piece) / self.rate
            with self.changed:
                self.under_way.append((free + self.delay, piece))
                self.bytes += len(piece)
                self.changed.notify_all()
            if not piece:
                return

    def write(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.under_way)
                due, piece = self.under_way.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not piece:
                    return self.sink.shutdown(socket.SHUT_WR)
                self.sink.sendall(piece)
            except OSError:
                return
            with self.changed:
                self.bytes -= len(piece)
                self.changed.notify_all()


def slow(port: int, rate: float, delay: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Line(near, far, rate, delay).start()
            Line(far, near, rate, delay).start()


def main() -> None:
    what, *rest = sys.argv[1:]
    if what == "serve":
        serve()
    elif what == "slow":
        port, rate, delay = rest
        slow(int(port), float(rate), float(delay))
    else:
        port, count = rest
        print(ask(what, int(port), int(count)))


if __name__ == "__main__":
    main()
