"""Waiting for conditions, what may outlive a test, threads of clients, and functions that the tests run on engines."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import psutil

# Pids of this machine's processes that fixtures of a wider scope start while a test runs.
OUTLIVE_A_TEST: set[int] = set()


def until(condition: Callable[[], Any], timeout: float = 10.0, message: str | Callable[[], str] = "") -> Any:
    """Wait until a condition is true, and return it; fail when it is not in time."""
    deadline = time.monotonic() + timeout
    pause = Event()
    while not (value := condition()):
        if time.monotonic() > deadline:
            text = message() if callable(message) else message
            raise AssertionError(f"not within {timeout:g} s: {text or condition}")
        pause.wait(0.005)
    return value


def hold(gate: Path | str, said: str = "") -> int:
    """On an engine: say something, then wait until the file is there; 60 s at most."""
    if said:
        print(said)
    deadline = time.monotonic() + 60
    pause = Event()
    while not os.path.exists(gate) and time.monotonic() < deadline:
        pause.wait(0.005)
    return os.getpid()


def engine_pid(client: Any, engine_id: int) -> int:
    """The process of an engine, as the controller knows it."""
    return next(engine["pid"] for engine in client.status()["engines"] if engine["id"] == engine_id)


def engine_pids(client: Any) -> dict[int, int]:
    """The processes of all engines; one that is started again has none meanwhile."""
    return {engine["id"]: engine["pid"] for engine in client.status()["engines"]}


def is_over(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def watchers() -> list[threading.Thread]:
    """The threads of clients that settle futures."""
    return [thread for thread in threading.enumerate() if thread.name == "ipclusterz-watcher"]
