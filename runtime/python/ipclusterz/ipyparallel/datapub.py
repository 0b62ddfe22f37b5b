"""``from ipclusterz.ipyparallel.datapub import publish_data``, for tasks; see `ipclusterz.publish_data`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["publish_data"]


def publish_data(data: dict[str, Any], track: bool = False) -> None:
    """Give names values that the client sees while the task goes on, as ``ar.data``.

    Parameters
    ----------
    data : dict
        Names and values.
    track : bool
        Not needed.
    """
    import_module("ipclusterz").publish_data(data)
