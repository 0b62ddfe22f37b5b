"""A cluster around a block of code: start local engines, connect, stop them.

All work is the `ipclusterz` command's, which this file runs as a child process; the cluster ends with the Python
process that started it, however that ends.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
import uuid
import weakref

from .client.client import Client
from .client.command import program
from .error import ClusterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import IO, Any

__all__ = ["Cluster"]

# The command needs a few seconds at most to end its processes by force; only a hanging kernel takes longer, or what
# engines do at their end (engines.end_timeout of the profile).
_STOP_SECONDS = 20.0
_TAIL_LINES = 20


class Cluster:
    """A controller and local engines that live as long as a block, or until `stop`.

    Parameters
    ----------
    n : int
        Number of engines.
    cluster : str, optional
        Name of the cluster; a name that nobody else uses when left out.
    python : path-like, optional
        Python of the engines; this one when left out.
    listen : str, optional
        ``host:port`` to listen on with TCP as well, encrypted; port 0 is a free one.
    timeout : float
        Seconds until all engines must be there.

    Raises
    ------
    ClusterError
        By `start` and ``with``: the command was not found, or the engines did not start; with the end of what they
        wrote.

    Examples
    --------
    >>> with Cluster(n=2) as rc:
    ...     rc[:].apply_sync(abs, -1)
    {0: 1, 1: 1}
    >>> async def main():
    ...     async with Cluster(n=2) as rc:
    ...         return await rc[:].apply_async(abs, -1)
    >>> import asyncio
    >>> asyncio.run(main())
    [1, 1]
    """

    def __init__(
        self,
        n: int = 4,
        *,
        cluster: str | None = None,
        python: str | os.PathLike[str] | None = None,
        listen: str | None = None,
        timeout: float = 60,
    ) -> None:
        self.n = n
        self.name = cluster if cluster is not None else f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.python = os.fspath(python) if python is not None else sys.executable
        self.listen = listen
        self.timeout = timeout
        self.report: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._clients: weakref.WeakSet[Client] = weakref.WeakSet()
        self._unwanted = False

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> Cluster:
        """Start the controller and the engines, and wait until they are ready.

        Returns
        -------
        Cluster
            Itself, so that ``Cluster(n=2).start().connect_client()`` can be written.
        """
        if self.running:
            raise ClusterError(f"cluster {self.name!r} is running already")
        command = [program(), "start", "-n", str(self.n), "--cluster", self.name, "--exit-with-parent", "--json"]
        command += ["--timeout", f"{self.timeout:g}", "--python", self.python]
        if self.listen is not None:
            command += ["--listen", self.listen]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        # A group of its own: Ctrl-C at the prompt is for the prompt, not for the cluster.
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors, process_group=0
        )
        self._finalizer = weakref.finalize(self, _end, self._process)
        try:
            if self._unwanted:
                raise ClusterError(f"starting cluster {self.name!r} was given up")
            self.report = self._read_report(command)
            self._finalizer.detach()
            patience = _STOP_SECONDS + self.report["end_timeout"]
            self._finalizer = weakref.finalize(self, _end, self._process, patience)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the clients made here, end the engines and the controller, and wait until they are gone."""
        for client in list(self._clients):
            client.close()
        self._clients.clear()
        if self._finalizer is not None:
            self._finalizer()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        if self._errors is not None:
            self._errors.close()
        self._process = self._errors = self._finalizer = None
        self._unwanted = False

    @property
    def running(self) -> bool:
        """Whether the cluster was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def connect_client(self, timeout: float = 10) -> Client:
        """A new client of this cluster; `stop` closes it.

        Parameters
        ----------
        timeout : float
            Seconds to wait for the controller's answer.

        Returns
        -------
        Client

        Raises
        ------
        ClusterError
            When the cluster is not running.
        """
        if not self.running:
            raise ClusterError(f"cluster {self.name!r} is not running", hint="call start() first")
        client = Client(self.report["client_file"], timeout=timeout)
        # A cluster that nobody refers to ends, but not while it has such a client.
        client._owner = self
        self._clients.add(client)
        return client

    def __enter__(self) -> Client:
        self.start()
        try:
            return self.connect_client()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Client:
        # The kernel tells the command when the thread that started it ends, and the command then looks whether the
        # process has: the thread need not stay.
        client: Client = await _to_its_end(self.__enter__, self._give_up, self.stop)
        return client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _to_its_end(self.stop)

    def __repr__(self) -> str:
        state = f"{self.n} engines" if self.running else "not running"
        return f"<Cluster {self.name!r}: {state}>"

    # -- inside -------------------------------------------------------------------------------------------------

    def _give_up(self) -> None:
        """Have `start`, in another thread, fail soon."""
        # That thread looks at the one after it has set the other, so one of the two sees it.
        self._unwanted = True
        process = self._process
        if process is not None:
            process.terminate()

    def _read_report(self, command: list[str]) -> dict[str, Any]:
        """The one line of JSON that the command prints: when the engines are ready, or when it gives up."""
        assert self._process is not None
        assert self._process.stdout is not None
        # The command keeps the deadline itself; a little later it must have said so.
        deadline = time.monotonic() + self.timeout + _STOP_SECONDS
        output = b""
        descriptor = self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in output:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise self._failure(command, {"message": f"no answer within {self.timeout:g} s"})
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    break
                output += chunk
        try:
            report: dict[str, Any] = json.loads(output)
        except ValueError:
            raise self._failure(command, {}) from None
        if "error" in report:
            raise self._failure(command, report["error"])
        return report

    def _failure(self, command: list[str], told: dict[str, Any]) -> ClusterError:
        assert self._process is not None
        if self._finalizer is not None:
            self._finalizer()
        message = f"cluster {self.name!r} could not be started: {told.get('message') or 'the command ended'}"
        if not told.get("message"):
            message += f"\n  {' '.join(command)}\n  ended with status {self._process.returncode}"
        tail = self._error_tail()
        if tail and tail.strip() not in message:
            message += f"\n{tail}"
        return ClusterError(message, hint=told.get("hint") or "")

    def _error_tail(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        # The command says its error on stderr too, where the report has it already.
        return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:] if not line.startswith(("error: ", "hint: ")))


async def _to_its_end(
    work: Callable[[], Any], on_cancel: Callable[[], None] | None = None, undo: Callable[[], None] | None = None
) -> Any:
    """Do blocking work in a thread; when the task is cancelled, wait for the end of it all the same.

    Parameters
    ----------
    work : callable
        The work.
    on_cancel : callable, optional
        Called at once when the task is cancelled, to make the work end soon.
    undo : callable, optional
        More blocking work, done when the task was cancelled.
    """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    # Not the loop's threads: the user's own work may hold all of them, or they may be gone already.
    pool = ThreadPoolExecutor(1, thread_name_prefix="ipclusterz-cluster")
    loop = asyncio.get_running_loop()
    try:
        working = loop.run_in_executor(pool, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            if on_cancel is not None:
                on_cancel()
            await asyncio.gather(working, return_exceptions=True)
            if undo is not None:
                await loop.run_in_executor(pool, undo)
            raise
    finally:
        pool.shutdown(wait=False)


def _end(process: subprocess.Popen[bytes], patience: float = _STOP_SECONDS) -> None:
    """End the command, which ends what it started."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
