"""The fork server: forks an engine of this host for each order of the launcher, and reports how each has ended.

It knows no controller, and nothing of what engines do. It has one thread: whatever an order needs is done before the
next one is read.

# Format

Orders and reports go through one socket, ``--fork-orders``. Each is a list of words, each of which ends with a zero
byte, and an empty word ends the list. NUMBER is the launcher's for the engine.

    start NUMBER LOG ARGUMENT...   an order: an engine with this command line, whose output goes to this file
    ready                          what engines need is imported
    failed TEXT                    it cannot be imported, and the server ends
    started NUMBER PID TIME        a process is forked; when it started, as /proc tells it
    refused NUMBER ERRNO           none can be forked
    ended NUMBER STATUS            it has ended, and nothing of its group is left; as waitpid tells it
"""

from __future__ import annotations

import os
import select

# The C module, as in `__main__`.
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIG_IGN,
    SIGCHLD,
    SIGINT,
    SIGKILL,
    default_int_handler,
    set_wakeup_fd,
    signal,
)

from .forks import Forks
from .preload import PreloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Options

__all__ = ["serve"]


def serve(options: Options) -> Options:
    """Fork engines until the launcher closes the socket, which ends the process.

    Returns
    -------
    Options
        In each engine, and there alone.
    """
    socket = options.fork_orders or 0
    os.set_inheritable(socket, False)
    # Meant for engines.
    signal(SIGINT, SIG_IGN)
    try:
        forks = Forks(options)
    except PreloadError as error:
        _report(socket, "failed", str(error).replace("\0", " "))
        raise SystemExit(1) from None
    return _Server(socket, forks).serve()


class _Server:
    def __init__(self, socket: int, forks: Forks) -> None:
        self.socket = socket
        self.forks = forks
        # By pid, the launcher's number of the engine.
        self.running: dict[int, str] = {}
        self.unread = b""
        self.awake, self.wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def serve(self) -> Options:
        # A handler of Python's, which does nothing: without one the signal wakes nobody.
        signal(SIGCHLD, lambda _signal, _frame: None)
        set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        waiting = select.poll()
        for descriptor in (self.socket, self.awake):
            waiting.register(descriptor, select.POLLIN)
        self.report("ready")
        while True:
            for descriptor, _ in waiting.poll():
                if descriptor == self.awake:
                    os.read(self.awake, 4096)
                    self.reap()
                    continue
                for order in self.orders():
                    options = self.start(order)
                    if options is not None:
                        return options

    def orders(self) -> list[list[bytes]]:
        try:
            data = os.read(self.socket, 1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            # The launcher has ended. The kernel tells the engines when this process has.
            raise SystemExit(0)
        *orders, self.unread = (self.unread + data).split(b"\0\0")
        return [order.split(b"\0") for order in orders]

    def start(self, order: list[bytes]) -> Options | None:
        """Fork an engine; its options in that engine."""
        _, number, log, *arguments = map(os.fsdecode, order)
        try:
            pid, time = self.forks.fork()
        except OSError as error:
            self.report("refused", number, str(error.errno))
            return None
        if pid == 0:
            return self.become(log, arguments)
        self.running[pid] = number
        self.report("started", number, str(pid), str(time))
        return None

    def become(self, log: str, arguments: list[str]) -> Options:
        set_wakeup_fd(-1)
        signal(SIGCHLD, SIG_DFL)
        signal(SIGINT, default_int_handler)
        for descriptor in (self.socket, self.awake, self.wake):
            os.close(descriptor)
        return self.forks.become(arguments, log)

    def reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            number = self.running.pop(ended.si_pid, None)
            if number is not None:
                # Whatever is left of its group. While it is not reaped, the number is its own.
                try:  # noqa: SIM105 - as in `forks`
                    os.killpg(ended.si_pid, SIGKILL)
                except OSError:
                    # User code has left the group, and it was empty.
                    pass
            _, status = os.waitpid(ended.si_pid, 0)
            if number is not None:
                self.report("ended", number, str(status))

    def report(self, *words: str) -> None:
        _report(self.socket, *words)


def _report(socket: int, *words: str) -> None:
    message = "".join(f"{word}\0" for word in words) + "\0"
    rest = message.encode("utf-8", "replace")
    try:
        while rest:
            rest = rest[os.write(socket, rest) :]
    except ConnectionError:
        raise SystemExit(0) from None
