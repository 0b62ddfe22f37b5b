"""Comms that code on an engine opens, as each widget does: they go to the client of the task, which opens them again.

They travel with what the task displays, in lines of a kind of their own:

====================================  ==================================================================
comm                                  what is below, by name
type, id                              ``comm_open``, ``comm_msg`` or ``comm_close``, and the comm
data, metadata                        as in Jupyter's messages
buffers                               their bytes in base64
target_name, target_module            of a comm that is opened
====================================  ==================================================================

What is sent while no task runs goes nowhere. Imported with IPython, if there is the package comm.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import comm
from comm.base_comm import BaseComm

from .streams import installed

__all__ = ["relay"]


class _EngineComm(BaseComm):
    """The engine's end of a comm."""

    def publish_msg(
        self,
        msg_type: str,
        data: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        buffers: list[bytes] | None = None,
        **keys: Any,
    ) -> None:
        display = installed["display"]
        if display.task is None:
            return
        told = {"type": msg_type, "id": self.comm_id, "data": data or {}, "metadata": metadata or {}, **keys}
        told["buffers"] = [b64encode(memoryview(buffer).cast("B")).decode("ascii") for buffer in buffers or ()]
        display.write(json.dumps({"comm": told}, default=repr) + "\n")


def relay() -> None:
    """Have comms that are opened here from now on relayed."""
    comm.create_comm = _EngineComm
