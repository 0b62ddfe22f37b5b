"""Whether two addresses are the same place. Imported when a client is given an address."""

from __future__ import annotations

import platform
import socket

__all__ = ["is_same"]


def is_same(address: str, offered: str, controller_host: object) -> bool:
    """Whether an address is another way to write one that a controller offers, which names its host by one name."""
    if address == offered:
        return True
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    offered_host, _, offered_port = offered.removeprefix("tcp://").rpartition(":")
    if scheme != "tcp" or not offered.startswith("tcp://") or port != offered_port:
        return False
    asked, there = _ip_addresses(host), _ip_addresses(offered_host)
    # A name of this host may stand for another of its interfaces than the one that was asked for.
    return bool(asked & there) or (controller_host == platform.node() and any(map(_is_here, asked)))


def _ip_addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()


def _is_here(ip_address: str) -> bool:
    """Whether it is an address of this host: only these can be bound."""
    family = socket.AF_INET6 if ":" in ip_address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((ip_address, 0))
    except OSError:
        return False
    return True
