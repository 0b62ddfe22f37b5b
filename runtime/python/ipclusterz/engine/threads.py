"""How many threads BLAS, OpenMP and the like use on this engine.

Each of these libraries takes all cores of its host, unless a variable of the environment says otherwise when it is
loaded. With an engine for each core, that is many threads a core.
"""

from __future__ import annotations

import os

from .._core import cores
from ..shared.ranks import local_size, started_by_srun
from ..shared.threads import OPENMP, VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from .options import Options

__all__ = ["cores_of_ranks", "set_threads", "share"]

# numexpr refuses more than it has room for.
_MOST = {"NUMEXPR_NUM_THREADS": "64"}
# Queues that set the variables in every job, to the cores of the whole job: a variable that their jobs have, and the
# one that has this number.
_QUEUES = {"PBS_JOBID": "NCPUS", "_CONDOR_SLOT": "CUBACORES"}
_SHELLS = ("sh", "bash", "dash")


def set_threads(options: Options, environment: MutableMapping[str, str], bound: int | None = None) -> None:
    """Set the variables that are not set, before anything is imported that reads them.

    `bound` is this engine's share of the cores that it has been bound to, if it has.
    """
    if options.threads == "unset":
        return
    _forget_queue(environment)
    # A list says how many threads there are within threads.
    count = environment.get(OPENMP, "").partition(",")[0].strip()
    if not count.isdecimal():
        count = str(bound or share(options, environment)) if options.threads == "share" else options.threads
    for name in VARIABLES:
        if not environment.get(name):
            environment[name] = min(count, _MOST.get(name, count), key=int)


def share(options: Options, environment: Mapping[str, str]) -> int:
    """This engine's share of the cores of its host."""
    own = cores()
    if options.ranks is None:
        return max(1, own // options.host_engines)
    # What starts ranks may have bound each to cores of its own: these are not shared any more.
    return min(own, max(1, cores_of_ranks(environment) // max(1, local_size(environment))))


def cores_of_ranks(environment: Mapping[str, str]) -> int:
    """The cores that the ranks of this host have together: more than this process's own where it is bound."""
    return _cores_of_step(environment) or cores(_starter()) or cores()


def _cores_of_step(environment: Mapping[str, str]) -> int | None:
    """The cores on this host of the step of Slurm that srun started this rank in."""
    if not started_by_srun(environment):
        return None
    each = environment.get("SLURM_CPUS_PER_TASK", "")
    if each.isdecimal():
        return int(each) * local_size(environment)
    here = environment.get("SLURM_CPUS_ON_NODE", "")
    return int(here) if here.isdecimal() else None


def _starter() -> int:
    """Pid of what started this rank. A shell between them is bound as the rank is."""
    pid = os.getppid()
    try:
        while pid > 0:
            with open(f"/proc/{pid}/stat") as file:
                name, _, rest = file.read().rpartition(")")
            if name.partition("(")[2] not in _SHELLS:
                break
            pid = int(rest.split()[1])
    except OSError:
        # Processes of others may be hidden.
        pass
    return pid


def _forget_queue(environment: MutableMapping[str, str]) -> None:
    """Remove what nobody has chosen."""
    for inside, cores_of_job in _QUEUES.items():
        number = environment.get(cores_of_job)
        if inside in environment and number:
            for name in VARIABLES:
                if environment.get(name) == number:
                    del environment[name]
