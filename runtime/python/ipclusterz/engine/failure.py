"""Exceptions to error replies: whatever was raised, something readable goes back.

An error reply is one pickled dictionary with ``ename``, ``evalue``, ``traceback``, ``method``, ``hint`` and ``exception``
(the pickled exception, or None). The client makes a `RemoteError` of it.
"""

from __future__ import annotations

from ..serialize import PROTOCOL, dumps, loads, plain_dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["error_frames"]

_PACKAGE = __file__.rpartition("engine")[0]

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


def _describe(error: BaseException, method: str, engine_id: int) -> dict[str, object]:
    from ..error import IpclusterzError, SerializationError

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

    try:
        return "".join(traceback.format_exception(type(error), error, user_part(error.__traceback__)))
    except BaseException:
        frames = "".join(traceback.format_tb(user_part(error.__traceback__)))
        return f"Traceback (most recent call last):\n{frames}{type(error).__name__}\n"


def user_part(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is not this package's; all of it when every frame is."""
    part = trace
    while part is not None and part.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        part = part.tb_next
    return part if part is not None else trace


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
