"""Comms of engines, opened again in this notebook's kernel: so widgets of engines are shown here, and work.

An engine sends lines of JSON, see `engine.comms`. What the frontend sends to such a comm goes to its engine as a task.
A comm is closed when its engine has left, or does not know it any more.
"""

from __future__ import annotations

import sys
import weakref
from contextlib import suppress
from functools import partial
from threading import RLock

from .. import error as errors
from ..shared.comms import deliver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["relay_to_notebook", "showable"]

_WIDGET = "application/vnd.jupyter.widget-view+json"
_NOTE = "[a widget of an engine: it works in the notebook whose client has opened it, while its engine has it]"

_relays: weakref.WeakSet[_Relay] = weakref.WeakSet()


def relay_to_notebook(client: Any) -> None:
    """Relay the comms of a client's engines, if this process is the kernel of a notebook."""
    if _manager() is not None:
        # When the interpreter ends there is no thread to relay them.
        with suppress(RuntimeError):
            _relays.add(_Relay(client))


def showable(data: dict[str, Any]) -> dict[str, Any]:
    """A mime bundle without its widget, if that is not known here."""
    if _WIDGET not in data:
        return data
    for relay in list(_relays):
        # What opens it was sent before it is shown.
        relay.take()
    manager = _manager()
    if manager is not None and data[_WIDGET].get("model_id") in manager.comms:
        return data
    others = {mime: content for mime, content in data.items() if mime != _WIDGET}
    return {**others, "text/plain": f"{data.get('text/plain', '')}\n{_NOTE}".strip()}


def _manager() -> Any:
    """What knows the comms of this process; None: it is the kernel of no notebook."""
    kernels: Any = sys.modules.get("ipykernel.kernelbase")
    if kernels is None or not kernels.Kernel.initialized():
        return None
    package: Any = sys.modules.get("comm")
    return None if package is None else package.get_comm_manager()


class _Relay:
    """The comms of one client's engines."""

    def __init__(self, client: Any) -> None:
        # The client is closed when nobody else has it any more.
        self._client = weakref.ref(client)
        self._core = client._core
        self._lock = RLock()
        # By id: the comm of this kernel, and the engine whose it is.
        self._comms: dict[str, tuple[Any, int]] = {}
        # Messages that are on their way to engines.
        self._under_way: set[Any] = set()
        client._watcher.also(self.take)

    def take(self) -> None:
        """Relay what has come, and close what has no engine any more."""
        with self._lock:
            for engine_id, line in self._core.take_comms():
                self._relay(engine_id, line)
            if not self._comms:
                return
            try:
                living = set(self._core.engine_ids())
            except errors.IpclusterzError:
                # The client is closed.
                living = set()
            for comm_id, (_, engine_id) in list(self._comms.items()):
                if engine_id not in living:
                    self._close(comm_id)

    def _relay(self, engine_id: int, line: str) -> None:
        from binascii import a2b_base64
        from json import loads

        told = loads(line)["comm"]
        message = {name: told[name] for name in ("data", "metadata")}
        message["buffers"] = [a2b_base64(text) for text in told["buffers"]]
        comm_id = told["id"]
        if told["type"] == "comm_open":
            self._open(engine_id, comm_id, told, message)
        elif comm_id in self._comms and told["type"] == "comm_close":
            self._close(comm_id, **message)
        elif comm_id in self._comms:
            self._comms[comm_id][0].send(**message)

    def _open(self, engine_id: int, comm_id: str, told: dict[str, Any], message: dict[str, Any]) -> None:
        package: Any = sys.modules["comm"]
        names = {name: told.get(name) for name in ("target_name", "target_module")}
        comm = package.create_comm(comm_id=comm_id, **names, **message)
        comm.on_msg(partial(self._heard, "comm_msg"))
        comm.on_close(partial(self._heard, "comm_close"))
        self._comms[comm_id] = comm, engine_id

    def _close(self, comm_id: str, **message: Any) -> None:
        self._comms.pop(comm_id)[0].close(**message)

    def _heard(self, kind: str, message: dict[str, Any]) -> None:
        """The frontend has sent this: the engine is given it as a task."""
        client: Any = self._client()
        content = message["content"]
        comm_id = content["comm_id"]
        with self._lock:
            known = self._comms.pop(comm_id, None) if kind == "comm_close" else self._comms.get(comm_id)
        if client is None or known is None:
            return
        buffers = [bytes(buffer) for buffer in message.get("buffers") or ()]
        parts = {"data": content.get("data", {}), "metadata": message.get("metadata", {}), "buffers": buffers}
        try:
            result = client[known[1]].apply_async(deliver, kind, comm_id, parts)
        except errors.IpclusterzError:
            # The engine has left, or the client is closed.
            self.take()
            return
        self._under_way.add(result)
        result.add_done_callback(partial(self._delivered, comm_id))

    def _delivered(self, comm_id: str, result: Any) -> None:
        self._under_way.discard(result)
        if result.cancelled() or result.exception() is not None or not result.result():
            with self._lock:
                if comm_id in self._comms:
                    self._close(comm_id)
