"""Hostile code whose effect stays in the process of its engine. Each function is a task."""

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
from typing import Any, NoReturn

from kinds import lasting


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
