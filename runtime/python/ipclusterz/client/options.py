"""The options of the parallel magics, from text. Pure; what they mean to engines is in `magics`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .follow import GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from .targets import Targets

__all__ = ["CONFIG", "RUN", "BadOption", "Options", "parse"]

RUN = ("block", "noblock", "targets", "local", "group-outputs", "out", "stream", "no-stream", "mpi")
"""The options of ``%px`` and ``%%px``."""

CONFIG = ("block", "noblock", "targets", "stream", "no-stream", "verbose", "no-verbose")
"""The options of ``%pxconfig``."""

_TAKES_A_VALUE = frozenset({"targets", "group-outputs", "out"})

# Options stand before the code, which begins at the first word without two hyphens.
_OPTION = re.compile(r"--(?P<name>[A-Za-z][\w-]*)(?:=(?P<value>\[[^]]*\]|\S*))?(?:\s+|$)")
_VALUE = re.compile(r"(?P<value>\[[^]]*\]|[^-\s]\S*|-\d\S*)(?:\s+|$)")


class BadOption(ValueError):
    """An option is unknown, has no or a bad value, or contradicts another one; the text says which."""


@dataclass
class Options:
    """What the options say; None where nothing was said."""

    block: bool | None = None
    targets: Targets = None
    local: bool = False
    mpi: bool = False
    group: str | None = None
    out: str | None = None
    stream: bool | None = None
    verbose: bool | None = None


def parse(text: str, known: Collection[str]) -> tuple[Options, str]:
    """Options at the beginning of a text, and the rest of it.

    Parameters
    ----------
    text : str
        What follows the magic's name.
    known : collection of str
        The options that the magic has.

    Returns
    -------
    (Options, str)

    Raises
    ------
    BadOption
        See there.

    Examples
    --------
    >>> options, code = parse("--targets 0,2 --noblock x = 1", RUN)
    >>> options.targets, options.block, code
    ([0, 2], False, 'x = 1')
    """
    found: dict[str, str] = {}
    rest = text.strip()
    while match := _OPTION.match(rest):
        name, value = match["name"], match["value"]
        if name not in known:
            raise BadOption(_unknown(name, known))
        if name in found:
            raise BadOption(f"--{name} is given twice")
        rest = rest[match.end() :]
        if name in _TAKES_A_VALUE and value is None and (behind := _VALUE.match(rest)):
            value, rest = behind["value"], rest[behind.end() :]
        if name in _TAKES_A_VALUE and not value:
            raise BadOption(f"--{name} needs a value")
        if name not in _TAKES_A_VALUE and value is not None:
            raise BadOption(f"--{name} takes no value, and was given {value!r}")
        found[name] = value or ""
    options = Options(
        block=_switch(found, "block", "noblock"),
        targets=_targets(found["targets"]) if "targets" in found else None,
        local="local" in found,
        mpi="mpi" in found,
        group=found.get("group-outputs"),
        out=found.get("out"),
        stream=_switch(found, "stream", "no-stream"),
        verbose=_switch(found, "verbose", "no-verbose"),
    )
    _check(options)
    return options, rest


def _unknown(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    meant = f", did you mean --{near[0]}?" if near else ""
    return f"there is no option --{name}{meant}\nhint: the options are {', '.join(f'--{each}' for each in known)}"


def _switch(found: dict[str, str], on: str, off: str) -> bool | None:
    if on in found and off in found:
        raise BadOption(f"--{on} and --{off} contradict each other")
    return True if on in found else False if off in found else None


def _targets(text: str) -> Targets:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        if text == "all":
            return text
        if ":" in inner:
            return slice(*(int(edge) if edge.strip() else None for edge in inner.split(":")))
        ids = [int(part) for part in inner.split(",") if part.strip()]
    except (ValueError, TypeError):
        ids = []
    if not ids:
        raise BadOption(
            f"--targets {text} names no engines\nhint: an id, ids as in 0,2, a slice as in 1:3 or ::2, or all"
        )
    return ids[0] if text.strip().lstrip("-").isdigit() else ids


def _check(options: Options) -> None:
    if options.group is not None and options.group not in GROUPS:
        raise BadOption(f"--group-outputs {options.group} is none of {', '.join(GROUPS)}")
    if options.group is not None and options.stream:
        raise BadOption("--stream shows output as it comes, which cannot be grouped: leave --group-outputs out")
    if options.block is False and (options.group is not None or options.stream):
        raise BadOption("--noblock shows no output: look at the result with display_outputs()")
    if options.out is not None and not options.out.isidentifier():
        raise BadOption(f"--out {options.out} is no name of a variable")
