"""`Client.upload`: what of a path is sent, and what engines are told of it.

A file or folder becomes a tar file in memory; a wheel or zip file goes as it is. `engine.uploads` is the other half.
"""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from io import BytesIO

from ..compat import stdlib_module_names
from ..error import NoEnginesRegistered
from ..shared.serialize import dumps
from ..shared.uploads import Manifest, Uploaded
from .about import about
from .asyncresult import AsyncResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .connection import Connection

    # Name in the archive, where it is here, and for a link within a folder its target.
    Entry = tuple[str, str, str | None]

__all__ = ["LARGEST", "upload"]

LARGEST = 1 << 30
"""Bytes of one upload. The controller keeps it in memory, for engines that come later."""

_NOT_SENT = frozenset(
    ("__pycache__", ".git", ".hg", ".svn", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox")
)
# What engines run themselves.
_THEIR_OWN = frozenset(("ipclusterz", "cloudpickle"))


def upload(client: Connection, path: str | os.PathLike[str]) -> Uploaded:
    """See `Client.upload`."""
    source = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if not isinstance(source, str):
        raise TypeError(f"a path is a text or a pathlib.Path, not {type(path).__name__}")
    manifest, content, files, size = _packed(source)
    targets = client._live()
    if not targets:
        raise NoEnginesRegistered(
            f"{manifest.name!r} was not sent: there is no engine",
            hint="rc.wait_for_engines(1) waits until there is one",
        )
    function = (bytes.fromhex(manifest.digest), content)
    items, told = [(targets, dumps(manifest))], about("call", method="upload", single=False)
    pending = client._core.submit("upload", items, function=function, keep=manifest.name, about=told)
    places = AsyncResult(client, pending, "upload", False).get()
    return Uploaded(manifest.name, files, size, manifest.modules, dict(places))


def _packed(source: str) -> tuple[Manifest, bytes, int, int]:
    """What engines are told, the content, the number of files and their size."""
    name = os.path.basename(source)
    is_folder = _is_folder(source)
    if not is_folder and name.endswith((".whl", ".zip")):
        return _zipped(source, name)
    entries = list(_entries(source, name)) if is_folder else [(name, source, None)]
    if not entries:
        raise ValueError(f"{source} has no files that can be uploaded")
    size = _size(source, (path for _, path, link in entries if link is None))
    content = _tar(entries)
    entry, modules = _importable(source, name, is_folder)
    _check_modules(source, modules)
    manifest = Manifest(name, _digest(content), False, name, entry, modules, "")
    return manifest, content, len(entries), size


def _is_folder(source: str) -> bool:
    try:
        mode = os.stat(source).st_mode
        source.encode()
    except FileNotFoundError:
        what = "is a link to nothing" if os.path.islink(source) else "does not exist"
        raise FileNotFoundError(f"{source} {what}") from None
    except UnicodeEncodeError:
        raise ValueError(f"the name {source!r} is not UTF-8: rename it") from None
    if os.path.dirname(source) == source:
        raise ValueError("the root folder cannot be uploaded: name what you need")
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError(f"{source} is neither a file nor a folder, and nothing else can be uploaded")
    return stat.S_ISDIR(mode)


def _size(source: str, paths: Iterable[str]) -> int:
    size = 0
    for path in paths:
        size += os.stat(path).st_size
        if size > LARGEST:
            raise ValueError(
                f"{source} is larger than an upload may be, which is {LARGEST >> 20} MiB: put it on a file system that "
                "the engines share"
            )
    return size


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


# -- what is in a folder --------------------------------------------------------------------------------------------


def _entries(source: str, name: str) -> Iterator[Entry]:
    root = os.path.realpath(source)
    yield from _walk(root, root, name, ())


def _walk(root: str, folder: str, name: str, above: tuple[str, ...]) -> Iterator[Entry]:
    """The files of a folder. Links that lead out of `root` are followed; others stay links."""
    with os.scandir(folder) as found:
        children = sorted(found, key=lambda each: each.name)
    for child in children:
        path, inner = child.path, f"{name}/{child.name}"
        if child.name in _NOT_SENT or child.name.endswith(".pyc"):
            continue
        if child.is_symlink():
            target = os.path.realpath(path)
            if not os.path.exists(target):
                raise ValueError(f"{path} is a link to nothing: {os.readlink(path)}")
            if _is_in(target, root) and not above:
                yield inner, path, os.path.relpath(target, os.path.dirname(path))
                continue
            if _is_in(folder, target) or target in above:
                raise ValueError(f"{path} is a link to a folder that it is in: {target}")
            path = target
        if os.path.isdir(path):
            if not _is_environment(path):
                yield from _walk(root, path, inner, (*above, path) if child.is_symlink() or above else ())
        elif os.path.isfile(path):
            yield inner, path, None
        else:
            raise ValueError(f"{path} is neither a file nor a folder, and nothing else can be uploaded")


def _is_environment(folder: str) -> bool:
    """Whether it is a virtual environment, which is for one place."""
    return os.path.exists(os.path.join(folder, "pyvenv.cfg"))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _tar(entries: Iterable[Entry]) -> bytes:
    # Start-up: few clients upload.
    import tarfile

    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, path, link in entries:
            item = tarfile.TarInfo(name)
            if link is not None:
                item.type, item.linkname = tarfile.SYMTYPE, link
                archive.addfile(item)
                continue
            with open(path, "rb") as file:
                data = file.read()
                state = os.fstat(file.fileno())
            item.size, item.mtime = len(data), int(state.st_mtime)
            item.mode = state.st_mode & 0o755 | 0o600
            archive.addfile(item, BytesIO(data))
    return stream.getvalue()


# -- what engines can import of it ----------------------------------------------------------------------------------


def _importable(source: str, name: str, is_folder: bool) -> tuple[str | None, tuple[str, ...]]:
    """What goes on `sys.path`, below the folder in which it is unpacked, and the modules that are found there."""
    if not is_folder:
        module = _module(name)
        return ("", (module,)) if module else (None, ())
    if os.path.exists(os.path.join(source, "__init__.py")):
        return ("", (name,)) if name.isidentifier() else (None, ())
    for entry, folder in ((name, source), (f"{name}/src", os.path.join(source, "src"))):
        if modules := _modules_in(folder):
            return entry, modules
    return None, ()


def _modules_in(folder: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            sent = name.isidentifier() and name != "src" and not _is_environment(path)
            module = name if sent and any(map(_module, os.listdir(path))) else None
        else:
            module = _module(name)
        if module and module != "setup":
            found[module] = None
    return tuple(found)


def _module(name: str) -> str | None:
    """The module that a file is; None for other files."""
    stem = name[:-3] if name.endswith(".py") else name.partition(".")[0] if name.endswith(".so") else ""
    return stem if stem.isidentifier() else None


def _check_modules(source: str, modules: Iterable[str]) -> None:
    taken = [name for name in modules if name in stdlib_module_names() or name in _THEIR_OWN]
    if taken:
        raise ValueError(
            f"{source} would hide {', '.join(map(repr, taken))} of Python or of ipclusterz from the engines: give it "
            "another name, or put it into a package"
        )


# -- wheels and zip files -------------------------------------------------------------------------------------------


def _zipped(source: str, name: str) -> tuple[Manifest, bytes, int, int]:
    from zipfile import BadZipFile, ZipFile

    size = _size(source, [source])
    with open(source, "rb") as file:
        content = file.read()
    try:
        with ZipFile(BytesIO(content)) as archive:
            names = [each.filename for each in archive.infolist() if not each.is_dir()]
    except BadZipFile as error:
        raise ValueError(f"{source} cannot be read as a {name[-3:]} file: {error}") from None
    tags = ""
    if name.endswith(".whl"):
        parts = name[:-4].split("-")
        if len(parts) not in (5, 6):
            raise ValueError(f"{source} is no name of a wheel: NAME-VERSION-PYTHON-ABI-PLATFORM.whl")
        name, tags = parts[0], "-".join(parts[-3:])
    modules = tuple(dict.fromkeys(filter(None, map(_first, names))))
    _check_modules(source, modules)
    manifest = Manifest(name, _digest(content), True, "", "" if modules else None, modules, tags)
    return manifest, content, len(names), size


def _first(name: str) -> str | None:
    """The module to which a file of a zip file belongs."""
    parts = name.split("/")
    if parts[0].endswith(".data") and parts[1] in ("purelib", "platlib"):
        parts = parts[2:]
    if len(parts) == 1:
        return _module(parts[0])
    return parts[0] if parts[0].isidentifier() and _module(parts[-1]) else None
