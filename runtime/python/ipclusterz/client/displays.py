"""What engines display: figures, tables, HTML and so on, as mime bundles, and how it is shown here.

An engine sends one line of JSON for each display; see `engine.ipython` for what is in them.
"""

from __future__ import annotations

import sys

from ..shared.serialize import loads
from .comms import showable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = ["at_prompt", "cell_number", "entries", "published", "settled", "show", "show_entry"]


def entries(lines: str) -> Iterator[dict[str, Any]]:
    """What an engine sent for each display; see `engine.ipython`."""
    from json import loads as from_json

    return map(from_json, lines.splitlines())


def published(values: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The dictionary of what was published: names and pickles, as `engine.publish` sends them."""
    from binascii import a2b_base64

    return {name: loads([a2b_base64(text)]) for name, text in values}


def settled(log: Iterable[tuple[str, str]]) -> list[tuple[str, Any]]:
    """What there is to see when the code has ended, in order.

    Parameters
    ----------
    log : iterable of (str, str)
        Stream and text of all that a call wrote and displayed.

    Returns
    -------
    list of (str, object)
        For the streams stdout and stderr a text; for the stream display a dictionary with the keys data and metadata.
        What was cleared or replaced is not there.
    """
    shown: list[tuple[str, Any]] = []
    for stream, text in log:
        if stream != "display":
            shown.append((stream, text))
            continue
        for entry in entries(text):
            if "clear" in entry:
                shown = [piece for piece in shown if piece[0] != "display"]
            elif entry.get("update"):
                for kind, old in shown:
                    if kind == "display" and old.get("display_id") == entry["display_id"]:
                        old.update(entry)
            else:
                shown.append(("display", entry))
    return [(stream, _bundle(content) if stream == "display" else content) for stream, content in shown]


def _bundle(entry: dict[str, Any]) -> dict[str, Any]:
    return {"data": entry["data"], "metadata": entry["metadata"]}


def show_entry(engine_id: int, entry: dict[str, Any]) -> None:
    """Show one display of an engine, below its name."""
    place = engine_id if engine_id >= 0 else "?"
    options: dict[str, Any] = {}
    if "display_id" in entry:
        # Engines choose their ids without knowing of each other.
        options = {"display_id": f"{place}-{entry['display_id']}", "update": entry["update"]}
    if not options.get("update"):
        print(f"[output:{place}]")
    show(entry["data"], entry["metadata"], **options)


def show(data: dict[str, Any], metadata: dict[str, Any], **options: Any) -> None:
    """Show a mime bundle: in its best form at IPython's prompt and in a notebook, as text elsewhere."""
    if at_prompt():
        from IPython.display import display

        display(showable(data), metadata=metadata, raw=True, **options)  # type: ignore[no-untyped-call]
    else:
        print(data.get("text/plain", ""))


def at_prompt() -> bool:
    """Whether this is IPython, in a terminal or in a notebook."""
    return _shell() is not None


def cell_number() -> int:
    """The number of the cell that runs now; 0 in a script."""
    shell = _shell()
    return 0 if shell is None else shell.execution_count


def _shell() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()
