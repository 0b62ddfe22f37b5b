"""The names and the source lines of code that comes from another process.

A traceback, a debugger and `inspect.getsource` look for lines in the file that code names. Where the code runs, that
file may be missing (a cell of a notebook, a script on another host) or have other content by now. So the lines of a
function travel with its code. Where there is no such file, `linecache` is given them at once. Where there is one,
tracebacks that are sent back have them.
"""

from __future__ import annotations

import builtins
import os
import sys
from types import CodeType
from weakref import ref

from ..compat import zip_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any

    # Number of the first line, and the text from there on.
    Lines = tuple[int, str]

__all__ = ["keep_lines", "lines_of", "make", "parts_of", "traceback_lines"]

_PARTS_OF_VERSION: tuple[str, ...]
if sys.version_info >= (3, 11):
    _PARTS_OF_VERSION = ("co_qualname", "co_linetable", "co_exceptiontable")
elif sys.version_info >= (3, 10):
    _PARTS_OF_VERSION = ("co_linetable",)
else:
    _PARTS_OF_VERSION = ("co_lnotab",)
# By name, because the order of the constructor's arguments is that of one version of Python.
_PARTS = (
    "co_argcount",
    "co_posonlyargcount",
    "co_kwonlyargcount",
    "co_nlocals",
    "co_stacksize",
    "co_flags",
    "co_code",
    "co_consts",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_filename",
    "co_name",
    "co_firstlineno",
    *_PARTS_OF_VERSION,
)
# Generated functions may be long; nobody reads their source.
_MOST_CHARACTERS = 100_000


def _empty() -> None:
    pass


_EMPTY = _empty.__code__


class _OfCode:
    """Lines by code object, for as long as that lives."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Any, Lines | None]] = {}

    def get(self, code: CodeType, find: Callable[[CodeType], Lines | None] | None = None) -> Lines | None:
        """What is known, or what `find` gives, which is kept."""
        known = self._of.get(id(code))
        if known is not None and known[0]() is code:
            return known[1]
        found = None if find is None else find(code)
        if find is not None:
            self.set(code, found)
        return found

    def set(self, code: CodeType, lines: Lines | None) -> None:
        key = id(code)
        self._of[key] = (ref(code, lambda gone: self._forget(key, gone)), lines)

    def _forget(self, key: int, gone: object) -> None:
        known = self._of.get(key)
        if known is not None and known[0] is gone:
            del self._of[key]


_found = _OfCode()
_received = _OfCode()
# By file and first line: what was seen already. A function may be sent again with each call.
_kept: dict[tuple[str, int], str] = {}


def parts_of(code: CodeType) -> tuple[Any, ...]:
    """What a code object is made of."""
    return tuple([getattr(code, name) for name in _PARTS])


def make(parts: tuple[Any, ...], lines: Lines | None) -> CodeType:
    """The code object of `parts_of`, and the lines of it and of the code in it."""
    code = _EMPTY.replace(**dict(zip_equal(_PARTS, parts)))
    if lines is not None:
        for each in _inner(code):
            _received.set(each, lines)
        keep_lines(code.co_filename, lines)
    return code


def keep_lines(file: str, lines: Lines) -> None:
    """Have lines found by whoever looks for them in a file that does not exist."""
    key = (file, lines[0])
    if _kept.get(key) != lines[1]:
        _kept[key] = lines[1]
        if file.startswith("<") or not os.path.exists(file):
            _overlay(file, lines)


def lines_of(code: CodeType) -> Lines | None:
    """The lines of a function; None when they are not known."""
    return _received.get(code) or _found.get(code, _find)


class traceback_lines:
    """A block in which the lines of received code are those that came with it, whatever its file has now.

    Parameters
    ----------
    error : BaseException
        Whose traceback is made in the block, with those of its causes.
    """

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self._before: dict[str, Any] = {}

    def __enter__(self) -> None:
        import linecache

        for error in _chain(self._error):
            for code in _codes(error.__traceback__):
                lines = _received.get(code)
                if lines is not None:
                    self._before.setdefault(code.co_filename, linecache.cache.get(code.co_filename))
                    _overlay(code.co_filename, lines)

    def __exit__(self, *_error: object) -> None:
        import linecache

        for file, entry in self._before.items():
            if entry is not None:
                linecache.cache[file] = entry
            else:
                linecache.cache.pop(file, None)


def _overlay(file: str, lines: Lines) -> None:
    # Start-up: an engine that gets no code needs no lines.
    import linecache

    first, text = lines
    new = text.splitlines(keepends=True)
    known = linecache.getlines(file)
    if known[first - 1 : first - 1 + len(new)] == new:
        return
    whole = [*known, *["\n"] * (first - 1 + len(new) - len(known))]
    whole[first - 1 : first - 1 + len(new)] = new
    if new[0][0] in " \t" and first > 1 and whole[first - 2] == "\n":
        # Stands for the `class` line and the like, so that a function above ends there.
        whole[first - 2] = "...\n"
    # Without a time, `linecache` does not compare it with a file.
    linecache.cache[file] = (sum(map(len, whole)), None, whole, file)


def _find(code: CodeType) -> Lines | None:
    # Start-up: both are needed for the first function that is sent by value.
    import inspect
    import linecache

    first = code.co_firstlineno
    try:
        lines = linecache.getlines(code.co_filename)[first - 1 :]
        block = inspect.getblock(lines)
    except Exception:
        # No text that is Python.
        return None
    last = max(map(_last_line, _inner(code)))
    text = "".join(lines[: max(len(block), last - first + 1)])
    return (first, text) if 0 < len(text) <= _MOST_CHARACTERS else None


def _last_line(code: CodeType) -> int:
    if sys.version_info >= (3, 11):
        return max(end or 0 for _, end, _, _ in code.co_positions())
    # Where the last expression begins.
    import dis

    return max(line for _, line in dis.findlinestarts(code))


def _inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _inner(constant)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that its traceback tells."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        if sys.version_info >= (3, 11) and isinstance(each, builtins.BaseExceptionGroup):
            waiting += each.exceptions


def _codes(trace: TracebackType | None) -> Iterator[CodeType]:
    while trace is not None:
        yield trace.tb_frame.f_code
        trace = trace.tb_next
