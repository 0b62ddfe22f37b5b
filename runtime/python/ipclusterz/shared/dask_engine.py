"""Dask on an engine: a worker in a thread of it, and on one engine the scheduler in a process beside it.

Called by `client.dask_cluster`. What runs is kept here, in the engine: so any client can end it.
"""

from __future__ import annotations

import asyncio
import atexit
import glob
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from threading import Thread, Timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["connectable", "release", "running", "start_scheduler", "start_worker", "stop"]

# Seconds that an address has to accept a connection, and that scheduler and worker have to start and to end.
_CONNECT_SECONDS = 3.0
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


class _Scheduler:
    """The process of a scheduler."""

    def __init__(self, credentials: dict[str, Any] | None, options: dict[str, Any]) -> None:
        self.credentials = credentials
        command = [sys.executable, "-m", "ipclusterz.shared.dask_scheduler"]
        pipe = subprocess.PIPE
        with tempfile.TemporaryFile("w+") as errors:
            # A session of its own: Ctrl-C in a terminal is not meant for it.
            self._process: Any = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=errors, text=True, start_new_session=True
            )
            try:
                line = self._begin(json.dumps({"credentials": credentials, "options": options}))
                if not line:
                    errors.seek(0)
                    raise RuntimeError(f"the scheduler of Dask did not start: {errors.read()[-4000:].strip()}")
            except BaseException:
                self.stop()
                raise
        told = json.loads(line)
        self.port: int = told["port"]
        self.hosts: list[str] = told["hosts"]
        self.pid: int = self._process.pid

    def _begin(self, given: str) -> str:
        """Tell it what it needs, and hear where it listens; nothing if it ends before it does."""
        # What hangs is ended, and with it the wait for its line.
        timer = Timer(_START_SECONDS, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            # It may have ended at once.
            with suppress(BrokenPipeError):
                self._process.stdin.write(given + "\n")
                self._process.stdin.flush()
            line: str = self._process.stdout.readline()
            return line
        finally:
            timer.cancel()

    def told(self) -> dict[str, Any]:
        """What others need to find it."""
        return {name: getattr(self, name) for name in ("port", "hosts", "credentials", "pid")}

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class _Worker:
    """A worker in a thread."""

    def __init__(self, address: str, credentials: dict[str, Any] | None, name: str, options: dict[str, Any]) -> None:
        _sweep()
        self._folder = tempfile.mkdtemp(prefix=f"{_folders()}{os.getpid()}-")
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="ipclusterz-dask", daemon=True)
        self._thread.start()
        self._worker: Any = None
        try:
            self._run(self._start(address, credentials, {"name": name, "nthreads": 1, **options}), _START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def is_alive(self) -> bool:
        return self._worker is not None and self._worker.status.name in ("init", "running", "paused")

    def stop(self) -> None:
        if self._worker is not None:
            # It waits for nobody; a task that still runs is left to its thread.
            with suppress(Exception):
                self._run(self._worker.close(timeout=_STOP_SECONDS / 2, executor_wait=False), _STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, coroutine: Any, seconds: float) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    async def _start(self, address: str, credentials: dict[str, Any] | None, options: dict[str, Any]) -> None:
        from .dask_scheduler import quiet, security_of

        quiet()
        if not options.keys() & {"host", "interface"}:
            options["host"] = _own_address(address)
        options.setdefault("local_directory", self._folder)
        self._worker = import_module("distributed").Worker(
            address,
            security=security_of(credentials),
            dashboard=False,
            dashboard_address="127.0.0.1:0",
            **options,
        )
        await self._worker


def _folders() -> str:
    """What the names of workers' folders begin with: then come the engine's process and something random."""
    # Containers may share the folder, and have processes of their own.
    processes = os.stat("/proc/self/ns/pid").st_ino
    return f"ipclusterz-dask-{processes}-"


def _sweep() -> None:
    """Remove what workers have left whose engines were killed."""
    ours = _folders()
    for folder in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), f"{ours}*")):
        pid = os.path.basename(folder)[len(ours) :].partition("-")[0]
        with suppress(OSError):
            if not os.path.exists(f"/proc/{pid}") and os.lstat(folder).st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


_scheduler: _Scheduler | None = None
_worker: _Worker | None = None


def release() -> str | None:
    """The release of `distributed` here; None: it is not installed."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        return None
    release: str = distributed.__version__
    return release


def running() -> tuple[dict[str, Any] | None, bool]:
    """The scheduler that this engine has, if any, and whether it has a worker."""
    told = _scheduler.told() if _scheduler is not None and _scheduler.is_alive() else None
    return told, _worker is not None and _worker.is_alive()


def start_scheduler(credentials: dict[str, Any] | None, options: dict[str, Any]) -> dict[str, Any]:
    """Start the scheduler, unless it is there: what `running` says of it."""
    global _scheduler
    if (told := running()[0]) is None:
        _scheduler = _Scheduler(credentials, options)
        told = _scheduler.told()
    return told


def connectable(hosts: list[str], port: int) -> list[str]:
    """Those of the addresses that accept connections from here."""
    found = []
    for host in hosts:
        with suppress(OSError), socket.create_connection((host, port), _CONNECT_SECONDS):
            found.append(host)
    return found


def start_worker(address: str, credentials: dict[str, Any] | None, name: str, options: dict[str, Any]) -> None:
    """Start a worker, unless there is one."""
    global _worker
    if _worker is not None and _worker.is_alive():
        return
    if _worker is not None:
        # Its scheduler has gone.
        _worker.stop()
    _worker = None
    _worker = _Worker(address, credentials, name, options)


def stop(scheduler: bool) -> None:
    """End the worker, or the scheduler, if there is one."""
    global _scheduler, _worker
    ended: Any = _scheduler if scheduler else _worker
    if scheduler:
        _scheduler = None
    else:
        _worker = None
    if ended is not None:
        ended.stop()


def _own_address(address: str) -> str:
    """The address of this host on the way to another."""
    host, port = import_module("distributed.comm").parse_host_port(address.rpartition("/")[2])
    with socket.create_connection((host, port), _CONNECT_SECONDS) as connection:
        own: str = connection.getsockname()[0]
        return own


def _forget() -> None:
    """In a forked child: both are the engine's."""
    global _scheduler, _worker
    _scheduler = _worker = None


os.register_at_fork(after_in_child=_forget)


@atexit.register
def _stop_all() -> None:
    for scheduler in (False, True):
        with suppress(Exception):
            stop(scheduler)
