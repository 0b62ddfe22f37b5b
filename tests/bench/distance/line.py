"""A long line between two hosts: `line.py PID ADDRESS PID ADDRESS BYTES_PER_SECOND SECONDS`, until standard input ends.

Each process named by its PID is of a host, whose network gets a device `line0` with that address. What one sends
arrives at the other `SECONDS` later, and no faster than the rate. Before the line is a queue for 50 ms; what comes to a
full one is dropped, as a router would. Packets have up to 64 KB, so that Python is fast enough for 10 Gbit/s.
"""

from __future__ import annotations

import collections
import ctypes
import fcntl
import os
import struct
import subprocess
import sys
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
MTU = 65_000
QUEUE_SECONDS = 0.05


def device(pid: str, address: str) -> int:
    """The other side of a network device of that host."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    found = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(found, TUNSETIFF, struct.pack("16sH22x", b"line0", IFF_TUN | IFF_NO_PI))
    orders = f"addr add {address}/24 dev line0\nlink set line0 mtu {MTU} txqueuelen 1000 up\n"
    subprocess.run(["ip", "-batch", "-"], input=orders, text=True, check=True)
    return found


class Way:
    """One direction: what is on its way, and when each packet is to arrive."""

    def __init__(self, source: int, sink: int, rate: float, delay: float) -> None:
        self.source, self.sink, self.rate, self.delay = source, sink, rate, delay
        self.under_way: collections.deque[tuple[float, bytes]] = collections.deque()
        self.some = threading.Semaphore(0)
        for work in (self.read, self.write):
            threading.Thread(target=work, daemon=True).start()

    def read(self) -> None:
        free = 0.0
        while True:
            packet = os.read(self.source, MTU + 500)
            now = time.monotonic()
            if free - now > QUEUE_SECONDS:
                continue
            free = max(free, now) + len(packet) / self.rate
            self.under_way.append((free + self.delay, packet))
            self.some.release()

    def write(self) -> None:
        while True:
            self.some.acquire()
            due, packet = self.under_way.popleft()
            left = due - time.monotonic()
            if left > 0:
                time.sleep(left)
            os.write(self.sink, packet)


def main() -> None:
    one, its_address, other, other_address, rate, delay = sys.argv[1:]
    ends = [device(one, its_address), device(other, other_address)]
    for source, sink in (ends, reversed(ends)):
        Way(source, sink, float(rate), float(delay))
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
