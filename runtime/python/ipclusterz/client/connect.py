"""From what a user gives for a cluster (a path, an address, a name, nothing) to a connection.

Finding a cluster by name is the extension module's, which knows the same folders as the launcher. The search by address
and by profile is here. Keys are only passed on: reading and checking a connection file is the extension module's too.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

from .._core import Client as Core
from .._core import find_connection_file
from ..error import ConnectionFileError
from ..shared.own import ENGINE_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .tunnel import Tunnel

__all__ = ["clusters_folder", "connect", "read_json", "through_ssh"]

# Variables of the environment; the second one is the launcher's too.
KEY_FILE = "IPCLUSTERZ_KEY_FILE"
CLUSTER = "IPCLUSTERZ_CLUSTER"


def connect(
    path_or_url: str | os.PathLike[str] | None,
    cluster: str | None,
    profile: str | None,
    key: str | os.PathLike[str] | None,
    timeout: float,
    session: str | None = None,
) -> Core:
    """Connect to a cluster; the parameters are those of `Client`.

    Raises
    ------
    ConnectionFileError
        When there is no connection file or key; says where it was looked for.
    TypeError
        When more is given than can be meant.
    """
    given = [
        name
        for name, value in (("an address or file", path_or_url), ("cluster=", cluster), ("profile=", profile))
        if value is not None
    ]
    if len(given) > 1:
        raise TypeError(f"a cluster is named in one way, not by {' and '.join(given)}")
    if key is not None and not _is_address(path_or_url):
        raise TypeError("key= goes with an address: Client('tcp://host:port', key=...)")
    dial = partial(Core, session=session)
    if path_or_url is not None:
        text = os.fspath(path_or_url)
        if not isinstance(text, str):
            raise TypeError(f"a path or an address is text, not {type(text).__name__}")
        if _is_address(text):
            return _to_address(text.rstrip("/"), key, timeout, dial)
        file = os.path.expanduser(text)
        if not os.path.exists(file) and (clusters_folder() / text / "client.json").is_file():
            raise ConnectionFileError(
                f"there is no connection file {text}", hint=f"for the cluster of that name: Client(cluster={text!r})"
            )
        return dial(file, timeout)
    if profile is not None:
        return dial(_of_profile(profile), timeout)
    if cluster is None:
        cluster = os.environ.get(CLUSTER) or None
    engine_file = os.environ.get(ENGINE_FILE)
    if engine_file and (found := _of_engine(engine_file, cluster)):
        return dial(found[0], timeout, address=found[1])
    return dial(find_connection_file(cluster), timeout)


def through_ssh(
    path_or_url: str | os.PathLike[str] | None,
    cluster: str | None,
    profile: str | None,
    key: str | os.PathLike[str] | None,
    sshserver: str,
    sshbackend: str | None,
    sshkey: str | os.PathLike[str] | None,
    password: str | None,
    timeout: float,
    session: str | None = None,
) -> tuple[Core, Tunnel]:
    """Connect to a cluster on another host; the parameters are those of `Client`. The tunnel is the caller's to close.

    Raises
    ------
    TypeError
        When a connection file, an address or a key is given: the cluster's own is brought from there.
    ValueError
        When there is no such backend.
    """
    # Start-up: most clients need no tunnel.
    from .tunnel import Tunnel

    for name, value in (("an address or file", path_or_url), ("key=", key)):
        if value is not None:
            raise TypeError(
                f"sshserver= brings the connection file from there; cluster= names the cluster there, not {name}"
            )
    tunnel = Tunnel(sshserver, cluster=cluster, profile=profile, backend=sshbackend, sshkey=sshkey, password=password)
    try:
        return Core(tunnel.file, timeout, session=session), tunnel
    except BaseException:
        tunnel.close()
        raise


def _is_address(value: object) -> bool:
    if not isinstance(value, str) or "://" not in value:
        return False
    if not value.startswith(("tcp://", "ipc://")):
        raise ConnectionFileError(f"{value!r:.80} is no address of a controller: tcp://host:port or ipc:///path")
    return True


def _key_file(text: str, given_as: str, is_path: bool) -> str:
    """A file with a key. What may be a key itself is not repeated in an error."""
    file = os.path.expanduser(text)
    if is_path or os.path.exists(file) or file.endswith(".json"):
        return file
    raise ConnectionFileError(
        f"{given_as} is neither a file that is there nor the text of a connection file ({len(text)} characters)",
        hint="give the cluster's client.json, or its whole text",
    )


def _to_address(address: str, key: str | os.PathLike[str] | None, timeout: float, dial: Callable[..., Core]) -> Core:
    """Key from the argument, else from the variable, else from the connection file of one's own cluster there."""
    if key is not None:
        text = os.fspath(key)
        if not isinstance(text, str):
            raise TypeError(f"key= is a path or text, not {type(text).__name__}")
        text = text.lstrip("\ufeff \t\r\n")
        if text.startswith("{"):
            return dial("the text given as key=", timeout, address=address, text=text)
        return dial(_key_file(text, "key=", isinstance(key, os.PathLike)), timeout, address=address)
    named = os.environ.get(KEY_FILE)
    if named:
        return dial(_key_file(named, f"the variable {KEY_FILE}", False), timeout, address=address)
    from .addresses import is_same

    known: list[str] = []
    for file, connection in _read_all("client.json"):
        addresses = [str(each) for each in connection.get("addresses") or ()]
        if any(is_same(address, each, connection.get("host")) for each in addresses):
            return dial(str(file), timeout, address=address)
        known.extend(addresses)
    there = f"the addresses of your clusters are {', '.join(known)}" if known else "no cluster of yours is running"
    raise ConnectionFileError(
        f"no key for {address}: looked at key=, at the variable {KEY_FILE} and in {clusters_folder()}/*/client.json",
        hint=f"{there}; for a controller elsewhere copy its client.json here and give it as key=",
    )


def _of_profile(profile: str) -> str:
    """The connection file of the one cluster that was started with a profile."""
    found: dict[str, Path] = {}
    others: set[str] = set()
    # The launcher's record of its cluster: the connection file is the controller's, which knows of no profile.
    for file, record in _read_all("cluster.json"):
        if record.get("profile") == profile:
            found[file.parent.name] = file.with_name("client.json")
        else:
            others.add(str(record.get("profile")))
    if len(found) == 1:
        return str(next(iter(found.values())))
    if found:
        raise ConnectionFileError(
            f"{len(found)} clusters run with profile {profile!r}: {', '.join(found)}",
            hint="name one: Client(cluster='NAME')",
        )
    running = f"profiles of running clusters: {', '.join(sorted(others))}" if others else "no cluster is running"
    raise ConnectionFileError(
        f"no cluster with profile {profile!r}: looked in {clusters_folder()}/*/cluster.json",
        hint=f"{running}; `ipclusterz -n 4 --profile {profile}` starts one",
    )


def _of_engine(engine_file: str, cluster: str | None) -> tuple[str, str | None] | None:
    """The file for clients of the cluster whose engine runs this code, and the address to use if not one of the file's.

    None: another cluster is meant, or the engine's own has ended.

    Raises
    ------
    ConnectionFileError
        When there is no key for clients on this host.
    """
    engine = read_json(Path(engine_file))
    if engine is None or cluster not in (None, engine.get("cluster")):
        return None
    name = str(engine.get("cluster"))
    places = dict.fromkeys((Path(engine_file).with_name("client.json"), clusters_folder() / name / "client.json"))
    for file in places:
        found = read_json(file)
        if found is not None and found.get("run_id") == engine.get("run_id"):
            # The near end of a tunnel is the only way from here.
            return str(file), engine["addresses"][0] if engine.get("forwarded") else None
    raise ConnectionFileError(
        f"this engine of cluster {name!r} has no key for clients of it on its host: looked for "
        f"{' and '.join(map(str, places))}",
        hint="an engine's key does not admit clients, and hosts that do not share the cluster's folder have no other; "
        "have the client at home submit the calls, or hand the task the address and key: Client('tcp://…', key=text)",
    )


def clusters_folder() -> Path:
    """The folder of the user's clusters on this host."""
    # The same rule as the launcher's: see the documentation of IPCLUSTERZ_HOME.
    home = os.environ.get("IPCLUSTERZ_HOME")
    if home:
        return Path(home) / "clusters"
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "ipclusterz" / "clusters"


def _read_all(name: str) -> list[tuple[Path, dict[str, Any]]]:
    """The files of this name of the user's own clusters, with what is in them."""
    found = []
    for file in sorted(clusters_folder().glob(f"*/{name}")):
        # A cluster that is just being made or removed is not the one that is asked for.
        if (content := read_json(file)) is not None:
            found.append((file, content))
    return found


def read_json(file: Path) -> dict[str, Any] | None:
    """What is in a file of JSON; None when it cannot be read."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
