"""Imports the modules of ``--preload``, which engines have from their start on.

What a fork does not have, other threads, must not be there when engines are forked: so a module that starts some is
refused, and named.
"""

from __future__ import annotations

import os
import sys

from ..shared.own import ENGINE_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Options

__all__ = ["PreloadError", "flush", "preload", "preload_for_forks"]


class PreloadError(Exception):
    """A module cannot be had from the start on; the text says which, and why."""


def preload(options: Options) -> None:
    """Import what engines are to have from their start on.

    Raises
    ------
    PreloadError
        When one cannot be imported. Its traceback is on standard error.
    """
    for name in _names(options):
        _import(name)


def preload_for_forks(options: Options) -> None:
    """The same, where forks are to have the modules.

    Raises
    ------
    PreloadError
        Also when a module starts threads.
    """
    for name in _names(options):
        _import(name)
        if _threads() > 1:
            # Those of OpenBLAS end before each fork, and are started again by whoever needs them.
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        count = _threads() - 1
        if count > 0:
            threads = "a thread" if count == 1 else f"{count} threads"
            raise PreloadError(f"{name} starts {threads}, which a fork does not have")


def flush() -> None:
    """Write what was printed, which each fork would write again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            # A module may have replaced or closed it.
            continue


def _names(options: Options) -> list[str]:
    # A module that starts a cluster when it is imported is refused, as on an engine: it would never end.
    os.environ[ENGINE_FILE] = os.path.abspath(options.connection_file)
    return [name for name in options.preload.split(",") if name]


def _import(name: str) -> None:
    try:
        __import__(name)
    except (Exception, SystemExit) as error:
        import traceback

        traceback.print_exc()
        said = str(error).strip().partition("\n")[0]
        raise PreloadError(f"{name} cannot be imported: {type(error).__name__}: {said}") from None
    finally:
        flush()


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))
