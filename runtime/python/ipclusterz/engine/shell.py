"""Running cells of code: through IPython where the engine has it, through plain Python elsewhere.

Both shells have `run`, which gives the execution count and the text of the last expression's value or raises what the
cell raised, and `reset`. The choice is made at the first cell, so that an engine that only runs functions never
imports IPython.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .namespace import Namespace

    class Shell(Protocol):
        def run(self, code: str, silent: bool) -> tuple[int, str | None]: ...
        def reset(self) -> None: ...


__all__ = ["PlainShell", "make_shell"]


def make_shell(namespace: Namespace) -> Shell:
    """The best shell that this environment has."""
    try:
        from .ipython import IPythonShell

        return IPythonShell(namespace)
    except ImportError:
        return PlainShell(namespace)
    except Exception as error:
        # A broken IPython, or one that is too old, must not take `execute` away.
        import sys

        print(f"IPython cannot be used, plain Python runs the cells: {error!r}", file=sys.stderr)
        return PlainShell(namespace)


class PlainShell:
    """A prompt without IPython: the value of a last expression is shown, and is ``_`` afterwards."""

    def __init__(self, namespace: Namespace) -> None:
        self._names: dict[str, Any] = namespace.names
        self._count = 0

    def run(self, code: str, silent: bool) -> tuple[int, str | None]:
        """Run a cell.

        Parameters
        ----------
        code : str
            Any number of statements.
        silent : bool
            Do not count the cell and do not keep or show its value.

        Returns
        -------
        tuple of int and str or None
            The cell's number, and the ``repr`` of its last expression unless that is None.
        """
        import ast

        if not silent:
            self._count += 1
        filename = f"<cell {self._count}>"
        tree = ast.parse(code, filename)
        self._remember_source(filename, code)
        last: ast.Expression | None = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        exec(compile(tree, filename, "exec", dont_inherit=True), self._names)
        if last is None:
            return self._count, None
        value = eval(compile(last, filename, "eval", dont_inherit=True), self._names)
        if value is None or silent:
            return self._count, None
        text = repr(value)
        self._names["_"] = value
        return self._count, text

    def reset(self) -> None:
        """Nothing is kept outside the namespace but the count, which goes on."""

    def _remember_source(self, filename: str, code: str) -> None:
        # Tracebacks and inspect.getsource look here for the lines of a file that does not exist.
        import linecache

        linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
