"""Taking what `Client.upload` sends: once for all engines of a host, in the folder of the cluster there.

The folder is `uploads/HOST` beside the engines' connection file, which other hosts may share. What is in it: one folder
for each upload, named by the hash of its content. The first engine unpacks it beside that name and renames it, so that
no engine sees half of it. Engines hold a lock on what they use; who gives up the last one removes it.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from io import BytesIO
from time import monotonic, sleep

from .._core import make_private
from ..shared import names
from ..shared.uploads import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..shared.uploads import Manifest

__all__ = ["take"]

# Seconds to wait for another engine of this host, which has begun to unpack.
_PATIENCE = 600.0

# By path of a folder that this engine uses: the descriptor that holds its lock.
_used: dict[str, int] = {}


def take(manifest: Manifest, content: Callable[[], Any], folder: str) -> tuple[str, str]:
    """Have an upload on this host, and first on `sys.path`.

    Parameters
    ----------
    manifest : Manifest
        What it is.
    content : callable
        Gives its content; called only if this host does not have it.
    folder : str
        Where the engines' connection file is.

    Returns
    -------
    tuple of str
        The host's name, and the path there.

    Raises
    ------
    ValueError
        When it is a wheel for another Python, or replaces modules that cannot be imported twice.
    OSError
        When it cannot be written.
    """
    _check_tags(manifest.tags)
    host = os.uname().nodename
    home = os.path.join(folder, "uploads", host)
    place = os.path.join(home, manifest.digest)
    if place not in _used:
        # Modules are imported from there: nobody else may have made it.
        make_private(home)
        with _Lock(os.path.join(home, "lock")):
            if not os.path.isdir(place):
                _unpack(manifest, content(), place)
            _used[place] = _hold(place)
    former = here.pop(manifest.name, None)
    here[manifest.name] = (manifest, place)
    if former is None or former != here[manifest.name]:
        _renew(manifest, place, former)
    return host, os.path.join(place, manifest.path)


class _Lock:
    """A block that one engine of a host runs at a time."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = monotonic() + _PATIENCE
        try:
            while not _locked(self._file, LOCK_EX):
                if monotonic() > deadline:
                    raise TimeoutError(f"another engine has been unpacking beside {self._path} for {_PATIENCE:g} s")
                sleep(0.02)
        except BaseException:
            os.close(self._file)
            raise

    def __exit__(self, *_error: object) -> None:
        os.close(self._file)


def _locked(file: int, kind: int) -> bool:
    try:
        flock(file, kind | LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: then two engines may unpack the same.
        return True
    return True


def _hold(place: str) -> int:
    file = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _locked(file, LOCK_SH)
    return file


def _unpack(manifest: Manifest, content: Any, place: str) -> None:
    part = f"{place}.{os.getpid()}"
    try:
        os.mkdir(part, mode=0o700)
        (_unzip if manifest.zipped else _untar)(BytesIO(content), part)
        os.rename(part, place)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError) and os.path.isdir(place):
            # Where there are no locks, another engine was faster.
            return
        if isinstance(error, OSError) and error.filename is None:
            # What writes does not say where: to a full disk, for example.
            error.filename = place
        raise


def _untar(content: BytesIO, folder: str) -> None:
    import tarfile

    with tarfile.open(fileobj=content) as archive:
        # The filter came with 3.11.4. What is in there was made by `client.uploads`.
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]


def _unzip(content: BytesIO, folder: str) -> None:
    from zipfile import ZipFile

    with ZipFile(content) as archive:
        archive.extractall(folder)
    # What a wheel wants in the same folder as its modules.
    for name in os.listdir(folder):
        for part in ("purelib", "platlib"):
            inner = os.path.join(folder, name, part)
            if name.endswith(".data") and os.path.isdir(inner):
                shutil.copytree(inner, folder, dirs_exist_ok=True)


def _renew(manifest: Manifest, place: str, former: tuple[Manifest, str] | None) -> None:
    """Put it first on the path, and have its modules imported again."""
    modules = manifest.modules
    if former is not None:
        modules = tuple(dict.fromkeys((*modules, *former[0].modules)))
        if former[0].entry is not None:
            with suppress(ValueError):
                sys.path.remove(_entry(*former))
        _give_up(former[1])
    if manifest.entry is not None:
        sys.path.insert(0, _entry(manifest, place))
    from importlib import invalidate_caches

    invalidate_caches()
    for name in modules:
        if name in sys.modules:
            names.reload(name)


def _entry(manifest: Manifest, place: str) -> str:
    return os.path.normpath(os.path.join(place, manifest.entry or ""))


def _give_up(place: str) -> None:
    """Remove what no engine of this host uses any more."""
    if any(place == other for _, other in here.values()):
        return
    file = _used.pop(place)
    old = f"{place}.old{os.getpid()}"
    try:
        with _Lock(os.path.join(os.path.dirname(place), "lock")), suppress(OSError):
            flock(file, LOCK_UN)
            flock(file, LOCK_EX | LOCK_NB)
            os.rename(place, old)
    finally:
        os.close(file)
    shutil.rmtree(old, ignore_errors=True)


def _check_tags(tags: str) -> None:
    """Refuse a wheel that is not for this Python; `tags` are the last three parts of its name."""
    if not tags:
        return
    pythons, abis, platforms = (part.split(".") for part in tags.split("-"))
    major, minor = sys.version_info[:2]
    good = {f"py{major}", f"py{major}{minor}", f"cp{major}{minor}"}
    if "abi3" in abis:
        good |= {f"cp{major}{older}" for older in range(2, minor)}
    machine = os.uname().machine
    fits = any(each == "any" or (each.endswith(f"_{machine}") and "linux" in each) for each in platforms)
    if not good & set(pythons) or not fits:
        raise ValueError(f"this wheel is for {tags}, and the engine is Python {major}.{minor} on linux_{machine}")
