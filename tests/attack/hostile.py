"""What user code may do to the engine that runs it, by accident or on purpose. Each function is a task."""

from __future__ import annotations

import asyncio
import atexit
import builtins
import ctypes
import faulthandler
import gc
import locale
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

Kind = Callable[[], Any]

PASSING: list[Kind] = []
"""What ends the task alone, or cannot be returned."""
LASTING: list[Kind] = []
"""What stays in the process."""
DEADLY: dict[Kind, str] = {}
"""What ends the process, and how that is told."""


def passing(kind: Kind) -> Kind:
    PASSING.append(kind)
    return kind


def lasting(kind: Kind) -> Kind:
    LASTING.append(kind)
    return kind


def deadly(how: str) -> Callable[[Kind], Kind]:
    def enter(kind: Kind) -> Kind:
        DEADLY[kind] = how
        return kind

    return enter


# What ends the task alone.


@passing
def exit_of_the_interpreter() -> None:
    sys.exit(3)


@passing
def exit_in_a_thread() -> None:
    thread = threading.Thread(target=sys.exit, args=(3,))
    thread.start()
    thread.join()


class _Base(BaseException):
    pass


@passing
def an_exception_that_is_none() -> None:
    raise _Base("not an Exception")


@passing
def keyboard_interrupt() -> None:
    raise KeyboardInterrupt


@passing
def generator_exit() -> None:
    raise GeneratorExit


@passing
def recursion() -> None:
    recursion()


@passing
def a_message_of_20_megabytes() -> None:
    raise ValueError("x" * 20_000_000)


class _Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@passing
def an_exception_that_cannot_be_shown() -> None:
    raise _Wordless


class _Unsendable(Exception):
    def __reduce__(self) -> NoReturn:
        raise RuntimeError("not to be sent")


@passing
def an_exception_that_cannot_be_sent() -> None:
    raise _Unsendable(threading.Lock())


class _Particular(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__("one argument")


@passing
def an_exception_that_cannot_be_made_again() -> None:
    raise _Particular(1, 2)


@passing
def exceptions_in_a_circle() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    first.__context__, second.__context__ = second, first
    raise first


@passing
def a_chain_of_5000_exceptions() -> None:
    error = ValueError("first")
    for number in range(5000):
        following = ValueError(number)
        following.__cause__ = error
        error = following
    raise error


@passing
def groups_within_groups() -> None:
    error: Exception = ValueError("inmost")
    for _ in range(200):
        error = ExceptionGroup("group", [error, ValueError("beside it")])
    raise error


@passing
def memory_that_is_not_there() -> None:
    bytearray(1 << 60)


@passing
def an_interrupt_of_itself() -> None:
    signal.raise_signal(signal.SIGINT)
    time.sleep(5)


# What cannot be returned.


class _Refuses:
    def __init__(self, error: type[BaseException] = RuntimeError) -> None:
        self.error = error

    def __reduce__(self) -> NoReturn:
        raise self.error("not to be sent")


@passing
def a_lock() -> Any:
    return threading.Lock()


@passing
def a_generator() -> Any:
    return (number for number in range(3))


@passing
def a_frame() -> Any:
    return sys._getframe()


@passing
def what_refuses_to_be_sent() -> Any:
    return _Refuses()


@passing
def what_exits_when_it_is_sent() -> Any:
    return _Refuses(SystemExit)


@passing
def what_interrupts_when_it_is_sent() -> Any:
    return _Refuses(KeyboardInterrupt)


class _Junk:
    def __reduce_ex__(self, protocol: Any) -> Any:
        return (1, 2, 3, 4, 5, 6, 7)


@passing
def what_is_sent_as_junk() -> Any:
    return _Junk()


class _Bad:
    def __reduce__(self) -> Any:
        return int, ("no number",)


@passing
def what_cannot_be_received() -> Any:
    return _Bad()


@passing
def a_list_within_a_list_100000_deep() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


class _Liar:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no class")

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "_")


@passing
def what_has_no_class_and_all_attributes() -> Any:
    return _Liar()


class _Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        return -1


@passing
def what_has_no_repr_equality_hash_truth_or_length() -> Any:
    return _Odd()


class _Dying:
    def __del__(self) -> None:
        raise RuntimeError("in a finalizer")


@passing
def finalizers_that_raise() -> Any:
    for _ in range(100):
        _Dying()
    return _Dying()


class _Leaving:
    def __del__(self) -> None:
        sys.exit(3)


@passing
def finalizers_that_exit() -> None:
    for _ in range(100):
        _Leaving()


# What stays in the process.


@lasting
def closed_standard_descriptors() -> None:
    for descriptor in (0, 1, 2):
        os.close(descriptor)


@lasting
def closed_standard_streams() -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.close()


@lasting
def no_standard_streams() -> None:
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]
    print("to nobody")


@lasting
def a_working_folder_that_is_gone() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


@lasting
def a_umask_that_forbids_all() -> None:
    os.umask(0o777)


@lasting
def no_environment() -> None:
    os.environ.clear()
    os.environ.update({"PATH": "\udcff", "HOME": "/nonexistent"})


@lasting
def another_time_zone() -> None:
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()


@lasting
def another_locale() -> None:
    locale.setlocale(locale.LC_ALL, "C")
    os.environ.update({"LC_ALL": "C", "LANG": "nowhere"})


@lasting
def no_garbage_collection() -> None:
    gc.disable()
    gc.set_threshold(0)


@lasting
def frozen_garbage() -> None:
    gc.freeze()
    gc.set_debug(gc.DEBUG_STATS)


@lasting
def an_alarm_that_raises() -> None:
    def ring(*_: object) -> None:
        raise TimeoutError("rung")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(1)


@lasting
def an_alarm_that_rings_when_the_task_is_over() -> None:
    def ring(*_: object) -> None:
        raise TimeoutError("rung late")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)


@lasting
def an_alarm_that_rings_for_ever() -> None:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)


@lasting
def ignored_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


@lasting
def blocked_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@lasting
def a_broken_interrupt_handler() -> None:
    signal.signal(signal.SIGINT, lambda *_: 1 // 0)


@lasting
def stacks_every_10_milliseconds() -> None:
    file = open(os.devnull, "w")  # noqa: SIM115
    faulthandler.dump_traceback_later(0.01, repeat=True, file=file)
    time.sleep(0.1)
    faulthandler.cancel_dump_traceback_later()


@lasting
def no_faulthandler() -> None:
    faulthandler.disable()
    faulthandler.enable(file=open(os.devnull, "w"))  # noqa: SIM115


@lasting
def a_daemon_that_prints_for_a_second() -> None:
    def talk() -> None:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            print("still here")

    threading.Thread(target=talk, daemon=True).start()


@lasting
def two_hundred_threads() -> None:
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()


@lasting
def threads_that_raise() -> None:
    for _ in range(20):
        thread = threading.Thread(target=divmod, args=(1, 0))
        thread.start()
        thread.join()


@lasting
def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (24, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@lasting
def no_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@lasting
def no_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@lasting
def no_processes() -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (0, resource.getrlimit(resource.RLIMIT_NPROC)[1]))


@lasting
def little_memory() -> None:
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115
    size = pages * os.sysconf("SC_PAGE_SIZE") + (16 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


@lasting
def a_tracer_that_raises() -> None:
    def trace(*_: object) -> NoReturn:
        raise RuntimeError("in a tracer")

    sys.settrace(trace)


@lasting
def a_profiler_that_raises() -> None:
    def profile(*_: object) -> NoReturn:
        raise RuntimeError("in a profiler")

    sys.setprofile(profile)


@lasting
def hooks_that_raise() -> None:
    def hook(*_: object) -> NoReturn:
        raise RuntimeError("in a hook")

    sys.excepthook = sys.unraisablehook = threading.excepthook = sys.displayhook = hook
    raise ValueError("for the hooks")


@lasting
def an_ending_that_raises() -> None:
    atexit.register(divmod, 1, 0)


@lasting
def warnings_as_errors() -> None:
    warnings.simplefilter("error")


@lasting
def a_limit_of_recursion_of_60() -> None:
    sys.setrecursionlimit(60)


@lasting
def a_slow_switch_of_threads() -> None:
    sys.setswitchinterval(5)


@lasting
def a_loop_left_running() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    threading.Thread(target=loop.run_forever, daemon=True).start()


@lasting
def no_modules() -> None:
    for name in list(sys.modules):
        if name not in ("sys", "builtins"):
            del sys.modules[name]


@lasting
def no_path() -> None:
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()


@lasting
def an_empty_main() -> None:
    sys.modules["__main__"].__dict__.clear()


@lasting
def no_print_and_open() -> None:
    builtins.print = builtins.open = None  # type: ignore[assignment]


@lasting
def no_imports() -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise ImportError("no imports")

    builtins.__import__ = refuse  # type: ignore[assignment]


@lasting
def no_len_and_isinstance() -> None:
    builtins.len = builtins.isinstance = None  # type: ignore[assignment]


@lasting
def no_exceptions() -> None:
    builtins.Exception = builtins.BaseException = int  # type: ignore[assignment, misc]


@lasting
def a_clock_that_stands() -> None:
    time.time = time.monotonic = lambda: 0.0  # type: ignore[assignment]


@lasting
def no_pickle() -> None:
    import pickle

    pickle.dumps = pickle.loads = pickle.Pickler = None  # type: ignore[assignment, misc]


@lasting
def no_write() -> None:
    os.write = os.read = os.getpid = None  # type: ignore[assignment]


@lasting
def another_root() -> None:
    os.chroot(tempfile.gettempdir())


@lasting
def another_user() -> None:
    os.setegid(65534)
    os.seteuid(65534)


@lasting
def another_name() -> None:
    ctypes.CDLL(None).prctl(15, b"\xff\x1b[31m\n", 0, 0, 0)


@lasting
def a_session_of_its_own() -> None:
    os.setsid()


@lasting
def a_child_that_returns() -> Any:
    return os.fork()


@lasting
def a_child_that_exits() -> None:
    if os.fork() == 0:
        sys.exit(3)
    os.wait()


@lasting
def a_child_that_raises() -> None:
    if os.fork() == 0:
        raise ValueError("in a child")
    os.wait()


@lasting
def twenty_children() -> None:
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)
    for _ in range(20):
        os.wait()


@lasting
def a_thread_that_forks() -> None:
    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)
        os.wait()

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()


# What ends the process.


@deadly("exit status: 3")
def exit_of_the_process() -> None:
    os._exit(3)


@deadly("exit status: 0")
def exit_of_the_process_without_fault() -> None:
    os._exit(0)


@deadly("exit status: 4")
def exit_of_the_process_in_a_thread() -> None:
    threading.Thread(target=os._exit, args=(4,)).start()
    time.sleep(5)


@deadly("SIGABRT")
def abort() -> None:
    os.abort()


@deadly("SIGSEGV")
def a_wild_pointer() -> None:
    ctypes.string_at(0)


@deadly("SIGKILL")
def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@deadly("SIGKILL")
def kill_of_its_group() -> None:
    os.kill(0, signal.SIGKILL)


@deadly("SIGKILL")
def termination_of_its_group() -> None:
    os.kill(0, signal.SIGTERM)
    time.sleep(10)


@deadly("SIGHUP")
def hangup() -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(10)


@deadly("SIGALRM")
def an_alarm_without_handler() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(5)


@deadly("SIGALRM")
def an_alarm_after_the_task() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.3)


@deadly("SIGXCPU|SIGKILL")
def no_processor_time() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True:
        pass


@deadly("SIGABRT|exit code")
def closed_descriptors() -> None:
    os.closerange(3, 256)


@deadly("exit status: 0")
def another_program() -> None:
    os.execv("/bin/true", ["true"])


@deadly("its connection broke")
def another_program_that_runs_on() -> None:
    os.execv("/bin/sleep", ["sleep", "3"])
