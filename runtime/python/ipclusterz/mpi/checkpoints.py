"""Checkpoints: named values of all ranks, kept in files, so that a computation goes on from its last step.

Where the files are is in `checkpoint_folders`, what is in one of them in `checkpoint_file`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..error import IpclusterzError
from . import checkpoint_file, world
from .checkpoint_folders import folder_of, last_number, make, mark_complete, number_of, numbered, remove_older, run_of

__all__ = ["Checkpoint", "CheckpointError", "checkpoint", "restore"]

_OF_RANK = re.compile(r"rank-(\d+)-of-(\d+)")


class _Ranks(Protocol):
    """What is needed of a communicator."""

    rank: int
    size: int

    def allgather(self, obj: Any) -> list[Any]: ...


class CheckpointError(IpclusterzError):
    """There is no checkpoint that all ranks can read, or some rank could not write its part."""


@dataclass(frozen=True)
class Checkpoint:
    """What was read.

    Attributes
    ----------
    step : int
        Which step of the computation it is.
    size, epoch : int
        How many ranks wrote it, and in which epoch.
    run : object
        Of which run it is.
    values : dict of int to dict
        For each rank that was asked for the values by name, as that rank kept them.
    """

    step: int
    size: int
    epoch: int
    values: dict[int, dict[str, Any]]
    run: Any = None


def checkpoint(
    names: str | Sequence[str] | dict[str, Any],
    folder: str | os.PathLike[str] | None = None,
    step: int | None = None,
    comm: _Ranks | None = None,
    run: Any = None,
) -> int:
    """Keep values of this rank in a file. All ranks must call it; it returns when all files are on the disk.

    The checkpoint of this run before this one is kept too, and older ones of it are removed, so that for a moment there
    are three. Files appear whole or not at all, and only their owner can read them.

    Parameters
    ----------
    names : str, sequence of str, or dict
        Names of the engine's namespace, or the values themselves by name. Anything that can be pickled; arrays are
        written without a copy.
    folder : path-like, optional
        The same on all ranks, on a file system of each host, or one that they share: only then can others read what a
        lost rank kept. Left out: `$IPCLUSTERZ_CHECKPOINTS`, or `.ipclusterz-checkpoints/CLUSTER` where the engine runs.
    step : int, optional
        Which step of the computation this is, the same on all ranks; `restore` tells it. Left out: counted.
    comm : Comm, optional
        Whose ranks they are; `comm()` when left out.
    run : str or dict, optional
        Which computation it is of, the same on all ranks: a name, with all that makes it another one, such as sizes.
        `restore` takes no checkpoint of another run. Anything that JSON has.

    Returns
    -------
    int
        The step.

    Raises
    ------
    KeyError
        When a name is not there.
    OSError
        When this rank cannot write.
    CheckpointError
        When another rank could not, and which. What was kept before is untouched.

    Examples
    --------
    In a function that runs on all ranks::

        for step in range(first, 1000):
            u = advance(comm, u)
            if step % 100 == 0:
                mpi.checkpoint({"u": u}, step=step)
    """
    ranks = world.comm() if comm is None else comm
    own: Exception | None = None
    values: dict[str, Any] = {}
    place, last, named = Path(), 0, None
    try:
        named = run_of(run)
        place = folder_of(folder, named)
        last = last_number(place)
        values = _values(names)
        if step is not None and (not isinstance(step, int) or step < 0):
            raise ValueError(f"step: {step!r} is not the number of a step; give a whole number, or leave it out")
    except Exception as error:
        own = error
    told = _together(ranks, own, (last, step, named, secrets.token_hex(4)))
    number = 1 + max(newest for newest, *_ in told)
    _same("step", {step for _, step, *_ in told})
    _same("run", {run for _, _, run, _ in told})
    at = place / f"{number:08}-{told[0][3]}"
    number_of_step = number if step is None else step
    header = checkpoint_file.Header(
        ranks.rank, ranks.size, getattr(ranks, "epoch", 1), number_of_step, sorted(values), named
    )  # fmt: skip
    try:
        make(at)
        checkpoint_file.write(at / f"rank-{ranks.rank}-of-{ranks.size}", header, values)
    except Exception as error:
        own = error
    hosts = _together(ranks, own, platform.node())
    if hosts.index(platform.node()) == ranks.rank:
        # Neither is needed: one without the mark is kept as well as it is, and older ones go the next time.
        with contextlib.suppress(OSError):
            mark_complete(at)
            remove_older(place, number)
    return number_of_step


def restore(
    names: str | Sequence[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    ranks: Iterable[int] | Callable[[int], Iterable[int]] | None = None,
    comm: _Ranks | None = None,
    run: Any = None,
) -> Checkpoint | None:
    """Read the newest checkpoint of a run that every rank can read, the same on all. All ranks must call it.

    One of which a file is missing, or is not what was written, is passed over for the one before it.

    Parameters
    ----------
    names : str or sequence of str, optional
        Which of the kept names; all when left out.
    folder : path-like, optional
        As for `checkpoint`.
    ranks : iterable of int, or function, optional
        Whose values to read; each rank may ask for others. A function is given the number of ranks that wrote the
        checkpoint, so that `range` is all of them. Left out: this rank's own, which are also put into the namespace
        of the engine; as many ranks must have written it as there are now.
    comm : Comm, optional
        Whose ranks they are; `comm()` when left out.
    run : str or dict, optional
        As for `checkpoint`: those of another run are not taken, nor, when it is left out, those of any that has a name.

    Returns
    -------
    Checkpoint or None
        None when no rank has any checkpoint of the run.

    Raises
    ------
    CheckpointError
        When there are checkpoints, and none that all ranks can read; with what is wrong with each.
    KeyError
        When it does not have a name.

    Examples
    --------
    In a function that runs on all ranks, of which some may have been lost since::

        saved = mpi.restore(ranks=range)
        whole = np.concatenate([saved.values[rank]["u"] for rank in range(saved.size)])
    """
    present = world.comm() if comm is None else comm
    place, here, own, named = Path(), [], None, None
    try:
        named = run_of(run)
        place = folder_of(folder, named)
        here = [path.name for path in numbered(place)]
    except Exception as error:
        own = error
    told = _together(present, own, (here, named))
    _same("run", {run for _, run in told})
    everyone = [names for names, _ in told]
    known = set().union(*everyone)
    if not known:
        return None
    reasons = [
        f"{name}: rank {rank} does not see it in {place}"
        for name in known
        for rank, seen in enumerate(everyone)
        if name not in seen
    ]
    for name in sorted(set(everyone[0]).intersection(*everyone), key=number_of, reverse=True):
        found: Checkpoint | None = None
        wrong: str | None = None
        try:
            found = _read(place / name, ranks, present, named)
        except Exception as error:
            wrong = str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}"
        texts = present.allgather(wrong)
        if found is not None and not any(texts):
            return _chosen(found, names, present, put=ranks is None)
        reasons += [f"{name}: on rank {rank}, {text}" for rank, text in enumerate(texts) if text]
    raise CheckpointError(
        "there is no checkpoint that all ranks can read:" + "".join(f"\n  {reason}" for reason in sorted(reasons)[-8:]),
        hint="what a lost rank kept can be read by others in a folder that all hosts share; "
        "after a shrink ask for the values of the ranks that were, as by ranks=range",
    )


def _same(what: str, given: set[Any]) -> None:
    if len(given) > 1:
        raise CheckpointError(
            f"{what}: ranks gave {', '.join(map(str, sorted(given, key=str)))}; all must give the same"
        )


def _read(at: Path, ranks: Any, present: _Ranks, run: str | None) -> Checkpoint:
    """Read the wanted files of one checkpoint."""
    sizes = {int(found[2]) for path in at.iterdir() if (found := _OF_RANK.fullmatch(path.name))}
    if len(sizes) != 1:
        raise CheckpointError(f"there are no files of ranks in {at}")
    size = sizes.pop()
    if ranks is None and size != present.size:
        raise CheckpointError(f"it was written by {size} ranks, and there are {present.size}")
    wanted = [present.rank] if ranks is None else list(ranks(size) if callable(ranks) else ranks)
    step, epoch, of, values = 0, 0, run, {}
    for rank in wanted:
        path = at / f"rank-{rank}-of-{size}"
        try:
            header, values[rank] = checkpoint_file.read(path)
        except FileNotFoundError:
            raise CheckpointError(f"there is no {path}") from None
        except checkpoint_file.DamagedError as error:
            raise CheckpointError(f"{path} {error}") from None
        step, epoch, of = header.step, header.epoch, header.run
    if not wanted:
        # Who wants no values is told the step all the same.
        header = checkpoint_file.read_header(next(at.glob("rank-*")))
        step, epoch, of = header.step, header.epoch, header.run
    if of != run:
        raise CheckpointError(f"it is of the run {of}, and {run} was asked for")
    return Checkpoint(step, size, epoch, values, None if run is None else json.loads(run))


def _chosen(found: Checkpoint, names: str | Sequence[str] | None, present: _Ranks, put: bool) -> Checkpoint:
    """Leave out what is not wanted, and put the rest into the namespace."""
    if names is not None:
        wanted = [names] if isinstance(names, str) else list(names)
        own: Exception | None = None
        for rank, values in found.values.items():
            if missing := [name for name in wanted if name not in values]:
                own = KeyError(f"rank {rank} did not keep {', '.join(missing)}; it kept {', '.join(values)}")
                break
        _together(present, own, None)
        for values in found.values.values():
            for name in set(values).difference(wanted):
                del values[name]
    if put:
        _namespace().update(found.values[present.rank])
    return found


def _together(ranks: _Ranks, own: Exception | None, told: Any) -> list[Any]:
    """What each rank tells; an error on all of them when one has one, so that nobody waits for it."""
    everyone = ranks.allgather((own and f"{type(own).__name__}: {own}", told))
    if own is not None:
        raise own
    if wrong := [f"rank {rank}: {text}" for rank, (text, _) in enumerate(everyone) if text]:
        raise CheckpointError("some ranks have failed, and so nothing was done\n  " + "\n  ".join(wrong[:8]))
    return [value for _, value in everyone]


# -- names --------------------------------------------------------------------------------------------------------


def _namespace() -> dict[str, Any]:
    # An engine has put the user's namespace there.
    return sys.modules["__main__"].__dict__


def _values(names: str | Sequence[str] | dict[str, Any]) -> dict[str, Any]:
    if isinstance(names, dict):
        return names
    namespace = _namespace()
    wanted = [names] if isinstance(names, str) else list(names)
    if missing := [name for name in wanted if name not in namespace]:
        raise KeyError(f"name {', '.join(map(repr, missing))} is not defined on this rank")
    return {name: namespace[name] for name in wanted}
