"""Finds the MPI library of this process for an extension that is linked to none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from . import process
from .clues import VARIABLE, Clue, Wish, clues, wish
from .errors import VARIABLE_HINT, MPILibraryError
from .families import FAMILIES
from .library import Library, open_library

__all__ = ["check_variable", "named_file", "search"]


def search(environment: Mapping[str, str], serves: tuple[str, ...]) -> tuple[Library, str]:
    """The library that this process is to use, open, and why it is that one.

    Raises
    ------
    MPILibraryError
        When none can be used; it says what was looked at.
    """
    check_variable(environment, serves)
    wanted = _wish(environment)
    return _first(_clues(wanted, environment), wanted, serves)


def check_variable(environment: Mapping[str, str], serves: tuple[str, ...]) -> None:
    """Refuse a value of the variable that is neither a family that is served nor a file.

    Raises
    ------
    MPILibraryError
        When it is neither.
    """
    value = environment.get(VARIABLE, "")
    if not value or value in serves or named_file(environment):
        return
    problem = "there is no such file" if "/" in value else "it is neither a family nor the path of a file"
    if value in FAMILIES:
        problem = "this build has no extension for it"
    raise MPILibraryError(
        f"the variable {VARIABLE} is {value!r}: {problem}",
        f"it may be {_either(serves)}, or the path of an MPI library, as in {VARIABLE}=/path/to/libmpi.so.40",
    )


def named_file(environment: Mapping[str, str]) -> Path | None:
    """The library that the variable names; None where it names none."""
    value = environment.get(VARIABLE, "")
    return Path(value) if "/" in value and Path(value).is_file() else None


def _wish(environment: Mapping[str, str]) -> Wish:
    """The family that the variable says, or else that of the program that started this process."""
    by_start = wish(environment)
    value = environment.get(VARIABLE, "")
    if value in FAMILIES:
        fits = by_start.family == value
        return Wish(value, f"the variable {VARIABLE} is {value}", by_start.starter if fits else None)
    # Whoever names a file, or has loaded one, has chosen. Ranks that it leaves alone are noticed when MPI has begun.
    if value or process.loaded_libraries():
        return Wish(None, "", None)
    return by_start


def _clues(wanted: Wish, environment: Mapping[str, str]) -> Iterable[Clue]:
    present, named = process.loaded_libraries(), named_file(environment)
    if not present:
        return [Clue(f"in the variable {VARIABLE}", (named,))] if named else clues(wanted, environment)
    if named and not any(named.resolve() == path.resolve() for path in present):
        raise _occupied(present, f"the variable {VARIABLE} names {named}")
    if len(present) > 1:
        raise _occupied(present, "only one can be used")
    return [Clue("in this process, where mpi4py or another module has loaded it", tuple(present))]


def _occupied(present: list[Path], why: str) -> MPILibraryError:
    libraries = " and ".join(map(str, present))
    return MPILibraryError(
        f"this process has loaded {libraries} already, and {why}",
        f"have other modules use the same MPI (for mpi4py: MPI4PY_LIBMPI), or set {VARIABLE} to what they use",
    )


def _first(places: Iterable[Clue], wanted: Wish, serves: tuple[str, ...]) -> tuple[Library, str]:
    """The first library that can be used."""
    looked, tried = [], {}
    for clue in places:
        looked.append(clue.source)
        for path in clue.files:
            if (file := path.resolve()) in tried:
                continue
            try:
                library = open_library(path)
                _check(library, wanted, serves)
            except OSError as error:
                tried[file] = f"{path}: {str(error).removeprefix(f'{path}: ')}"
                continue
            return library, ", and ".join(filter(None, [wanted.why, f"it was found {clue.source}"]))
    raise _nothing(looked, list(tried.values()), wanted, serves)


def _check(library: Library, wanted: Wish, serves: tuple[str, ...]) -> None:
    if library.family not in serves:
        raise OSError(f"it is {library.says!r}, and there are extensions for {_titles(serves)} alone")
    if wanted.family not in (None, library.family):
        raise OSError(f"it is {library.says!r}, and {wanted.why}")


def _nothing(looked: list[str], tried: list[str], wanted: Wish, serves: tuple[str, ...]) -> MPILibraryError:
    families = (wanted.family,) if wanted.family else serves
    files = _either(FAMILIES[family].files[0] for family in families)
    lines = [
        f"no MPI library can be loaded ({wanted.why or 'only this one may be used'})",
        *(f"looked {source}" for source in dict.fromkeys(looked)),
        *tried,
    ]
    if not wanted.why:
        return MPILibraryError("\n  ".join(lines), f"use another MPI library; {VARIABLE_HINT}")
    return MPILibraryError(
        "\n  ".join(lines),
        f"load the module of the MPI that starts the ranks, so that LD_LIBRARY_PATH or mpicc leads to {files}; "
        f"{VARIABLE_HINT}",
    )


def _titles(serves: tuple[str, ...]) -> str:
    return " and for ".join(FAMILIES[family].title for family in serves)


def _either(values: Iterable[str]) -> str:
    return " or ".join(values)
