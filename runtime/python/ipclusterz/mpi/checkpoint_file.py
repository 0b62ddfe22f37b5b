"""One file of a checkpoint: what one rank kept. Which files make a checkpoint is in `checkpoints`.

# Format

    one line of JSON, which begins with the version
    the pickle (protocol 5, PEP 574)
    its large buffers, one after the other
    32 bytes: BLAKE2b of all before

The lengths of the pickle and of the buffers are in the line. Nothing is copied on the way to the file or from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

from .objects import empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

__all__ = ["DamagedError", "Header", "read", "read_header", "write"]

VERSION = 1
_HASH_BYTES = 32
# A header is longer only when it is none.
_LONGEST_HEADER = 64 << 20
# A smaller buffer is copied into the pickle.
_LARGE = 16 << 10


class DamagedError(Exception):
    """The file is not what was once written."""


@dataclass(frozen=True)
class Header:
    """What the first line says, apart from lengths.

    Attributes
    ----------
    rank, size, epoch : int
        Those of the communicator that wrote it.
    step : int
        The caller's.
    names : list of str
        Of what is kept.
    run : str or None
        The caller's: which computation it is.
    """

    rank: int
    size: int
    epoch: int
    step: int
    names: list[str]
    run: str | None = None


def write(path: Path, header: Header, values: dict[str, Any]) -> None:
    """Write a file that is whole under its name, or not there; also when the machine stops in the middle.

    Parameters
    ----------
    path : Path
        Replaced when it is there. Its folder must be there.
    header : Header
        Describes it.
    values : dict
        Anything that can be pickled, with classes and functions of `__main__`.
    """
    body, buffers = _pickled(values)
    told = {"version": VERSION, **asdict(header), "lengths": [len(body), *(part.nbytes for part in buffers)]}
    parts: list[bytes | memoryview] = [json.dumps(told).encode() + b"\n", body, *buffers]
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for part in parts:
                digest.update(part)
                file.write(part)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # What writes does not say where: to a full disk, for example.
            error.filename = str(path)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have names that were made in a folder survive a stop of the machine."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> tuple[Header, dict[str, Any]]:
    """What was written.

    Raises
    ------
    DamagedError
        When something else is there now.
    OSError
        When it cannot be read.
    Exception
        What pickle raises when a class is not there any more.
    """
    with open(path, "rb") as file:
        _check_owner(file)
        header, lengths, line = _header(file)
        digest = hashlib.blake2b(line, digest_size=_HASH_BYTES)
        parts = []
        for length in lengths:
            part = empty(length)
            if file.readinto(part) != length:
                raise DamagedError("is shorter than it says")
            digest.update(part)
            parts.append(part)
        if file.read(_HASH_BYTES + 1) != digest.digest():
            raise DamagedError("is damaged: its hash is another")
    # Only now: what was changed must not be unpickled.
    values: dict[str, Any] = pickle.loads(parts[0], buffers=parts[1:])
    return header, values


def read_header(path: Path) -> Header:
    """The first line alone, of a file that may be damaged behind it; raises as `read` does."""
    with open(path, "rb") as file:
        _check_owner(file)
        return _header(file)[0]


def _check_owner(file: IO[bytes]) -> None:
    # A pickle can run anything: it must be from this user.
    found = os.fstat(file.fileno())
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise DamagedError("is another user's, or can be written by others")


def _header(file: IO[bytes]) -> tuple[Header, list[int], bytes]:
    line = file.readline(_LONGEST_HEADER)
    try:
        told = json.loads(line)
        version = told.pop("version")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise DamagedError("is no checkpoint") from None
    if version != VERSION:
        raise DamagedError(f"is of version {version!r}, and this ipclusterz reads version {VERSION}")
    try:
        lengths = [int(length) for length in told.pop("lengths")]
        header = Header(**told)
        right = all(isinstance(number, int) for number in (header.rank, header.size, header.epoch, header.step))
    except (KeyError, TypeError, ValueError):
        right = False
    if not right or not lengths or min(lengths) < 0:
        raise DamagedError("is damaged: its first line is no header")
    # Before memory is asked for.
    if len(line) + sum(lengths) + _HASH_BYTES != os.fstat(file.fileno()).st_size:
        raise DamagedError("is not as long as it says")
    return header, lengths, line


def _pickled(values: dict[str, Any]) -> tuple[bytes, list[memoryview]]:
    # It pickles by value what __main__ defines, which a new process does not have.
    from ..shared.travel import dumps

    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            # Not contiguous: pickle copies it.
            return True
        if raw.nbytes < _LARGE:
            return True
        buffers.append(raw)
        return False

    return dumps(values, 5, keep), buffers
