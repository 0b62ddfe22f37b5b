"""Hostile code that ends the process of its engine. Each function is a task."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import threading
import time

from kinds import deadly


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
