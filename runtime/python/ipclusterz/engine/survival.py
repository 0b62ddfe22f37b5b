"""What a rank does at its start so that the others can go on when it is killed: `--on-rank-loss shrink`.

Slurm's PMIx plugin kills a whole step, whatever `--kill-on-bad-exit` says, as soon as a rank's connection with its
slurmstepd breaks and the rank has not taken leave (`_errhandler` in pmixp_client_v2.c). The kernel closes a connection
with the last process that has it open. So a small shell beside each rank has it open too, as long as the step is there.
"""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["hold_connection", "servers"]

# The versions of PMIx have one each; all name the same server.
_SERVERS = "PMIX_SERVER_URI"
# Ends with slurmstepd, and not with the engine.
_HOLDER = 'while [ -d "/proc/$1" ]; do sleep 1; done'


def hold_connection(environment: Mapping[str, str], step: int) -> int | None:
    """Keep this process's connections with the PMIx server of a step of Slurm open beyond its own end.

    Call it once MPI has been started; elsewhere than in a step that speaks PMIx nothing is done.

    Parameters
    ----------
    environment
        Of this process.
    step
        Pid of slurmstepd, the parent of a rank.

    Returns
    -------
    int or None
        Pid of the process that has them open now.
    """
    if "SLURM_STEP_ID" not in environment:
        return None
    known = servers(environment)
    held = [descriptor for descriptor in _descriptors() if _peer(descriptor) in known] if known else []
    if not held:
        return None
    null = os.open(os.devnull, os.O_RDWR)
    # What is not named is closed: Python opens everything so that a new program does not get it.
    moves = [(os.POSIX_SPAWN_DUP2, null, standard) for standard in range(3)]
    # Onto themselves, which has them inherited.
    moves += [(os.POSIX_SPAWN_DUP2, descriptor, descriptor) for descriptor in held]
    try:
        return os.posix_spawn(
            "/bin/sh", ["sh", "-c", _HOLDER, "ipclusterz-pmix", str(step)], environment, file_actions=moves, setsid=True
        )
    finally:
        os.close(null)


def servers(environment: Mapping[str, str]) -> set[tuple[str, int]]:
    """Addresses of PMIx servers that the environment names, such as `slurm.pmix.7.0.0;tcp4://127.0.0.1:40123`."""
    found = set()
    for name, value in environment.items():
        host, colon, port = value.rpartition("//")[2].partition(":")
        if name.startswith(_SERVERS) and ";tcp4://" in value and colon and port.isdecimal():
            found.add((host, int(port)))
    return found


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _peer(descriptor: int) -> tuple[str, int] | None:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            peer = connection.getpeername()
    except OSError:
        return None
    return peer if isinstance(peer, tuple) and len(peer) == 2 else None
