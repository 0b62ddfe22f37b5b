"""Exceptions to error replies: whatever was raised, something readable goes back.

An error reply is one pickled dictionary with ``ename``, ``evalue``, ``traceback``, ``method``, ``hint``, ``exception``
(the pickled exception, or None) and ``arguments`` (what the function was called with, shortened), and for a missing
module ``missing`` (its name) and ``python`` (the engine's). The client makes a `RemoteError` of it.

The reply to a chunk of a map in which elements failed has two more entries: ``values``, the results with None in the
places of those that failed, and ``failed``, for each of these its place in the chunk, its own dictionary, and its
arguments.
"""

from __future__ import annotations

import sys

from ..compat import stdlib_module_names
from ..error import IpclusterzError, SerializationError, VersionError
from ..shared.serialize import PROTOCOL, dumps, loads, plain_dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from reprlib import Repr
    from traceback import FrameSummary
    from typing import Any

    from ..shared.serialize import Frame

    # What is said of an exception.
    Told = dict[str, Any]


__all__ = ["Partly", "brief", "called_with", "error_frames", "tell_in_log", "told_of"]

_PACKAGE = __file__.rpartition("engine")[0]
_SIGNAL_HANDLER = f"{_PACKAGE}engine/state.py"

# An exception that drags a large object along is not worth sending twice.
_LARGEST_EXCEPTION = 1024 * 1024


# Characters of the arguments of a failed call, and of one of them.
_LONGEST_ARGUMENTS = 200
_LONGEST_ARGUMENT = 80
_MOST_ARGUMENTS = 8
# Characters of what other ranks are told of an exception.
_LONGEST_BRIEF = 300


class Partly(Exception):
    """Raised for a chunk of which some elements failed; has the reply."""

    def __init__(self, frames: list[Frame]) -> None:
        super().__init__()
        self.frames = frames


def error_frames(error: BaseException, method: str, engine_id: int, arguments: str = "") -> list[Frame]:
    """The frames of the reply to a call that raised `error`.

    Never raises: an exception whose text or pickle fails arrives without them.
    """
    if isinstance(error, Partly):
        return error.frames
    return [plain_dumps({**told_of(error, method, engine_id), "arguments": arguments}, PROTOCOL)]


def told_of(error: BaseException, method: str, engine_id: int) -> Told:
    """What is said of an exception. Never raises."""
    try:
        return _describe(error, method, engine_id)
    except BaseException:
        # Out of memory or of stack while describing, or a module that is needed for it is broken: what is always there.
        bare = {"ename": type(error).__name__, "evalue": _text(error), "traceback": "", "method": method}
        return {**bare, "hint": "", "exception": None}


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return ""


def brief(error: BaseException) -> str:
    """An exception in one short line, for other ranks. Never raises."""
    text = " ".join(_text(error)[:_LONGEST_BRIEF].split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def tell_in_log(error: BaseException) -> None:
    """Write to the engine's log what the handler of a signal raised while no task ran, and go on."""
    from traceback import format_exception

    try:
        text = "".join(format_exception(type(error), error, error.__traceback__))
    except BaseException:
        text = f"{type(error).__name__}\n"
    print(f"ipclusterz: a signal's handler raised this while no task ran; the engine goes on:\n{text}", file=sys.stderr)


def called_with(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """The arguments of a call in one short line. Survives objects whose `repr` fails."""
    if not arguments and not keywords:
        return ""
    try:
        shorten = _shortener()
        shown = [_short(shorten, value) for value in arguments[:_MOST_ARGUMENTS]]
        shown += [f"{name}={_short(shorten, value)}" for name, value in list(keywords.items())[:_MOST_ARGUMENTS]]
        if max(len(arguments), len(keywords)) > _MOST_ARGUMENTS:
            shown.append("…")
        text = ", ".join(shown)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return "…"
    return text if len(text) <= _LONGEST_ARGUMENTS else f"{text[: _LONGEST_ARGUMENTS - 1]}…"


def _shortener() -> Repr:
    import reprlib

    class Shortener(reprlib.Repr):
        """Looks at the beginning of large things only."""

        def repr_bytes(self, value: bytes | bytearray, _level: int) -> str:
            return repr(value) if len(value) <= self.maxstring else f"{value[: self.maxstring - 10]!r}…"

        repr_bytearray = repr_bytes

    shorten = Shortener()
    shorten.maxother = shorten.maxlong = _LONGEST_ARGUMENT
    shorten.maxstring = 60
    return shorten


def _short(shorten: Repr, value: object) -> str:
    try:
        text = " ".join(shorten.repr(value).split())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{type(value).__name__} whose repr() raised {type(error).__name__}>"
    return text if len(text) <= _LONGEST_ARGUMENT else f"{text[: _LONGEST_ARGUMENT - 1]}…"


def _describe(error: BaseException, method: str, engine_id: int) -> Told:
    try:
        text = error.message if isinstance(error, IpclusterzError) else str(error)
    except BaseException as second:
        text = f"<str() of it raised {type(second).__name__}>"
    if isinstance(error, SerializationError):
        text += f" (in {method} on engine {engine_id})"
    return {
        "ename": type(error).__name__,
        "evalue": text,
        "traceback": _traceback_text(error),
        "method": method,
        "hint": (hint := _hint(error)),
        "missing": _missing(error) if not hint else "",
        "python": sys.executable,
        "exception": _pickled(error),
    }


def _traceback_text(error: BaseException) -> str:
    # Start-up: no engine needs these before something fails.
    import traceback

    from ..shared.codes import traceback_lines

    if isinstance(error, (SerializationError, VersionError)):
        # The frames are pickle's and ours; the text says which type or function it was, and why.
        return ""
    with traceback_lines(error):
        told = traceback.TracebackException(type(error), error, error.__traceback__)
    links: list[traceback.TracebackException | None] = [told]
    for link in links:
        if link is not None:
            link.stack = traceback.StackSummary.from_list(_user_part(link.stack))
            links += [link.__cause__, link.__context__]
    return "".join(told.format())


def _user_part(stack: list[FrameSummary]) -> list[FrameSummary]:
    """The frames from the user's code on: without those that lead to it, and without our signal handler."""
    first = 0
    while first < len(stack) and _is_machinery(stack[first].filename):
        first += 1
    return [frame for frame in stack[first:] if frame.filename != _SIGNAL_HANDLER]


def _is_machinery(filename: str) -> bool:
    # A cell that is no Python fails in `ast`, before any of it runs.
    if filename.startswith(_PACKAGE) or "/IPython/core/" in filename:
        return True
    # The loop of a coroutine, which is ours when it is above the user's code.
    return filename in (_file_of("ast"), _file_of("asyncio.base_events"))


def _file_of(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", "")


def _missing(error: BaseException) -> str:
    return error.name or "" if isinstance(error, ModuleNotFoundError) else ""


def _hint(error: BaseException) -> str:
    hint = getattr(error, "hint", "")
    if isinstance(hint, str) and hint:
        return hint
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_hint(error.name)
    return ""


def _missing_hint(name: str) -> str:
    """What can be said here of a module that is not there; empty when the client, who may have it, can say more."""
    top = name.partition(".")[0]
    if top in stdlib_module_names():
        return f"{top!r} is a part of Python that {sys.executable} does not have"
    here = sys.modules.get(top)
    if here is not None and top != name:
        version = getattr(here, "__version__", None)
        which = f"{top} {version}" if isinstance(version, str) else f"{top!r}"
        return f"the engine has {which} at {getattr(here, '__file__', None)}, and no {name!r} in it"
    return ""


def _pickled(error: BaseException) -> bytes | None:
    # What a constructor with other arguments than `args` makes of the pickle is only known by trying.
    try:
        frames = dumps(error)
        if len(frames) != 1 or len(frames[0]) > _LARGEST_EXCEPTION:
            return None
        if type(loads(frames)) is not type(error):
            return None
        return bytes(frames[0])
    except BaseException:
        return None
