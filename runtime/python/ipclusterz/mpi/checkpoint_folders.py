"""The folders of checkpoints, and which of them are kept.

    FOLDER/00000012-5f0c81d2/rank-3-of-4     what rank 3 kept (`checkpoint_file`)
    FOLDER/00000012-5f0c81d2/complete        all ranks have done so
    FOLDER/run-heat-200-1c9f03ab52d1/...     the same of a run

Those of a run that has a name are in a folder of FOLDER, which has a part of that name. Each checkpoint has a folder of
its own. Its number is one more than any that a rank sees. Its other half is random: it
tells apart two checkpoints that were begun under the same number by worlds that did not know of each other. FOLDER may
be shared by all hosts, or be on a disk of each host.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from .checkpoint_file import sync_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["folder_of", "last_number", "make", "mark_complete", "number_of", "numbered", "remove_older", "run_of"]

# Variable of the environment.
FOLDER = "IPCLUSTERZ_CHECKPOINTS"

_KEPT = 2
_RUN = "run"
# Of a run, in the name of its folder.
_LONGEST_WORDS = 40
_COMPLETE = "complete"
_NUMBERED = re.compile(r"(\d{8,})-[0-9a-f]{8}")


def run_of(given: Any) -> str | None:
    """A run as text, the same for equal ones.

    Raises
    ------
    TypeError
        When it is nothing that JSON has.
    """
    if given is None:
        return None
    try:
        return json.dumps(given, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"run: {given!r:.80} is no name of a run ({error}); give a text, or a dict of texts and numbers"
        ) from None


def folder_of(given: str | os.PathLike[str] | None, run: str | None = None) -> Path:
    """FOLDER: the one that was given, else the environment's, else one in the current folder; in it, that of a run."""
    if given is None:
        given = os.environ.get(FOLDER) or Path(".ipclusterz-checkpoints", _cluster())
    folder = Path(given).expanduser().absolute()
    return folder if run is None else folder / _folder_of_run(run)


def _folder_of_run(run: str) -> str:
    # The words are for people; the hash tells runs apart.
    words = "-".join(re.findall("[A-Za-z0-9]+", run))[:_LONGEST_WORDS].strip("-")
    return "-".join(filter(None, [_RUN, words, hashlib.blake2b(run.encode(), digest_size=6).hexdigest()]))


def _cluster() -> str:
    """The name of the cluster: that of the folder with its connection file."""
    arguments = [os.fsdecode(each) for each in Path("/proc/self/cmdline").read_bytes().split(b"\0")]
    if "--connection-file" not in arguments[:-1]:
        return ""
    return Path(arguments[arguments.index("--connection-file") + 1]).parent.name


def number_of(name: str) -> tuple[int, str]:
    """By what the folders of checkpoints are sorted: the number, then the name."""
    return int(name.partition("-")[0]), name


def numbered(place: Path) -> list[Path]:
    """The folders of checkpoints, oldest first."""
    try:
        found = [path for path in place.iterdir() if _NUMBERED.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda path: number_of(path.name))


def last_number(place: Path) -> int:
    """The highest number that this host sees; 0 when there is none."""
    return max((number_of(path.name)[0] for path in numbered(place)), default=0)


def make(at: Path) -> None:
    """Make the folder of a checkpoint, which another rank may have made."""
    of_run = at.parent.name.startswith(_RUN)
    for folder in [at.parent.parent, at.parent][not of_run :]:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    at.mkdir(mode=0o700, exist_ok=True)
    for folder in [at.parent.parent, at.parent][not of_run :]:
        sync_folder(folder)


def mark_complete(at: Path) -> None:
    """Say that all ranks have written their files."""
    (at / _COMPLETE).touch()


def remove_older(place: Path, number: int) -> None:
    """Keep the newest that are complete, and what is newer than those."""
    present = numbered(place)
    complete = [path for path in present if (path / _COMPLETE).exists()]
    for path in present:
        if path not in complete[-_KEPT:] and number_of(path.name)[0] < number:
            shutil.rmtree(path, ignore_errors=True)
