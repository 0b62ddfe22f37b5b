"""What `Client.upload` has put on a host, as clients and engines both say it, and where code on an engine finds it."""

from __future__ import annotations

from typing import NamedTuple

from .namespace import is_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Manifest", "Uploaded", "here", "uploaded"]


class Manifest(NamedTuple):
    """What engines are told of an upload. Its content is a tar file, or a zip file if it is `zipped`."""

    name: str
    digest: str
    zipped: bool
    # Within the folder in which the content is unpacked: what `uploaded` gives, and what goes on `sys.path`.
    path: str
    entry: str | None
    modules: tuple[str, ...]
    # Of a wheel: for which Pythons and platforms it is.
    tags: str


class Uploaded(NamedTuple):
    """What `Client.upload` has put where.

    Attributes
    ----------
    name : str
        Under which `ipclusterz.uploaded` finds it on an engine.
    files, bytes : int
        How many files that are, and their size.
    modules : tuple of str
        What engines can import of it.
    places : dict
        From the name of a host to the path there.
    """

    name: str
    files: int
    bytes: int
    modules: tuple[str, ...]
    places: dict[str, str]


here: dict[str, tuple[Manifest, str]] = {}
"""By name: what this engine has taken, and the folder in which that is."""


def uploaded(name: str) -> Path:
    """Where on this host the file or folder is that `Client.upload` has put there; for code that runs on an engine.

    Parameters
    ----------
    name : str
        The name of the file or folder, without the folder that it was in. Of a wheel, the name of the distribution: its
        content is unpacked.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        When nothing of that name was uploaded; says what there is.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "limits.csv")
    ...     _ = file.write_text("0,10")
    ...     rc.upload(file).name
    'limits.csv'
    >>> rc[0].apply_sync(lambda: uploaded("limits.csv").read_text())
    '0,10'
    """
    # Start-up: engines import this when something is uploaded.
    import os
    from pathlib import Path

    if not is_engine():
        raise FileNotFoundError("uploaded() is for code that runs on an engine: here the file is where it was")
    if name not in here:
        there_are = ", ".join(map(repr, here)) or "nothing"
        raise FileNotFoundError(f"nothing was uploaded as {name!r}; there is: {there_are}")
    manifest, folder = here[name]
    return Path(os.path.join(folder, manifest.path))
