"""The options of the parallel magics, from text. Pure; what they mean to engines is in `magics`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .follow import GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .targets import Targets

__all__ = ["CONFIG", "RESULT", "RUN", "BadOption", "Options", "parse"]

_WAITING = ("block", "noblock", "targets", "stream", "no-stream", "progress-after", "signal-on-interrupt")

RUN = (*_WAITING, "verbose", "no-verbose", "local", "group-outputs", "out", "mpi")
"""The options of ``%px`` and ``%%px``."""

CONFIG = (*_WAITING, "verbose", "no-verbose")
"""The options of ``%pxconfig``."""

RESULT = ("group-outputs", "out")
"""The options of ``%pxresult``."""

_TAKES_A_VALUE = frozenset({"targets", "group-outputs", "out", "progress-after", "signal-on-interrupt"})

# Short for an option, and perhaps its value.
_SHORT = {
    "-a": "--noblock",
    "-b": "--block",
    "-e": "--group-outputs=engine",
    "-o": "--out",
    "-r": "--group-outputs=order",
    "-t": "--targets",
}

# Options stand before the code, which begins at the first word without hyphens.
_A_VALUE = r"\[[^]]*\]|\{[^}]*\}"
_OPTION = re.compile(rf"--(?P<name>[A-Za-z][\w-]*)(?:=(?P<value>{_A_VALUE}|\S*))?(?:\s+|$)")
_VALUE = re.compile(rf"(?P<value>{_A_VALUE}|[^-\s]\S*|-\d\S*)(?:\s+|$)")
_LETTER = re.compile(r"(?P<letter>-[abeort])(?=\s|$|(?<=-[ot])[\w{\[])")


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
    progress_after: float | None = None
    signal: int | None = None


def parse(
    text: str,
    known: Collection[str],
    *,
    letters: bool = False,
    expand: Callable[[str], str] = str,
) -> tuple[Options, str]:
    """Options at the beginning of a text, and the rest of it.

    Parameters
    ----------
    text : str
        What follows the magic's name.
    known : collection of str
        The options that the magic has.
    letters : bool
        Whether ``-t`` and the like are options, or code.
    expand : callable
        Gives what the value of an option stands for.

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
    while match := _OPTION.match(rest := _in_full(rest) if letters else rest):
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
        found[name] = expand(value) if value else ""
    options = Options(
        block=_switch(found, "block", "noblock"),
        targets=_targets(found["targets"]) if "targets" in found else None,
        local="local" in found,
        mpi="mpi" in found,
        group=found.get("group-outputs"),
        out=found.get("out"),
        stream=_switch(found, "stream", "no-stream"),
        verbose=_switch(found, "verbose", "no-verbose"),
        progress_after=_seconds(found["progress-after"]) if "progress-after" in found else None,
        signal=_signal(found["signal-on-interrupt"]) if "signal-on-interrupt" in found else None,
    )
    _check(options)
    return options, rest


def _in_full(text: str) -> str:
    """A text that may begin with a short option, with the long one."""
    match = _LETTER.match(text)
    if match is None:
        return text
    rest = text[match.end() :]
    return _SHORT[match["letter"]] + (rest if rest[:1].isspace() or not rest else f"={rest}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise BadOption(f"--progress-after {text} is no number of seconds\nhint: -1 is never, 0 is at once") from None
    return seconds


def _signal(text: str) -> int:
    from signal import Signals

    try:
        if text.isdigit():
            return int(text) and int(Signals(int(text)))
        return int(Signals[text if text.startswith("SIG") else f"SIG{text}"])
    except (ValueError, KeyError):
        hint = "a name as in SIGINT, a number, or 0 for none: then the code goes on"
        raise BadOption(f"--signal-on-interrupt {text} is no signal\nhint: {hint}") from None


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
