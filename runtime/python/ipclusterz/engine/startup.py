"""What an engine runs in its namespace before it registers: ``engines.startup_script`` and ``startup_command``."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from ..shared.namespace import Namespace

__all__ = ["COMMAND", "SCRIPT", "StartupError", "run", "wanted"]

SCRIPT = "IPCLUSTERZ_STARTUP_SCRIPT"
"""Variable of the environment: the path of a Python file."""
COMMAND = "IPCLUSTERZ_STARTUP_COMMAND"
"""Variable of the environment: code."""


class StartupError(Exception):
    """It has failed; the text says how. Its traceback is on standard error."""


def wanted(environment: MutableMapping[str, str]) -> list[tuple[str, str]]:
    """Which of the two there are, with their values. Programs that user code starts do not see them."""
    found = [(name, environment.pop(name, "")) for name in (SCRIPT, COMMAND)]
    return [(name, value) for name, value in found if value]


def run(wanted: list[tuple[str, str]], namespace: Namespace) -> None:
    """Run a file, then code.

    Raises
    ------
    StartupError
        When the file cannot be read, or either raises.
    """
    for name, value in wanted:
        try:
            _script(value, namespace) if name == SCRIPT else _code(value, "<startup_command>", namespace)
        except BaseException as error:
            raise StartupError(_told(name, value, error)) from None


def _script(path: str, namespace: Namespace) -> None:
    file = os.path.abspath(os.path.expanduser(path))
    # As Python does: by its own line about the encoding.
    with open(file, "rb") as source:
        text = source.read()
    with namespace.lending("__file__", file):
        _code(text, file, namespace)


def _code(text: str | bytes, name: str, namespace: Namespace) -> None:
    exec(compile(text, name, "exec", dont_inherit=True), namespace.names)


def _told(name: str, value: str, error: BaseException) -> str:
    # Only for an engine that ends.
    import sys
    import traceback

    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
    sys.stderr.flush()
    what = f"engines.startup_script {value}" if name == SCRIPT else "engines.startup_command"
    return f"{what}: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
