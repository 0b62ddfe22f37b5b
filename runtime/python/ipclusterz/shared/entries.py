"""How replies of executed cells are shown: entries of the Results List, as text, in colours and as HTML.

Nothing is computed before somebody looks at it. The replies themselves are in `reply`, which imports this file.
"""

from __future__ import annotations

import os
import sys

from ..compat import zip_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    Paint = Callable[[str, str], str]

    class Failed(Protocol):
        """An `error.RemoteError`."""

        ename: str
        evalue: str

    class Reply(Protocol):
        """A `reply.ExecuteReply`."""

        engine_id: int
        execution_count: int
        code: str
        data: dict[str, Any]
        stdout: str
        stderr: str
        display: list[dict[str, Any]]

        @property
        def result(self) -> str | None: ...
        @property
        def error(self) -> Failed | None: ...


__all__ = ["entry_html", "entry_text", "list_html", "list_text", "painter", "pretty_print", "prompted"]

_TITLE = "<Results List>"

# The colours of IPython's own prompts.
_COLOURS = {"In": "\x1b[32m", "Out": "\x1b[31m", "Err": "\x1b[35m"}
_PLAIN = "\x1b[0m"

# Image formats that a page can embed, the best first.
_IMAGES = ("image/png", "image/jpeg", "image/gif")


def entry_text(reply: Reply, paint: Paint | None = None) -> str:
    """One reply as lines of text: the input, and the output and the errors if there were any."""
    return "\n".join(_entry_lines(reply, paint or _unpainted))


def entry_html(reply: Reply) -> str:
    """One reply as a table."""
    return _table(_rows(reply))


def prompted(prompt: str, text: str, paint: Paint, kind: str) -> str:
    """A prompt and a text. Lines that belong together stay aligned: several of them begin below the prompt."""
    return f"{paint(kind, prompt)}\n{text}" if "\n" in text else f"{paint(kind, prompt)} {text}"


def painter() -> Paint:
    """What colours prompts: ANSI sequences on a terminal, unless the user wants none (``NO_COLOR``)."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return _unpainted
    return lambda kind, prompt: f"{_COLOURS[kind]}{prompt}{_PLAIN}"


def pretty_print(printer: Any, text: str) -> None:
    """Give lines to IPython's pretty printer, which indents them where they are part of something."""
    for number, line in enumerate(text.split("\n")):
        if number:
            printer.break_()
        printer.text(line)


def _unpainted(_kind: str, prompt: str) -> str:
    return prompt


def list_text(replies: Iterable[Reply], paint: Paint | None = None) -> str:
    """Several replies as lines of text, with an empty line behind those that have output."""
    lines = [_TITLE]
    for reply in replies:
        entry = _entry_lines(reply, paint or _unpainted)
        lines += entry
        if len(entry) > 1:
            lines.append("")
    return "\n".join(lines).rstrip("\n")


def _entry_lines(reply: Reply, paint: Paint) -> list[str]:
    place = f"[{reply.engine_id}]"
    first = f"{place} In [{reply.execution_count}]:"
    following = "...:".rjust(len(first))
    code = reply.code.rstrip("\n").split("\n")
    prompts = [first, *[following] * (len(code) - 1)]
    entry = "\n".join(f"{paint('In', prompt)} {line}".rstrip(" ") for prompt, line in zip_equal(prompts, code))
    lines = [entry]
    for kind, text in (("Out", _output(reply)), ("Err", _errors(reply))):
        if text:
            lines.append(prompted(f"{place} {kind}[{reply.execution_count}]:", text, paint, kind))
    return lines


def _output(reply: Reply) -> str:
    displayed = [display["data"].get("text/plain", "") for display in reply.display]
    return _joined(reply.stdout, *displayed, reply.result or "")


def _errors(reply: Reply) -> str:
    error = reply.error
    return _joined(reply.stderr, "" if error is None else f"{error.ename}: {error.evalue}")


def _joined(*texts: str) -> str:
    return "\n".join(text.rstrip("\n") for text in texts if text)


def list_html(replies: Iterable[Reply]) -> str:
    """Several replies as one table."""
    return _table("".join(map(_rows, replies)))


def _table(rows: str) -> str:
    return f'<table class="ipclusterz-results" style="text-align: left"><tbody>{rows}</tbody></table>'


def _rows(reply: Reply) -> str:
    shown = [display["data"] for display in reply.display]
    output = _pre(reply.stdout) + "".join(map(_content, [*shown, reply.data]))
    cells = [("In", _pre(reply.code)), ("Out", output), ("Err", _pre(_errors(reply)))]
    return "".join(
        '<tr style="vertical-align: top">'
        f"<th>[{reply.engine_id}]</th><th>{kind}[{reply.execution_count}]:</th>"
        f'<td style="text-align: left">{content}</td></tr>'
        for kind, content in cells
        if content or kind == "In"
    )


def _content(data: dict[str, Any]) -> str:
    """A mime bundle in its best form. HTML and SVG are the value's own, and trusted as the code that made them."""
    for mime in ("text/html", "image/svg+xml"):
        if mime in data:
            return str(data[mime])
    for mime in _IMAGES:
        if mime in data:
            return f'<img src="data:{mime};base64,{_escaped(data[mime].strip())}">'
    return _pre(data.get("text/plain", ""))


def _pre(text: str) -> str:
    return f'<pre style="margin: 0">{_escaped(text.rstrip())}</pre>' if text.strip() else ""


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)
