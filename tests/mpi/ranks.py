"""What the programs of `programs/` share: the communicator, data that every rank can make, and the last line."""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from ipclusterz import mpi


def _fail(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A rank that fails ends at once, and mpiexec ends the others: finalising MPI would wait for them for ever."""
    traceback.print_exception(kind, error, trace)
    sys.stderr.flush()
    os._exit(1)


sys.excepthook = _fail
comm = mpi.comm()
rank, size = comm.rank, comm.size

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FLOATS = ["f4", "f8", "g"]
COMPLEX = ["c8", "c16", "G"]
OTHERS = ["?", "f2"]
# What MPI defines each operator for (MPI 3.1, section 5.9.2), and what it is in numpy.
REDUCTIONS: dict[str, tuple[Any, list[str]]] = {
    "sum": (np.add, INTEGERS + FLOATS + COMPLEX),
    "prod": (np.multiply, INTEGERS + FLOATS + COMPLEX),
    "min": (np.minimum, INTEGERS + FLOATS),
    "max": (np.maximum, INTEGERS + FLOATS),
    "land": (np.logical_and, [*INTEGERS, "?"]),
    "lor": (np.logical_or, [*INTEGERS, "?"]),
    "lxor": (np.logical_xor, [*INTEGERS, "?"]),
    "band": (np.bitwise_and, INTEGERS),
    "bor": (np.bitwise_or, INTEGERS),
    "bxor": (np.bitwise_xor, INTEGERS),
}


def data(of: int, count: int, dtype: str, seed: int = 0) -> Any:
    """What rank `of` has: small whole numbers, so that results are exact in any order."""
    numbers = np.random.default_rng([of, count, seed]).integers(0, 3, count)
    if np.dtype(dtype).kind == "c":
        return (numbers + 1j * (numbers + 1)).astype(dtype)
    return numbers.astype(dtype)


def same(found: Any, wanted: Any, what: object) -> None:
    """Both are the same in every element and in type."""
    assert found.dtype == np.asarray(wanted).dtype, (what, found.dtype, np.asarray(wanted).dtype)
    assert np.array_equal(found, wanted), (what, found, wanted)


def refused(kind: type[BaseException], text: str, call: Any, *arguments: Any, **options: Any) -> None:
    """The call raises that error with that text in it, before other ranks are needed."""
    caught = raised(kind, call, *arguments, **options)
    assert text in str(caught), (text, str(caught))


def raised(kind: type[BaseException], call: Any, *arguments: Any, **options: Any) -> Any:
    """The error of that kind that the call raises."""
    try:
        call(*arguments, **options)
    except kind as error:
        return error
    raise AssertionError(f"{call} was not refused: {kind}")


def done() -> None:
    """The last line, in one piece: print writes its end by itself, and between the two comes another rank's."""
    os.write(1, f"done: rank {rank} of {size}\n".encode())


def leave(folder: Path) -> NoReturn:
    """The end of a world that cannot be finalised, when all ranks have come here: mpiexec kills the others then."""
    done()
    (folder / f"left.{rank}").touch()
    deadline = time.monotonic() + 60
    while len(list(folder.glob("left.*"))) < size and time.monotonic() < deadline:
        time.sleep(0.01)
    os._exit(0)
