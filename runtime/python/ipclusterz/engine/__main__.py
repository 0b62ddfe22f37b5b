"""``python -m ipclusterz.engine --connection-file FILE [--engine-id N]``: the program of an engine.

Imports no more than the loop needs: start-up is what a user waits for. The options are described in `options`.
"""

from __future__ import annotations

import faulthandler
import os
import sys

# The C module: `signal` itself imports enum, for names that are not needed here.
from _signal import (  # type: ignore[import-not-found]
    ITIMER_REAL,
    SIG_DFL,
    SIGALRM,
    SIGINT,
    SIGRTMIN,
    SIGUSR1,
    setitimer,
    signal,
)

from .options import USAGE, read
from .words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .._core import Engine
    from ..shared.namespace import Namespace
    from .loop import Loop
    from .options import Options
    from .state import State


# Python 3.11 and later leave the folder out at once when they are told so.
_SAFE_PATH = "PYTHONSAFEPATH"
# Begins the names of variables with what an engine runs first.
_STARTUP = "IPCLUSTERZ_STARTUP_"
# One that nobody else uses.
_STACK_SIGNAL = SIGRTMIN + 7
PRELOAD_HINT = "each is a module of the engines' Python: engines.preload of the profile"
STARTUP_HINT = "it runs on each engine before that registers; its traceback stands above, in the engine's log"
# Seconds after `end_timeout` until the kernel ends a process that nobody else has ended. MPI may take them.
_LAST_WORDS = 8
# When so much of `end_timeout` is over, the log tells where the threads are.
_NEARLY = 0.8


def working_folder_last() -> None:
    """Keep what lies in the working folder from taking the place of a module that is installed.

    ``python -m`` puts the folder first, where a user's ``random.py`` would be everybody's. It stays importable.
    """
    if os.environ.get(_SAFE_PATH) == "ipclusterz":
        # The launcher set it. Programs that user code starts have their own folders first.
        del os.environ[_SAFE_PATH]
    try:
        folder = os.getcwd()
    except OSError:
        # It was removed.
        return
    if not getattr(sys.flags, "safe_path", False) and sys.path and sys.path[0] in ("", folder):
        del sys.path[0]
    if folder not in sys.path:
        sys.path.append(folder)


def open_streams() -> None:
    """Have descriptors 0 to 2 open: what is opened next must not be taken for standard output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for as long as the process runs
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def fail(message: str, hint: str) -> NoReturn:
    """Say why this engine cannot run, and end with status 1."""
    say(f"error: {message}\n" + (f"hint: {hint}\n" if hint else ""))
    raise SystemExit(1)


def place(options: Options) -> tuple[int | None, dict[str, Any]]:
    """The id to ask for, once it is sure that this process is the one that was meant; and what is said of its world."""
    if options.ranks is None and options.first_engine_id is None:
        return options.engine_id, {}
    # Only what mpiexec or srun started needs these.
    from ..shared.ranks import rank
    from . import world

    told: dict[str, Any] = {}
    if options.ranks is not None:
        world.check_ranks(os.environ, options.ranks)
        here = world.check_world(os.environ, options.ranks) if options.check_world else None
        if here is not None:
            from ..mpi import for_engine

            told["world"] = (*here, options.on_rank_loss == "shrink")
            told["mpi"] = for_engine.addresses()
        if options.check_world and options.on_rank_loss == "shrink":
            from .survival import hold_connection

            hold_connection(os.environ, os.getppid())
    if options.first_engine_id is None:
        return options.engine_id, told
    return options.first_engine_id + rank(os.environ), told


def tell_stacks() -> tuple[int, int]:
    """Have a signal write the main thread's stack to a file, for those who ask what this engine is doing."""
    file = os.memfd_create("stack")
    faulthandler.register(_STACK_SIGNAL, file, all_threads=False)
    return _STACK_SIGNAL, file


def load(options: Options) -> None:
    """Import what engines are to have from their start on; a fork has it already."""
    from .preload import PreloadError, preload

    try:
        preload(options)
    except PreloadError as error:
        fail(f"engines.preload: {error}", PRELOAD_HINT)


def start_up(namespace: Namespace) -> None:
    """Run what the user wants to have run before this engine takes work."""
    if not any(name.startswith(_STARTUP) for name in os.environ):
        return
    from .startup import StartupError, run, wanted

    try:
        run(wanted(os.environ), namespace)
    except StartupError as error:
        fail(str(error), STARTUP_HINT)


def for_own_clients(connection_file: str, core: Engine, loop: Loop, state: State) -> None:
    """Have clients in tasks, and in the processes that these start, go to this engine's cluster."""
    from ..shared.own import ENGINE_FILE, is_here
    from .here import Here

    # What the launcher was started with was meant for the launcher.
    os.environ["IPCLUSTERZ_CLUSTER"] = core.cluster
    os.environ[ENGINE_FILE] = os.path.abspath(connection_file)
    is_here(Here(core, loop.calls, state))


def end_soon(timeout: float) -> None:
    """Have this process end in time, whatever functions of atexit, threads and the interpreter do at the end."""
    if sys.__stderr__ is not None and timeout > 0:
        faulthandler.dump_traceback_later(_NEARLY * timeout, file=sys.__stderr__)
    # The interpreter ends MPI, if there is any, and that waits for ever for ranks that cannot be reached any more.
    signal(SIGALRM, SIG_DFL)
    setitimer(ITIMER_REAL, timeout + _LAST_WORDS)


def main(arguments: list[str]) -> None:
    """Register with the controller and serve until told to stop."""
    if "-h" in arguments or "--help" in arguments:
        print(USAGE)
        return
    # Before anything is imported that has a file; what is imported above has none, or is ours.
    working_folder_last()
    open_streams()
    try:
        options = read(arguments, os.environ)
    except ValueError as error:
        fail(str(error), "python -m ipclusterz.engine --help lists the options")
    if sys.stderr is not None:
        # A fault in C code of the user's leaves its Python traceback in the engine's log.
        faulthandler.enable()
    if options.fork_orders is not None:
        from .forkserver import serve

        options = serve(options)
    elif options.fork_ids:
        from .forkhost import serve

        options = serve(options)
    elif options.engines is not None or options.again is not None:
        options = parent(options)
    try:
        engine(options)
    finally:
        # Also of one that could not register: MPI has begun by then.
        end_soon(options.end_timeout)


def parent(options: Options) -> Options:
    """Be the parent of engines. Returns in those that it forks, with their options."""
    from .parent import run
    from .preload import PreloadError

    try:
        ended = run(options)
    except PreloadError as error:
        fail(f"engines.preload: {error}", PRELOAD_HINT)
    except ValueError as error:
        fail(str(error), "")
    if isinstance(ended, int):
        raise SystemExit(ended)
    return ended


def engine(options: Options) -> None:
    """Be an engine."""
    # All that is needed later is imported now: an engine whose Python is broken must not register first.
    from ..error import IpclusterzError
    from ..shared.namespace import Namespace
    from .ending import Ending
    from .loop import Loop
    from .place import take_place
    from .resources import Resources
    from .state import State
    from .streams import install
    from .threads import set_threads

    agent = None
    state = State(os.path.dirname(os.path.abspath(options.connection_file)))
    ending = Ending(options.end_time, options.warn_before)
    signal(SIGINT, state.on_interrupt)
    signal(SIGUSR1, ending.on_warning)
    try:
        from .._core import Engine, end_with_parent

        if options.parent is not None and not end_with_parent(options.parent):
            fail(f"process {options.parent}, which started this engine, has ended", "")
        if options.with_agent and options.agent is None:
            from .agent import of_this_host

            agent = of_this_host(options)
        set_threads(options, os.environ, take_place(options, os.environ))
        resources = Resources(options, os.environ)
        if options.preload:
            load(options)
        if agent is not None:
            agent.wait()
        engine_id, told = place(options)
        # The namespace becomes `__main__`. This module stays reachable under its own name: its globals are the loop's.
        sys.modules.setdefault("ipclusterz.engine.__main__", sys.modules["__main__"])
        namespace = Namespace(-1 if engine_id is None else engine_id)
        start_up(namespace)
        core = Engine(
            options.connection_file,
            engine_id,
            options.timeout,
            lease=options.lease,
            end_timeout=options.end_timeout,
            end_time=options.end_time,
            warn_before=options.warn_before,
            drain_before=options.drain_before,
            stack=tell_stacks(),
            group=options.group,
            agent=options.agent_place(),
            offers=resources.told,
            capture=not options.own_output,
            **told,
        )
    except IpclusterzError as error:
        fail(f"this engine could not register: {error.message}", error.hint)
    except ImportError as error:
        fail(f"the extension module cannot be loaded: {error}", "reinstall ipclusterz for this Python")
    except (OSError, ValueError) as error:
        fail(f"this engine could not register: {error}", "")
    if agent is not None:
        # From here on it is held by this engine's connections.
        agent.leave()
    say(f"engine {core.id}: pid {os.getpid()}, registered at {core.address}\n")
    ending.engine_id = core.id
    if "mpi" in told:
        from ..mpi import for_engine

        for_engine.attach(core)
    os.register_at_fork(after_in_child=state.after_fork)
    install(core, state)
    namespace.engine_id = core.id
    loop = Loop(core, namespace, state, resources)
    for_own_clients(options.connection_file, core, loop, state)
    loop.run()


if __name__ == "__main__":
    main(sys.argv[1:])
