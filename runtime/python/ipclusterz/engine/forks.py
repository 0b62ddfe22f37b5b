"""How an engine is forked: what its parent imports before, and what a fork does to become an engine.

A fork shares the memory of its parent until it writes to it, so it costs milliseconds and a few megabytes. Nothing but
the forking thread is in it: its parent has no other, and no connection.
"""

from __future__ import annotations

import gc
import os
import sys

# Some are for engines alone: what these need until they serve.
from ..shared import dependency as dependency
from ..shared import own as own
from ..shared.threads import VARIABLES
from . import ending as ending
from . import here as here
from . import loop as loop
from . import streams as streams
from .options import PROGRAM, read
from .preload import flush, preload_for_forks
from .threads import set_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Options

__all__ = ["Forks"]

# Of /proc/PID/stat, counted behind the name: when it started, and where its command line begins and ends.
_START, _ARGUMENTS, _ARGUMENTS_END = 19, 45, 46


class Forks:
    """Makes engines of forks of this process, which is made ready for that.

    Parameters
    ----------
    options : Options
        Of the parent: what is imported, and how many threads libraries get that are imported.

    Raises
    ------
    PreloadError
        When a module cannot be imported, or has started threads.
    """

    def __init__(self, options: Options) -> None:
        self._pid = os.getpid()
        before = {name: os.environ.get(name) for name in VARIABLES}
        set_threads(options, os.environ)
        self._threads = {name: before[name] for name in VARIABLES if os.environ.get(name) != before[name]}
        preload_for_forks(options)
        # The collector writes to what it looks at, which then would be shared no more.
        gc.freeze()

    def fork(self) -> tuple[int, int]:
        """Fork: pid and time of start of the new process as /proc tells it; 0 in that process.

        The process leads a group of its own: an engine that is ended takes with it what user code has started, and
        nothing else.
        """
        flush()
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            return 0, 0
        try:  # noqa: SIM105 - contextlib is not imported for this alone
            # In both: whoever comes first.
            os.setpgid(pid, pid)
        except OSError:
            # It has ended.
            pass
        return pid, int(_stat(pid)[_START])

    def become(self, arguments: list[str], log: str | None = None) -> Options:
        """In a fork: be the engine with this command line, whose output goes to a file. Returns what it says."""
        if log is not None:
            # Nobody else can enter its folder.
            file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.dup2(file, 1)
            os.dup2(file, 2)
            os.close(file)
        for name, value in self._threads.items():
            # Its share may be another one than that of the first engines.
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        options = read(arguments, os.environ)
        options.parent = self._pid
        sys.argv[1:] = arguments
        original = getattr(sys, "orig_argv", [])
        if PROGRAM in original:
            original[original.index(PROGRAM) + 1 :] = arguments
        _show(arguments)
        # `random` does so by itself.
        seed = getattr(sys.modules.get("numpy.random"), "seed", None)
        if seed is not None:
            seed()
        return options


def _stat(pid: int | str) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2].split()


def _line(program: list[bytes], arguments: list[str]) -> bytes:
    return b"\0".join([*program, *map(os.fsencode, arguments), b""])


def _show(arguments: list[str]) -> None:
    """Have lists of processes show the engine's own command line, if there is room for it where the parent's was."""
    try:
        with open("/proc/self/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        program = words[: words.index(PROGRAM.encode()) + 1]
        stat = _stat("self")
        begin, end = int(stat[_ARGUMENTS]), int(stat[_ARGUMENTS_END])
        line = _line(program, arguments)
        if len(line) > end - begin and "--engine-id" in arguments:
            which = arguments.index("--engine-id")
            line = _line(program, arguments[which : which + 2])
        if len(line) <= end - begin:
            line = line.ljust(end - begin, b"\0")
            memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(memory, line, begin)
            finally:
                os.close(memory)
    except (OSError, ValueError, IndexError):
        # Only for those who look.
        pass
