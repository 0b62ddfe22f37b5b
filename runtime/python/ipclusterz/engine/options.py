"""The command line of an engine, read by hand: `argparse` alone would take longer than the engine's whole start.

What the options mean is said in `USAGE`; who acts on them is `__main__`, `parent` and `world`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["END_TIME", "ON_RANK_LOSS", "THREADS", "USAGE", "Options", "read"]

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
  --ranks N               this must be one of N ranks
  --check-world           with --ranks: MPI, too, must say so; it is started through mpi4py,
                          if that is installed
  --on-rank-loss POLICY   with --check-world, when another rank is lost: "restart" (all end and
                          are started anew), "shrink" (the others go on), "stop" (restart)
  --timeout SECONDS       to register in (30)
  --threads COUNT         of BLAS, OpenMP and the like, where the environment does not say:
                          a number, "share" (of the cores of this host; the default) or "unset"
  --host-engines N        so many engines share the host; ranks know that themselves (1)
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

_VALUES = {
    "--connection-file": str,
    "--on-rank-loss": str,
    "--threads": str,
    "--engine-id": int,
    "--first-engine-id": int,
    "--engines": int,
    "--ranks": int,
    "--host-engines": int,
    "--timeout": float,
    "--lease": float,
    "--end-timeout": float,
    "--end-time": float,
    "--warn-before": float,
    "--drain-before": float,
    # Given by a parent of several engines to each of them: end when that process ends.
    "--parent": int,
}
_NOT_WITH_ENGINES = ("--engine-id", "--ranks", "--check-world", "--on-rank-loss")


class Options:
    """What was asked for.

    Attributes
    ----------
    connection_file : str
        Of the cluster.
    engine_id, first_engine_id, engines, ranks, parent : int or None
        As given.
    threads : str
        A number, or one of `THREADS`.
    host_engines : int
        How many engines share the host, where they are not ranks.
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
        "check_world",
        "connection_file",
        "drain_before",
        "end_time",
        "end_timeout",
        "engine_id",
        "engines",
        "first_engine_id",
        "host_engines",
        "lease",
        "on_rank_loss",
        "parent",
        "ranks",
        "threads",
        "timeout",
        "warn_before",
    )

    def __init__(self) -> None:
        self.connection_file = ""
        self.engine_id: int | None = None
        self.first_engine_id: int | None = None
        self.engines: int | None = None
        self.ranks: int | None = None
        self.parent: int | None = None
        self.check_world = False
        self.on_rank_loss = "restart"
        self.threads = "share"
        self.host_engines = 1
        self.timeout = 30.0
        self.lease = 60.0
        self.end_timeout = 2.0
        self.end_time: float | None = None
        self.warn_before = 60.0
        self.drain_before = 120.0

    def arguments(self, engine_id: int | None, parent: int) -> list[str]:
        """The command line of one of several engines; the environment is inherited."""
        arguments = ["--connection-file", self.connection_file, "--parent", str(parent), "--threads", self.threads]
        if self.engines is not None:
            arguments += ["--host-engines", str(self.engines)]
        if engine_id is not None:
            arguments += ["--engine-id", str(engine_id)]
        for name in ("timeout", "lease", "end_timeout", "end_time", "warn_before", "drain_before"):
            value = getattr(self, name)
            if value is not None:
                arguments += [f"--{name.replace('_', '-')}", repr(value)]
        return arguments


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
        if name == "--check-world" and not equals:
            options.check_world = True
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
