"""A kernel of Jupyter that answers frontends for an engine: cells run on its main thread, between the tasks.

Imported only when `kernel.bind_kernel` is called, because ipykernel is optional and slow to import.
"""

from __future__ import annotations

import asyncio
import builtins
import getpass
import sys
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any

from ipykernel import kernelbase
from IPython.core import getipython, inputtransformer2
from IPython.utils import tokenutil

from .failure import told_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .kernel_output import Outlet
    from .turns import Turn, Turns

__all__ = ["EngineKernel"]

# These libraries have types for a part of what they offer.
_base: Any = kernelbase
_Kernel: Any = _base.Kernel
_ipython: Any = getipython
_transformers: Any = inputtransformer2
_tokens: Any = tokenutil

# Seconds that what is typed waits to be completed or explained while a task runs.
_SOON = 1.0


class EngineKernel(_Kernel):  # type: ignore[misc]
    """The kernel of one engine. It ends with the engine, and not by the wish of a frontend.

    Attributes
    ----------
    engine : engine.here.Here
        What it is the kernel of.
    outlet : Outlet
        Takes what cells write.
    turns : Turns
        Has functions called on the main thread.
    """

    implementation = "ipclusterz"
    engine: Any = None
    outlet: Outlet
    turns: Turns
    # The cell that waits or runs.
    _cell: Turn | None = None
    language_info = {  # noqa: RUF012 - as in the base class
        "name": "python",
        "version": sys.version.partition(" ")[0],
        "mimetype": "text/x-python",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "pygments_lexer": "ipython3",
        "nbconvert_exporter": "python",
        "file_extension": ".py",
    }

    @property
    def implementation_version(self) -> str:
        version: str = sys.modules["ipclusterz"].__version__
        return version

    @property
    def banner(self) -> str:
        version = self.language_info["version"]
        return f"Engine {self.engine.id} of the cluster {self.engine.core.cluster!r}, Python {version}\n"

    @property
    def kernel_info(self) -> dict[str, Any]:
        """What frontends are told. The base class would offer its debugger, too."""
        names = ("implementation", "implementation_version", "language_info", "banner")
        protocol: str = _base.kernel_protocol_version
        return {"protocol_version": protocol, "help_links": [], **{name: getattr(self, name) for name in names}}

    @property
    def execution_count(self) -> int:
        """The number of the last cell, of whomever it was."""
        number: int = self.engine.calls.count
        return number

    @execution_count.setter
    def execution_count(self, _number: int) -> None:
        """The base class counts: what it announces is the next number."""

    def _publish_execute_input(self, code: str, parent: Any, execution_count: int) -> None:
        super()._publish_execute_input(code, parent, execution_count + 1)

    def pre_handler_hook(self) -> None:
        """The signals are the engine's."""

    def post_handler_hook(self) -> None:
        """As `pre_handler_hook`."""

    # -- cells --------------------------------------------------------------------------------------------------

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: Any = None,
        cell_id: Any = None,
    ) -> dict[str, Any]:
        """Run a cell when it has its turn."""
        request, ident = self.get_parent("shell"), self._parent_ident["shell"]

        def run(number: int) -> dict[str, Any]:
            self.outlet.begin(number, request)
            with self._asking(request, ident if allow_stdin else None):
                return self._run(code, silent, user_expressions or {})

        self._cell = self.turns.take(run)
        try:
            reply: dict[str, Any] = await asyncio.wrap_future(self._cell)
        except asyncio.CancelledError:
            told = "the cell was interrupted before it began"
            reply = _failed("KeyboardInterrupt", told, [f"KeyboardInterrupt: {told}"])
        finally:
            self._cell = None
        self.outlet.flush()
        result, count = reply.pop("result", None), reply.setdefault("execution_count", self.execution_count)
        if result and not silent:
            self.send_response(self.iopub_socket, "execute_result", {**result, "execution_count": count})
        if reply["status"] == "error" and not silent:
            content = {name: reply[name] for name in ("ename", "evalue", "traceback")}
            self.send_response(self.iopub_socket, "error", content)
        return reply

    def _run(self, code: str, silent: bool, expressions: dict[str, str]) -> dict[str, Any]:
        """Run a cell, on the main thread."""
        try:
            outcome = self.engine.calls.shell().run(code, silent)
        except SystemExit:
            # `exit` is for the frontend.
            return {"status": "ok", "payload": [{"source": "ask_exit", "keepkernel": True}], "user_expressions": {}}
        except BaseException as error:
            told = told_of(error, "execute", self.engine.id)
            hint = [f"hint: {told['hint']}"] if told["hint"] else []
            return _failed(told["ename"], told["evalue"], told["traceback"].splitlines() + hint)
        result = {"data": outcome["data"], "metadata": outcome["metadata"]} if outcome["data"] else None
        shell = _ipython.get_ipython()
        values = shell.user_expressions(expressions) if shell is not None and expressions else {}
        reply = {"status": "ok", "execution_count": outcome["count"], "payload": [], "user_expressions": values}
        return {**reply, "result": result}

    @contextmanager
    def _asking(self, request: Any, ident: Any) -> Iterator[None]:
        """Have ``input()`` ask the frontend, if that can be asked."""
        if ident is None:
            yield
            return

        def ask(prompt: object = "") -> str:
            # What was written stands above the question.
            asyncio.run_coroutine_threadsafe(self._flushed(), self.io_loop.asyncio_loop).result()
            answer: str = self._input_request(str(prompt), ident, request)
            return answer

        def ask_secret(prompt: str = "Password: ", stream: object = None) -> str:
            answer: str = self._input_request(prompt, ident, request, password=True)
            return answer

        before = builtins.input, getpass.getpass
        builtins.input, getpass.getpass = ask, ask_secret
        try:
            yield
        finally:
            builtins.input, getpass.getpass = before

    async def _flushed(self) -> None:
        self.outlet.flush()

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Interrupt the cell of the frontend, and no task of the cluster."""
        cell = self._cell
        if cell is not None:
            cell.interrupt()
        self.session.send(stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident)

    async def shutdown_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Say that the engine is not the frontend's."""
        evalue = f"engine {self.engine.id} belongs to its cluster; a client ends it: rc.shutdown({self.engine.id})"
        reply = {**_failed("RuntimeError", evalue, []), "restart": False}
        self.session.send(stream, "shutdown_reply", reply, parent, ident=ident)

    # -- what is asked while somebody types ---------------------------------------------------------------------

    async def _soon(self, function: Callable[[Any], Any], otherwise: Any) -> Any:
        """What a function gives that is called with the shell on the main thread, if a task ends in time."""

        def call(_number: int) -> Any:
            self.engine.calls.shell()
            shell = _ipython.get_ipython()
            return otherwise if shell is None else function(shell)

        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.turns.take(call)), _SOON)
        except (asyncio.TimeoutError, asyncio.CancelledError):
            return otherwise

    async def do_complete(self, code: str, cursor_pos: int | None) -> dict[str, Any]:
        """Complete what is typed."""
        cursor = len(code) if cursor_pos is None else cursor_pos
        line, begin = _tokens.line_at_cursor(code, cursor)
        found, matches = await self._soon(lambda shell: shell.complete("", line, cursor - begin), ("", []))
        places = {"cursor_start": cursor - len(found), "cursor_end": cursor}
        return {"matches": list(matches), **places, "metadata": {}, "status": "ok"}

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()
    ) -> dict[str, Any]:
        """Explain what is typed."""
        name = _tokens.token_at_cursor(code, cursor_pos)

        def explain(shell: Any) -> dict[str, Any]:
            try:
                return dict(shell.object_inspect_mime(name, detail_level=detail_level, omit_sections=omit_sections))
            except KeyError:
                return {}

        data = await self._soon(explain, {})
        return {"status": "ok", "found": bool(data), "data": data, "metadata": {}}

    async def do_is_complete(self, code: str) -> dict[str, Any]:
        """Say whether a cell ends here. This needs nothing of the engine."""
        status, indent = _transformers.TransformerManager().check_complete(code)
        return {"status": status, "indent": " " * (indent or 0)} if status == "incomplete" else {"status": status}

    async def do_history(
        self,
        hist_access_type: str,
        output: bool,
        raw: bool,
        session: Any = None,
        start: int = 0,
        stop: int | None = None,
        n: int | None = None,
        pattern: str | None = None,
        unique: bool = False,
    ) -> dict[str, Any]:
        """The engine's last cells, of whomever they were: IPython keeps them in memory."""
        first, last = (start, stop) if hist_access_type == "range" else (1, None)

        def look(shell: Any) -> list[Any]:
            cells = list(shell.history_manager.get_range(0, first, last, raw=raw, output=output))
            if hist_access_type == "search":
                cells = [cell for cell in cells if fnmatch(cell[2][0] if output else cell[2], pattern or "*")]
            return cells if hist_access_type == "range" else cells[-n if n else 0 :]

        return {"status": "ok", "history": await self._soon(look, [])}


def _failed(ename: str, evalue: str, traceback: list[str]) -> dict[str, Any]:
    return {"status": "error", "ename": ename, "evalue": evalue, "traceback": traceback, "user_expressions": {}}
