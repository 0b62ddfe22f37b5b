"""From what a user gives for a cluster (a path, an address, a name, nothing) to a connection file.

Finding a cluster by name is the extension module's, which knows the same folders as the launcher. Only the search by
address is here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .. import _core
from ..error import ConnectionFileError

__all__ = ["connection_file"]


def connection_file(path_or_url: str | os.PathLike[str] | None, cluster: str | None) -> str:
    """The connection file to use.

    Parameters
    ----------
    path_or_url : path-like, str or None
        A connection file, or an address (``tcp://host:port``, ``ipc:///path``) of one of the user's clusters.
    cluster : str or None
        Name of a cluster; with neither, the default one or the only one there is.

    Raises
    ------
    ConnectionFileError
        When there is none; says where it was looked for.
    TypeError
        When both are given.
    """
    if path_or_url is None:
        return _core.find_connection_file(cluster)
    if cluster is not None:
        raise TypeError("give a connection file or address, or the name of a cluster, not both")
    text = os.fspath(path_or_url)
    if not isinstance(text, str):
        raise TypeError(f"a path or an address is text, not {type(text).__name__}")
    if "://" in text:
        return _by_address(text)
    return os.path.expanduser(text)


def _state_root() -> Path:
    # The same rule as the launcher's: see the documentation of IPCLUSTERZ_HOME.
    home = os.environ.get("IPCLUSTERZ_HOME")
    if home:
        return Path(home)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "ipclusterz"


def _by_address(address: str) -> str:
    wanted = address.rstrip("/")
    root = _state_root() / "clusters"
    known: list[str] = []
    for file in sorted(root.glob("*/client.json")):
        try:
            addresses = json.loads(file.read_text())["addresses"]
        except (OSError, ValueError, KeyError, TypeError):
            # A cluster that is just being made or removed is not the one that is asked for.
            continue
        if wanted in addresses:
            return str(file)
        known.extend(addresses)
    there = f"the known addresses are {', '.join(known)}" if known else "there are no running clusters of yours"
    raise ConnectionFileError(
        f"no connection file for {address}: looked in {root}/*/client.json",
        hint=f"{there}; for a controller elsewhere, copy its client.json here and give its path",
    )
