"""The near end of a tunnel, as SSH makes one, in this process: it can be cut, and come back at the same place."""

from __future__ import annotations

import selectors
import socket
import threading
from pathlib import Path

__all__ = ["Forward"]


class Forward:
    """Listens at a free TCP port, or at a unix socket, and passes bytes on to a controller's address.

    Parameters
    ----------
    target : str
        ``tcp://host:port`` or ``ipc:///path``.
    socket_path : Path, optional
        Listen here instead of at a port.
    """

    def __init__(self, target: str, socket_path: Path | None = None) -> None:
        self._target = target
        self._path = socket_path
        self._listener: socket.socket | None = None
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._port = 0
        self.frozen = False
        self._ended = False
        self._selector = selectors.DefaultSelector()
        self._wake, knock = socket.socketpair()
        self._knock = knock
        self._selector.register(self._wake, selectors.EVENT_READ)
        self.open()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"ipc://{self._path}" if self._path else f"tcp://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Take connections (again)."""
        with self._lock:
            listener: socket.socket
            if self._path:
                self._path.unlink(missing_ok=True)
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(self._path))
                listener.listen()
            else:
                listener = socket.create_server(("127.0.0.1", self._port))
                self._port = listener.getsockname()[1]
            self._listener = listener
            self._selector.register(listener, selectors.EVENT_READ)
            self.frozen = False
        self._knock.send(b"x")

    def cut(self, silent: bool = False) -> None:
        """Close all connections and the port; or (silent) leave them open and pass nothing on."""
        with self._lock:
            self.frozen = silent
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
            if silent:
                # What the other side sends meanwhile is lost, as in a network: it must be noticed by its silence.
                for each in self._pairs:
                    self._selector.unregister(each)
                self._silent, self._pairs = self._pairs, {}
            else:
                for each in list(self._pairs):
                    self._drop(each)
        self._knock.send(b"x")

    def close(self) -> None:
        self.cut()
        for each in getattr(self, "_silent", {}):
            each.close()
        self._ended = True
        self._knock.send(b"x")
        self._thread.join()
        if self._path:
            self._path.unlink(missing_ok=True)

    @property
    def connections(self) -> int:
        with self._lock:
            return len(self._pairs) // 2

    def _dial(self) -> socket.socket:
        if self._target.startswith("ipc://"):
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target.removeprefix("ipc://"))
            return far
        host, _, port = self._target.removeprefix("tcp://").rpartition(":")
        return socket.create_connection((host, int(port)))

    def _drop(self, end: socket.socket) -> None:
        other = self._pairs.pop(end, None)
        if other is not None:
            self._pairs.pop(other, None)
            for each in (end, other):
                self._selector.unregister(each)
                each.close()

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select():
                with self._lock:
                    self._ready(key.fileobj)  # type: ignore[arg-type]
        for each in (self._wake, self._knock):
            each.close()
        self._selector.close()

    def _pass(self, end: socket.socket, data: bytes) -> None:
        self._pairs[end].sendall(data)

    def _ready(self, ready: socket.socket) -> None:
        if ready is self._wake:
            ready.recv(64)
        elif ready is self._listener:
            near, _ = ready.accept()
            try:
                far = self._dial()
            except OSError:
                # As SSH does: the connection was taken, and closes.
                near.close()
                return
            self._pairs |= {near: far, far: near}
            for each in (near, far):
                self._selector.register(each, selectors.EVENT_READ)
        elif ready in self._pairs:
            try:
                data = ready.recv(1 << 20)
                if data:
                    self._pass(ready, data)
            except OSError:
                data = b""
            if not data:
                self._drop(ready)
