"""The command line of an engine, read by hand: `argparse` alone would take longer than the engine's whole start.

What the options mean is said in `USAGE`; who acts on them is `__main__`, `parent` and `world`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["BIND", "END_TIME", "ON_RANK_LOSS", "PROGRAM", "THREADS", "USAGE", "Options", "read"]

PROGRAM = "ipclusterz.engine"
"""What `python -m` runs."""

END_TIME = "IPCLUSTERZ_END_TIME"
"""Variable of the environment for `--end-time`: job scripts know it before they start anything."""

USAGE = f"""\
usage: python -m ipclusterz.engine --connection-file FILE [options]

  --connection-file FILE  engine.json of a cluster
  --engine-id N           the id to ask for
  --first-engine-id N     ask for N plus this process's rank, as mpiexec or srun tell it;
                          with --engines for N, N + 1, ...
  --engines K             be the parent of K engines: pass SIGTERM, SIGINT and SIGUSR1 on to
                          them, say how each ended, end with the last of them
  --again FILE            be the parent of the engine, or of the K, and start one that dies
                          again when a line of FILE says so: engine 3: why
  --fork                  with --engines or --again: import once, and fork the engines
  --preload NAMES         modules to import at the start, as numpy,scipy.linalg
  --with-agent            start what the engines of this host share to reach a controller on
                          another one, if it is on one
  --own-output            what programs and libraries write goes to the log alone, not to
                          the client of the task that runs
  --group NAME            the group of the profile's that this is of, for people
  --ranks N               this must be one of N ranks
  --check-world           with --ranks: MPI, too, must say so; it is started through mpi4py,
                          if that is installed
  --on-rank-loss POLICY   with --check-world, when another rank is lost: "restart" (all end and
                          are started anew), "shrink" (the others go on), "stop" (restart)
  --timeout SECONDS       to register in (30)
  --threads COUNT         of BLAS, OpenMP and the like, where the environment does not say:
                          a number, "share" (of the cores of this host; the default) or "unset"
  --host-engines N        so many engines share the host; ranks know that themselves (1)
  --host-index N          which of them this is, from 0 on; ranks know that themselves (0)
  --bind KIND             to cores of its own: "core" (a block of them) or "numa" (a NUMA node's)
  --gpus GPUS             to see its part of: "auto" (those of this host), or ids: 0,1
  --memory SIZE           at most so much, such as 4G
  --resources AMOUNTS     what it offers to tasks: gpus=2,licence=1
  --tags NAMES            what it is called besides: bigmem,fast
  --confined              with --memory: a cgroup limits it, whose processes are counted together
  --lease SECONDS         to go on for without a controller, if that is on another host (60)
  --end-timeout SECONDS   for what runs at the end, functions of atexit for one, before it is
                          killed (2)
  --end-time SECONDS      since 1970: when this process will be ended from outside
                          (environment: {END_TIME})
  --warn-before SECONDS   before that: call what ipclusterz.before_end took (60)
  --drain-before SECONDS  before that: take no load-balanced work of unstated duration (120)"""

ON_RANK_LOSS = ("restart", "shrink", "stop")
"""What may become of the other ranks."""

THREADS = ("share", "unset")
"""What may stand for a number of threads."""

BIND = ("core", "numa")
"""What an engine may be bound to."""

_VALUES = {
    "--connection-file": str,
    "--again": str,
    "--on-rank-loss": str,
    "--threads": str,
    "--group": str,
    "--bind": str,
    "--gpus": str,
    "--memory": str,
    "--resources": str,
    "--tags": str,
    "--preload": str,
    "--engine-id": int,
    "--first-engine-id": int,
    "--engines": int,
    "--ranks": int,
    "--host-engines": int,
    "--host-index": int,
    "--timeout": float,
    "--lease": float,
    "--end-timeout": float,
    "--end-time": float,
    "--warn-before": float,
    "--drain-before": float,
    # Given by a parent of several engines to each of them: end when that process ends.
    "--parent": int,
    # Given by the launcher: the descriptor through which it orders forks.
    "--fork-orders": int,
    # Given by the script of a launcher on another host: engines with these ids and seats, the folder that has their
    # files, and what a shell does when the last has ended.
    "--fork-ids": str,
    "--fork-seats": str,
    "--fork-folder": str,
    "--fork-end": str,
    # Given by a parent of several engines to each of them: the agent that they share, its socket and its segments.
    "--agent": str,
    "--agent-segments": str,
}
_FLAGS = ("--check-world", "--confined", "--fork", "--own-output", "--with-agent")
_NOT_WITH_ENGINES = ("--engine-id", "--ranks", "--check-world", "--on-rank-loss")


class Options:
    """What was asked for.

    Attributes
    ----------
    connection_file : str
        Of the cluster.
    again : str or None
        The file in which the launcher says which engines to start again.
    engine_id, first_engine_id, engines, ranks, parent, fork_orders : int or None
        As given.
    fork_ids, fork_seats : str
        Of engines that are forked here for a launcher on another host, separated by commas: ids, and which engine of
        the host each is.
    fork_folder, fork_end : str or None
        Where their files are, and what a shell does when the last has ended.
    with_agent : bool
        They share an agent, if the controller is on another host.
    agent, agent_segments : str or None
        Where it is: its socket, and its folder of segments.
    fork : bool
        Engines of this parent are forked.
    preload : str
        The modules to import at the start, separated by commas.
    group : str or None
        The group of the profile's that it is of.
    threads : str
        A number, or one of `THREADS`.
    host_engines, host_index : int
        How many engines share the host, where they are not ranks, and which of them this is.
    bind : str or None
        The kind of its cores: one of `BIND`.
    gpus, memory : str or None
        As given.
    confined : bool
        A cgroup limits its memory.
    resources, tags : str
        What it offers to tasks, separated by commas: amounts by name, and names.
    own_output : bool
        What programs and libraries write goes to the log alone.
    check_world : bool
        MPI itself is to be asked.
    on_rank_loss : str
        What becomes of this rank when another is lost: one of `ON_RANK_LOSS`.
    timeout, lease, end_timeout, warn_before, drain_before : float
        Seconds.
    end_time : float or None
        Seconds since 1970.
    """

    __slots__ = (
        "again",
        "agent",
        "agent_segments",
        "bind",
        "check_world",
        "confined",
        "connection_file",
        "drain_before",
        "end_time",
        "end_timeout",
        "engine_id",
        "engines",
        "first_engine_id",
        "fork",
        "fork_end",
        "fork_folder",
        "fork_ids",
        "fork_orders",
        "fork_seats",
        "gpus",
        "group",
        "host_engines",
        "host_index",
        "lease",
        "memory",
        "on_rank_loss",
        "own_output",
        "parent",
        "preload",
        "ranks",
        "resources",
        "tags",
        "threads",
        "timeout",
        "warn_before",
        "with_agent",
    )

    def __init__(self) -> None:
        self.connection_file = ""
        self.again: str | None = None
        self.engine_id: int | None = None
        self.first_engine_id: int | None = None
        self.engines: int | None = None
        self.ranks: int | None = None
        self.parent: int | None = None
        self.fork_orders: int | None = None
        self.fork_ids = ""
        self.fork_seats = ""
        self.fork_folder: str | None = None
        self.fork_end: str | None = None
        self.fork = False
        self.with_agent = False
        self.agent: str | None = None
        self.agent_segments: str | None = None
        self.preload = ""
        self.check_world = False
        self.on_rank_loss = "restart"
        self.group: str | None = None
        self.threads = "share"
        self.host_engines = 1
        self.host_index = 0
        self.bind: str | None = None
        self.gpus: str | None = None
        self.memory: str | None = None
        self.confined = False
        self.resources = ""
        self.tags = ""
        self.own_output = False
        self.timeout = 30.0
        self.lease = 60.0
        self.end_timeout = 2.0
        self.end_time: float | None = None
        self.warn_before = 60.0
        self.drain_before = 120.0

    def arguments(self, index: int, parent: int) -> list[str]:
        """The command line of an engine of this parent; the environment is inherited."""
        arguments = ["--connection-file", self.connection_file, "--parent", str(parent), "--threads", self.threads]
        names = ["timeout", "lease", "end_timeout", "end_time", "warn_before", "drain_before"]
        if self.engines is None:
            names += ["engine_id", "first_engine_id", "ranks", "host_engines", "host_index"]
        else:
            arguments += ["--host-engines", str(self.engines), "--host-index", str(index)]
            if self.first_engine_id is not None:
                arguments += ["--engine-id", str(self.first_engine_id + index)]
        for name in ("group", "bind", "gpus", "memory", "resources", "tags", "preload", "agent", "agent_segments"):
            value = getattr(self, name)
            if value:
                arguments += [f"--{name.replace('_', '-')}", value]
        if self.confined:
            arguments.append("--confined")
        if self.own_output:
            arguments.append("--own-output")
        if self.with_agent and self.ranks is not None:
            # One that is started again may find that there is none any more.
            arguments.append("--with-agent")
        for name in names:
            value = getattr(self, name)
            if value is not None:
                arguments += [f"--{name.replace('_', '-')}", repr(value)]
        return arguments

    def agent_place(self) -> tuple[str, str] | None:
        """Where the agent of this host is, if there is one: its socket, and its folder of segments."""
        return (self.agent, self.agent_segments) if self.agent and self.agent_segments else None

    def name(self, index: int, environment: Mapping[str, str]) -> str:
        """What to call an engine of this parent: ``engine 3``.

        Raises
        ------
        ValueError
            When its id follows from a rank, and the environment gives none.
        """
        if self.engine_id is not None:
            return f"engine {self.engine_id}"
        if self.first_engine_id is None:
            return f"engine {index} of {self.engines or 1}"
        if self.engines is None:
            from ..shared.ranks import rank

            index = rank(environment)
        return f"engine {self.first_engine_id + index}"


def read(arguments: list[str], environment: Mapping[str, str]) -> Options:
    """Read a command line.

    Raises
    ------
    ValueError
        When an option is unknown, has no value or a bad one, is missing, or contradicts another; the text says which.
    """
    options = Options()
    given = set()
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        attribute = name[2:].replace("-", "_")
        if name in _FLAGS and not equals:
            setattr(options, attribute, True)
        elif name in _VALUES:
            value = value if equals else next(rest, "")
            setattr(options, attribute, _value(name, value))
        else:
            raise ValueError(f"unknown option {argument!r}")
        given.add(name)
    if not options.connection_file:
        raise ValueError("--connection-file is needed")
    if "--end-time" not in given and environment.get(END_TIME):
        options.end_time = float(_value(END_TIME, environment[END_TIME]))
    if "--engine-id" in given and "--first-engine-id" in given:
        raise ValueError("--engine-id is one engine's, --first-engine-id that of several: give one of them")
    if options.check_world and options.ranks is None:
        raise ValueError("--check-world needs --ranks: how many there must be")
    if options.engines is not None:
        for other in _NOT_WITH_ENGINES:
            if other in given:
                raise ValueError(f"{other} is for one engine, and --engines starts several")
    return options


def _value(name: str, text: str) -> str | int | float:
    if not text:
        raise ValueError(f"{name} needs a value")
    if name == "--on-rank-loss" and text not in ON_RANK_LOSS:
        raise ValueError(f"{name} must be {', '.join(ON_RANK_LOSS[:-1])} or {ON_RANK_LOSS[-1]}, not {text!r}")
    if name == "--threads" and text not in THREADS and not (text.isdecimal() and int(text) > 0):
        raise ValueError(f"{name} must be a number above 0, {' or '.join(THREADS)}, not {text!r}")
    if name == "--bind" and text not in BIND:
        raise ValueError(f"{name} must be {' or '.join(BIND)}, not {text!r}")
    kind = _VALUES.get(name, float)
    value: Any
    try:
        value = kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number of seconds"
        raise ValueError(f"{name} needs {wanted}, not {text!r}") from None
    least = 1 if name in ("--engines", "--ranks", "--parent", "--host-engines") else 0
    # Written so that a NaN is refused too.
    if kind is not str and not least <= value < float("inf"):
        raise ValueError(f"{name} must be {least} or more, not {text}")
    checked: str | int | float = value
    return checked
