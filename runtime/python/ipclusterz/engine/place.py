"""An engine's place on its host: the cores that it is bound to, the GPUs that it sees, the memory that it may have.

Taken before anything starts threads or is imported that looks at GPUs. Which engine of its host this is, is told by the
launcher (``--host-index``), or by what starts ranks.
"""

from __future__ import annotations

import os

from .._core import cores, prefer_memory_of
from ..shared.ranks import local_rank, local_size
from .threads import cores_of_ranks
from .words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from .options import Options

__all__ = ["take_place"]

_UNITS = "KMGTP"


def take_place(options: Options, environment: MutableMapping[str, str]) -> int | None:
    """Bind this process, set the variables for its GPUs, and limit its memory, as far as it was told to.

    Returns
    -------
    int or None
        How many threads are its share of the cores that it is bound to. None: it is bound to none here.
    """
    if options.bind is None and options.gpus is None and options.memory is None:
        return None
    threads, said = None, []
    seat = _seat(options, environment)
    if seat is None:
        if options.bind or options.gpus:
            say("nothing says which rank of this host this is: it has no cores or GPUs of its own\n")
    else:
        if options.bind is not None:
            threads, words = _bind(options, environment, *seat)
            said.append(words)
        if options.gpus is not None:
            # Imported where it is used: other engines need not wait for it.
            from .gpus import choose

            said.append(choose(options.gpus, environment, *seat))
    if options.memory is not None:
        said.append(_limit(options.memory, options.confined))
    if said:
        say(f"{', '.join(said)}\n")
    return threads


def _seat(options: Options, environment: MutableMapping[str, str]) -> tuple[int, int] | None:
    """Which engine of its host this is, and how many there are."""
    if options.ranks is None:
        # An engine more than was said at first shares with the others.
        return options.host_index % options.host_engines, options.host_engines
    if options.ranks == 1:
        return 0, 1
    own = local_rank(environment)
    return None if own is None else (own, max(own + 1, local_size(environment)))


def _bind(options: Options, environment: MutableMapping[str, str], index: int, engines: int) -> tuple[int | None, str]:
    # Imported where it is used: other engines need not wait for it.
    from . import topology

    allowed, usable = os.sched_getaffinity(0), cores()
    if options.ranks is not None and usable < cores_of_ranks(environment):
        return None, f"cores {topology.ranges(allowed)} (bound before)"
    ordered = topology.read(allowed)
    number = -1
    if options.bind == "numa":
        cpus, sharing, number = topology.node(ordered, index, engines)
    else:
        cpus, sharing = topology.block(ordered, index, engines)
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:
        return None, f"cores {topology.ranges(allowed)} (cannot be bound to {topology.ranges(cpus)}: {error.strerror})"
    if number >= 0:
        prefer_memory_of(number)
    words = f"cores {topology.ranges(cpus)}" + (f" (shared by {sharing} engines)" if sharing > 1 else "")
    # A quota of the host's engines together may be less than their cores.
    quota = usable // engines if usable < len(allowed) else len(cpus)
    return max(1, min(len(cpus) // sharing, quota)), words


def _limit(size: str, confined: bool) -> str:
    """Limit the memory of this process, and of each that it starts, unless a cgroup of its own does."""
    if confined:
        return f"memory {size}"
    import resource

    # Not of all its addresses: of those that can be written to and are its own. Linux before 4.7 counts the heap alone.
    old = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2]) < (4, 7)
    kind = resource.RLIMIT_AS if old else resource.RLIMIT_DATA
    wanted, most = size_of(size), resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY and most < wanted:
        return f"memory {size} (less by its limits: {most} bytes)"
    resource.setrlimit(kind, (wanted, wanted))
    return f"memory {size}"


def size_of(text: str) -> int:
    """The bytes of a size: ``4G``, ``1.5GiB``.

    Raises
    ------
    ValueError
        When it is none.
    """
    number = text.upper().removesuffix("B").removesuffix("I")
    digits, unit = number[:-1], number[-1:]
    if not unit or unit not in _UNITS or not digits.replace(".", "", 1).isdecimal():
        raise ValueError(f"{text!r} is not a size such as 4G")
    return int(float(digits) * 1024 ** (_UNITS.index(unit) + 1))
