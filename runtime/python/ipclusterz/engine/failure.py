"""Exceptions to error replies: whatever was raised, something readable goes back.

An error reply is one pickled dictionary with ``ename``, ``evalue``, ``traceback``, ``method``, ``hint`` and
``exception`` (the pickled exception, or None). The client makes a `RemoteError` of it.
"""

from __future__ import annotations

import sys

from ..error import IpclusterzError, SerializationError
from ..shared.serialize import PROTOCOL, dumps, loads, plain_dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from traceback import FrameSummary

__all__ = ["error_frames", "tell_in_log"]

_PACKAGE = __file__.rpartition("engine")[0]
_SIGNAL_HANDLER = f"{_PACKAGE}engine/state.py"

# An exception that drags a large object along is not worth sending twice.
_LARGEST_EXCEPTION = 1024 * 1024


def error_frames(error: BaseException, method: str, engine_id: int) -> list[bytes]:
    """The frames of the reply to a call that raised `error`.

    Never raises: an exception whose text or pickle fails arrives without them.
    """
    try:
        return [plain_dumps(_describe(error, method, engine_id), PROTOCOL)]
    except BaseException:
        # Out of memory or of stack while describing: the name alone is always there.
        bare = {"ename": type(error).__name__, "evalue": "", "traceback": "", "method": method}
        return [plain_dumps(bare, PROTOCOL)]


def tell_in_log(error: BaseException) -> None:
    """Write to the engine's log what the handler of a signal raised while no task ran, and go on."""
    from traceback import format_exception

    try:
        text = "".join(format_exception(error))
    except BaseException:
        text = f"{type(error).__name__}\n"
    print(f"ipclusterz: a signal's handler raised this while no task ran; the engine goes on:\n{text}", file=sys.stderr)


def _describe(error: BaseException, method: str, engine_id: int) -> dict[str, object]:
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
        "hint": _hint(error),
        "exception": _pickled(error),
    }


def _traceback_text(error: BaseException) -> str:
    import traceback

    if isinstance(error, SerializationError):
        # The frames are pickle's and ours; the text says which type it was and why.
        return ""
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
    return filename.startswith(_PACKAGE) or "/IPython/core/" in filename or filename == _ast_file()


def _ast_file() -> str:
    return getattr(sys.modules.get("ast"), "__file__", "")


def _hint(error: BaseException) -> str:
    hint = getattr(error, "hint", "")
    if isinstance(hint, str) and hint:
        return hint
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"the engine cannot import {error.name!r}: install it there, put its folder on the engines' PYTHONPATH, "
            "or define what you need in __main__"
        )
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
