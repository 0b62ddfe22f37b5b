"""Running cells of code: through IPython where the engine has it, through plain Python elsewhere.

A `Shell` runs a cell and says what it gave, or raises what the cell raised. The choice is made at the first cell, so
that an engine that only runs functions never imports IPython. `history`, which records what cells gave, is imported
then, too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..shared.namespace import Namespace
    from .outcome import Outcome, Shell

__all__ = ["PlainShell", "make_shell"]


def make_shell(namespace: Namespace) -> Shell:
    """The best shell that this environment has."""
    from .history import Recorder

    return Recorder(_best_shell(namespace))


def _best_shell(namespace: Namespace) -> Shell:
    try:
        from .ipython import IPythonShell

        return IPythonShell(namespace)
    except Exception as error:
        # A broken IPython, or one that is too old, must not take `execute` away. That there is none is no fault.
        if isinstance(error, ModuleNotFoundError) and error.name == "IPython":
            return PlainShell(namespace)
        import sys

        print(f"IPython cannot be used, plain Python runs the cells: {error!r}", file=sys.stderr)
        return PlainShell(namespace)


class PlainShell:
    """A prompt without IPython: the value of a last expression is shown as text, and is ``_`` afterwards."""

    def __init__(self, namespace: Namespace) -> None:
        self._names: dict[str, Any] = namespace.names
        self.count = 0

    def run(self, code: str, silent: bool) -> Outcome:
        import ast

        if not silent:
            self.count += 1
        filename = f"<cell {self.count}>"
        tree = ast.parse(code, filename)
        self._remember_source(filename, code)
        last: ast.Expression | None = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        exec(compile(tree, filename, "exec", dont_inherit=True), self._names)
        data = {}
        if last is not None:
            value = eval(compile(last, filename, "eval", dont_inherit=True), self._names)
            if value is not None and not silent:
                data["text/plain"] = repr(value)
                self._names["_"] = value
        return {"count": self.count, "data": data, "metadata": {}}

    def reset(self) -> None:
        """Nothing is kept but the count."""

    def _remember_source(self, filename: str, code: str) -> None:
        # Tracebacks and inspect.getsource look here for the lines of a file that does not exist.
        import linecache

        linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
