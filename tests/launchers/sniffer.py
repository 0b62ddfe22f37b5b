"""Reads all packets of the host that it runs on, and counts in which a marker is, by the name of the device.

`sniffer.py MARKER` prints `ready`, and when its input ends, `{"lo": [BYTES, MARKS], ...}`.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys

# ETH_P_ALL, SO_RCVBUFFORCE
ALL, BUFFER = 3, 33
LONGEST = 1 << 17


def main(marker: bytes) -> None:
    heard: dict[str, list[int]] = {}
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as packets,
        selectors.DefaultSelector() as selector,
    ):
        packets.setsockopt(socket.SOL_SOCKET, BUFFER, 64 << 20)
        packets.setblocking(False)
        for each in (packets, sys.stdin):
            selector.register(each, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if packets in ready:
                packet, (device, *_) = packets.recvfrom(LONGEST)
                counts = heard.setdefault(device, [0, 0])
                counts[0] += len(packet)
                counts[1] += packet.count(marker)
            elif sys.stdin in ready:
                break
    print(json.dumps(heard), flush=True)


if __name__ == "__main__":
    main(bytes.fromhex(sys.argv[1]))
