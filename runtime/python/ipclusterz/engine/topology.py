"""The cores of a host, and which of them each engine gets: in the order of hwloc, that is sockets, NUMA nodes, cores.

What is read is plain data, and who gets what is a function of that alone.
"""

from __future__ import annotations

from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Core = tuple[int, int, int, int, tuple[int, ...]]
    """The lowest CPU of its socket, of its NUMA node and of itself; the node's number (-1: none); its allowed CPUs."""

__all__ = ["SYSTEM", "block", "node", "numbers", "ranges", "read"]

SYSTEM = Path("/sys/devices/system")
# Linux has called them otherwise before.
_OF_CORE = ("core_cpus_list", "thread_siblings_list")
_OF_SOCKET = ("package_cpus_list", "core_siblings_list")


def read(allowed: Iterable[int], system: Path = SYSTEM) -> list[Core]:
    """The cores of a host with the CPUs of them that are allowed, in their order.

    A CPU of which the kernel tells nothing is a core of its own; all without a socket are of one.
    """
    left = set(allowed)
    nodes: dict[int, tuple[int, int]] = {}
    for folder in system.glob("node/node[0-9]*"):
        cpus = _list([folder / "cpulist"])
        nodes.update(dict.fromkeys(cpus, (min(cpus, default=0), int(folder.name[4:]))))
    sockets: dict[int, int] = {}
    cores = []
    for cpu in sorted(left):
        if cpu not in left:
            continue
        topology = system / f"cpu/cpu{cpu}/topology"
        if cpu not in sockets:
            cpus = _list([topology / name for name in _OF_SOCKET])
            sockets.update(dict.fromkeys(cpus, min(cpus, default=0)))
        threads = {cpu, *_list([topology / name for name in _OF_CORE])}
        core = left & threads
        left -= core
        of_node, number = nodes.get(cpu, (0, -1))
        cores.append((sockets.get(cpu, 0), of_node, min(threads), number, tuple(sorted(core))))
    return sorted(cores)


def block(cores: list[Core], index: int, engines: int) -> tuple[list[int], int]:
    """The CPUs of one of the engines of a host, and how many engines have these.

    The hardware threads of a core stay together, unless there are more engines than cores.
    """
    parts = [list(cpus) for *_, cpus in cores]
    if engines > len(parts):
        threads = [[cpu] for part in parts for cpu in part]
        if engines > len(threads):
            core = index * len(parts) // engines
            # Those whose product with the number of cores falls on it.
            sharing = -(-(core + 1) * engines // len(parts)) + (-core * engines // len(parts))
            return parts[core], sharing
        parts = threads
    chosen = parts[index * len(parts) // engines : (index + 1) * len(parts) // engines]
    return [cpu for part in chosen for cpu in part], 1


def node(cores: list[Core], index: int, engines: int) -> tuple[list[int], int, int]:
    """The CPUs of the NUMA node of one of the engines of a host, how many engines have these, and the node's number.

    Engines are dealt out in blocks, so that a node has as many as it has cores among all.
    """

    def of(engine: int) -> int:
        return cores[engine * len(cores) // engines][3]

    number = of(index)
    cpus = [cpu for *_, own, part in cores if own == number for cpu in part]
    return cpus, sum(of(engine) == number for engine in range(engines)), number


def numbers(text: str) -> list[int]:
    """The numbers of the kernel's list ``0-3,8``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first:
            found += range(int(first), int(last or first) + 1)
    return found


def ranges(cpus: Iterable[int]) -> str:
    """As the kernel writes a list: ``0-3,8``."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1][1:] = [cpu]
        else:
            parts.append([cpu])
    return ",".join("-".join(map(str, part)) for part in parts)


def _list(files: list[Path]) -> list[int]:
    """What the first of these says that there is."""
    for file in files:
        try:
            return numbers(file.read_text())
        except (OSError, ValueError):
            continue
    return []
