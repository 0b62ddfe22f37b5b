"""The thread of an engine's kernel: its sockets, and the file by which frontends find it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import secrets
from concurrent.futures import Future
from threading import Thread
from typing import Any

import zmq
from ipykernel import heartbeat, iostream
from jupyter_client import connect
from jupyter_client.session import Session
from jupyter_core.paths import jupyter_runtime_dir
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from .kernel_output import Outlet
from .kernel_requests import EngineKernel
from .streams import installed
from .turns import Turns

__all__ = ["start"]

# These libraries have types for a part of what they offer.
_heartbeat: Any = heartbeat
_iostream: Any = iostream
_connect: Any = connect
_Kernel: Any = EngineKernel

# Seconds in which the thread must have begun, and must end.
_BEGIN = 30.0
_END = 2.0


def start(engine: Any, ip: str) -> dict[str, Any]:
    """Start the kernel of this engine.

    Parameters
    ----------
    engine : engine.here.Here
        The engine.
    ip : str
        The address to listen at.

    Returns
    -------
    dict
        What is in the connection file, and its path as ``connection_file``.

    Raises
    ------
    ValueError
        When it cannot listen there.
    """
    bound: Future[dict[str, Any]] = Future()
    loop = asyncio.new_event_loop()
    thread = Thread(target=_serve, args=(engine, ip, loop, bound), name="ipclusterz-kernel", daemon=True)
    thread.start()
    try:
        info = bound.result(_BEGIN)
    except zmq.ZMQError as error:
        raise ValueError(
            f"a kernel cannot listen at {ip!r}: {error}\n"
            "hint: ip is an address of the engine's host; left out, it is 127.0.0.1; 0.0.0.0 is all of them"
        ) from None
    atexit.register(_stop, os.getpid(), info["connection_file"], loop, thread)
    return info


def _serve(engine: Any, ip: str, loop: asyncio.AbstractEventLoop, bound: Future[dict[str, Any]]) -> None:
    asyncio.set_event_loop(loop)
    try:
        info = _bind(engine, ip, loop)
    except BaseException as error:
        bound.set_exception(error)
        return
    bound.set_result(info)
    loop.run_forever()


def _bind(engine: Any, ip: str, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    context = zmq.Context()
    session = Session(key=secrets.token_hex(32).encode())
    ports: dict[str, int] = {}

    def socket(name: str, kind: int) -> Any:
        made = context.socket(kind)
        made.linger = 1000
        ports[f"{name}_port"] = made.bind_to_random_port(f"tcp://{ip}")
        return made

    try:
        shell, control, stdin = (socket(name, zmq.ROUTER) for name in ("shell", "control", "stdin"))
        iopub = _iostream.IOPubThread(socket("iopub", zmq.PUB))
    except zmq.ZMQError:
        context.destroy(linger=0)
        raise
    iopub.start()
    beat = _heartbeat.Heartbeat(zmq.Context(), ("tcp", ip, 0))
    beat.start()
    ports["hb_port"] = beat.port
    kernel = _Kernel(
        session=session,
        log=logging.getLogger("ipclusterz.kernel"),
        shell_stream=ZMQStream(shell, IOLoop.current()),
        control_stream=ZMQStream(control, IOLoop.current()),
        stdin_socket=stdin,
        iopub_thread=iopub,
        iopub_socket=iopub.background_socket,
    )
    kernel.engine = engine
    kernel.turns = Turns(engine.core, engine.state)
    kernel.outlet = Outlet(loop, lambda request, kind, content: _publish(kernel, request, kind, content))
    kernel.record_ports(ports)
    kernel.start()
    for stream in installed.values():
        stream.cells = kernel.outlet.write
    path, info = _connect.write_connection_file(
        _path(engine), ip=ip, key=session.key, kernel_name="ipclusterz", **ports
    )
    return {**info, "connection_file": path}


def _publish(kernel: Any, request: Any, kind: str, content: dict[str, Any]) -> None:
    topic = f"kernel.{kernel.ident}.{kind}".encode()
    kernel.session.send(kernel.iopub_socket, kind, content, parent=request, ident=topic)


def _path(engine: Any) -> str:
    """A path in the folder where frontends look; it must be another one on each host that has the folder."""
    folder = jupyter_runtime_dir()
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return os.path.join(folder, f"kernel-{engine.core.cluster}-{engine.id}-{secrets.token_hex(4)}.json")


def _stop(pid: int, path: str, loop: asyncio.AbstractEventLoop, thread: Thread) -> None:
    """At the end of the engine, and not of its forks."""
    if os.getpid() != pid:
        return
    try:  # noqa: SIM105
        os.unlink(path)
    except OSError:
        # Somebody else has removed it.
        pass
    loop.call_soon_threadsafe(loop.stop)
    thread.join(_END)
