"""What frontends send to comms that were opened on this engine: clients call `deliver` by reference."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["deliver"]


def deliver(kind: str, comm_id: str, message: dict[str, Any]) -> bool:
    """Hand a message to its comm.

    Parameters
    ----------
    kind : {"comm_msg", "comm_close"}
        What it is.
    comm_id : str
        The comm.
    message : dict
        With the keys data, metadata and buffers.

    Returns
    -------
    bool
        Whether there is such a comm here.
    """
    package: Any = sys.modules.get("comm")
    if package is None:
        # An engine that was started again has not imported it.
        return False
    manager = package.get_comm_manager()
    if comm_id not in manager.comms:
        return False
    content = {"comm_id": comm_id, "data": message["data"]}
    parts = {"metadata": message["metadata"], "buffers": message["buffers"], "header": {"msg_type": kind}}
    getattr(manager, kind)(None, "", {"content": content, "parent_header": {}, **parts})
    return True
