"""``python -m ipclusterz.engine --connection-file FILE [--engine-id N]``: the program of an engine.

Reads its two options by hand and imports no more than the loop needs: start-up is what a user waits for.
"""

from __future__ import annotations

import faulthandler
import os
import sys

# The C module: `signal` itself imports enum, for names that are not needed here.
from _signal import SIGINT, signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn
USAGE = "usage: python -m ipclusterz.engine --connection-file FILE [--engine-id N] [--timeout SECONDS]"

_TIMEOUT = 30.0


def options(arguments: list[str]) -> tuple[str, int | None, float]:
    """Connection file, wanted engine id and time to register from the command line.

    Raises
    ------
    ValueError
        When an option is unknown, has no value or is missing; the text says which.
    """
    known = {"--connection-file": "", "--engine-id": "", "--timeout": str(_TIMEOUT)}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name not in known:
            raise ValueError(f"unknown option {argument!r}")
        known[name] = value if equals else next(rest, "")
        if not known[name]:
            raise ValueError(f"{name} needs a value")
    if not known["--connection-file"]:
        raise ValueError("--connection-file is needed")
    wanted = known["--engine-id"]
    return known["--connection-file"], int(wanted) if wanted else None, float(known["--timeout"])


def fail(message: str, hint: str) -> NoReturn:
    """Say why this engine cannot run, and end with status 1."""
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    sys.stderr.flush()
    raise SystemExit(1)


def main(arguments: list[str]) -> None:
    """Register with the controller and serve until told to stop."""
    if "-h" in arguments or "--help" in arguments:
        print(USAGE)
        return
    try:
        connection_file, wanted, timeout = options(arguments)
    except ValueError as error:
        fail(str(error), USAGE)
    if sys.stderr is not None:
        # A fault in C code of the user's leaves its Python traceback in the engine's log.
        faulthandler.enable()
    # All that is needed later is imported now: an engine whose Python is broken must not register first.
    from ..error import IpclusterzError
    from .loop import Loop
    from .namespace import Namespace
    from .state import State
    from .streams import install

    state = State()
    signal(SIGINT, state.on_interrupt)
    try:
        from .. import _core

        core = _core.Engine(connection_file, wanted, timeout)
    except IpclusterzError as error:
        fail(f"this engine could not register: {error.message}", error.hint)
    except ImportError as error:
        fail(f"the extension module cannot be loaded: {error}", "reinstall ipclusterz for this Python")
    except (OSError, ValueError) as error:
        fail(f"this engine could not register: {error}", "")
    os.register_at_fork(after_in_child=state.after_fork)
    install(core, state)
    Loop(core, Namespace(core.id), state).run()


if __name__ == "__main__":
    main(sys.argv[1:])
