"""How replies of cells are shown: the Results List in all its forms, and what engines displayed."""

from __future__ import annotations

import io
import json
import pickle
import sys
from typing import Any

import pytest
from IPython.lib.pretty import pretty

from ipclusterz import Client, ExecuteReply, RemoteError
from ipclusterz.client.displays import settled
from ipclusterz.client.results import ResultsDict, ResultsList


def reply(engine_id: int = 0, code: str = "x", text: str | None = None, **others: Any) -> ExecuteReply:
    data = {} if text is None else {"text/plain": text}
    return ExecuteReply(engine_id=engine_id, execution_count=7 - engine_id, code=code, data=data, **others)


SILENT = [reply(0, "a=5"), reply(2, "a=5")]
SPEAKING = [reply(0, "b=10; print(b)", stdout="10\n"), reply(1, "b=10; print(b)", stdout="10\n")]


def test_the_list_of_the_guide() -> None:
    assert repr(ResultsList(SILENT)) == "<Results List>\n[0] In [7]: a=5\n[2] In [5]: a=5"
    shown = "<Results List>\n[0] In [7]: b=10; print(b)\n[0] Out[7]: 10\n\n[1] In [6]: b=10; print(b)\n[1] Out[6]: 10"
    assert repr(ResultsList(SPEAKING)) == shown
    assert repr(ResultsDict({0: SPEAKING[0], 1: SPEAKING[1]})) == shown
    assert str(SPEAKING[1]) == "[1] In [6]: b=10; print(b)\n[1] Out[6]: 10"
    assert repr(ResultsList([SPEAKING[0], *SILENT])).endswith("Out[7]: 10\n\n[0] In [7]: a=5\n[2] In [5]: a=5")
    assert repr(ResultsList()) == repr(ResultsDict()) == "<Results List>"


def test_they_are_a_list_and_a_dictionary() -> None:
    assert ResultsList(SILENT)[1].engine_id == 2
    assert ResultsDict({2: SILENT[1]})[2].code == "a=5"
    for replies in (ResultsList(SPEAKING), ResultsDict({0: SPEAKING[0]})):
        again = pickle.loads(pickle.dumps(replies))
        assert type(again) is type(replies)
        assert repr(again) == repr(replies)


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        (reply(code="x + 1", text="42"), ["[0] In [7]: x + 1", "[0] Out[7]: 42"]),
        (reply(stdout="one\n", text="2"), ["[0] In [7]: x", "[0] Out[7]:", "one", "2"]),
        (reply(text="array([[0, 1],\n       [2, 3]])"), [..., "[0] Out[7]:", "array([[0, 1],", "       [2, 3]])"]),
        (reply(stderr="careful\n"), ["[0] In [7]: x", "[0] Err[7]: careful"]),
        (reply(stdout="\n  indented\n"), ["[0] In [7]: x", "[0] Out[7]:", "", "  indented"]),
        (reply(error=RemoteError("KeyError", "'k'", "…")), ["[0] In [7]: x", "[0] Err[7]: KeyError: 'k'"]),
        (
            reply(code="for i in x:\n\n    print(i)\n", stdout="1\n2\n", stderr="3\n"),
            [
                "[0] In [7]: for i in x:",
                "       ...:",
                "       ...:     print(i)",
                "[0] Out[7]:",
                "1",
                "2",
                "[0] Err[7]: 3",
            ],
        ),
        (
            reply(stdout="1\n", display=[{"data": {"text/plain": "<Figure>"}, "metadata": {}}], text="2"),
            ["[0] In [7]: x", "[0] Out[7]:", "1", "<Figure>", "2"],
        ),
        (reply(code=""), ["[0] In [7]:"]),
    ],
)
def test_an_entry(entry: ExecuteReply, lines: list[str]) -> None:
    shown = repr(entry).split("\n")
    assert [line for line, wanted in zip(shown, lines) if wanted is not ...] == [
        wanted for wanted in lines if wanted is not ...
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = reply(code="x + 1", stdout="42\n", stderr="careful\n")
    forms = (entry, ResultsList([entry]), ResultsDict({0: entry}))
    plain = [repr(form) for form in forms]
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert [pretty(form) for form in forms] == plain
    monkeypatch.setattr(sys, "stdout", Terminal())
    for form in forms:
        assert "\x1b[32m[0] In [7]:\x1b[0m x + 1\n\x1b[31m[0] Out[7]:\x1b[0m 42\n\x1b[35m[0] Err[7]:" in pretty(form)
    assert [repr(form) for form in forms] == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert [pretty(form) for form in forms] == plain


def test_inside_of_other_things() -> None:
    assert pretty([ResultsList(SILENT)]) == "[<Results List>\n [0] In [7]: a=5\n [2] In [5]: a=5]"


def test_html() -> None:
    image = {"text/plain": "<Figure>", "image/png": "iVBORw0=\n"}
    entries = [
        reply(0, "'<b>' & x", stdout="<i>\n", stderr="</pre>"),
        reply(1, text="<object>", display=[{"data": image, "metadata": {}}]),
        ExecuteReply(
            engine_id=2, execution_count=1, code="t", data={"text/plain": "t", "text/html": "<table></table>"}
        ),
        ExecuteReply(
            engine_id=3, execution_count=1, code="s", data={"text/plain": "s", "image/svg+xml": "<svg></svg>"}
        ),
    ]
    html = ResultsList(entries)._repr_html_()
    for text in ("&#x27;&lt;b&gt;&#x27; &amp; x", "&lt;i&gt;", "&lt;/pre&gt;", "&lt;object&gt;", "<th>In[7]:</th>"):
        assert text in html
    assert '<img src="data:image/png;base64,iVBORw0=">' in html
    assert "<table></table>" in html
    assert "<svg></svg>" in html
    assert "&lt;Figure&gt;" not in html
    assert html.count("Err[") == 1
    assert ResultsDict({0: entries[0]})._repr_html_() == ResultsList(entries[:1])._repr_html_()
    assert entries[0]._repr_html_().count("<tr") == 3


def line(text: str, **others: Any) -> str:
    return json.dumps({"data": {"text/plain": text}, "metadata": {}} | others) + "\n"


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        ([], []),
        ([("stdout", "a"), ("display", line("b") + line("c")), ("stderr", "d")], ["a", "b", "c", "d"]),
        ([("display", line("a")), ("stdout", "b"), ("display", json.dumps({"clear": True}) + "\n")], ["b"]),
        (
            [("display", line("a", display_id="1", update=False)), ("display", line("b", display_id="1", update=True))],
            ["b"],
        ),
        ([("display", line("a", display_id="1", update=False) + line("b", display_id="2", update=True))], ["a"]),
    ],
)
def test_what_was_displayed_in_the_end(log: list[tuple[str, str]], shown: list[str]) -> None:
    texts = [content if isinstance(content, str) else content["data"]["text/plain"] for _, content in settled(log)]
    assert texts == shown
    assert all(set(content) == {"data", "metadata"} for stream, content in settled(log) if stream == "display")


CELL = """
import sys
from IPython.display import HTML, display
print("printed")
print("warned", file=sys.stderr)
display(HTML("<b>shown</b>"))
[1, 2]
"""


def test_replies_of_engines(rc: Client) -> None:
    one = rc[2].execute(CELL, block=True)
    assert (one.engine_id, one.code, one.stdout, one.stderr, one.error) == (2, CELL, "printed\n", "warned\n", None)
    assert (one.result, one.r, one.data, one.metadata) == ("[1, 2]", "[1, 2]", {"text/plain": "[1, 2]"}, {})
    assert [shown["data"]["text/html"] for shown in one.display] == ["<b>shown</b>"]
    several = rc[:2].execute(CELL, block=True)
    assert type(several) is ResultsDict
    assert [several[k].engine_id for k in (0, 1)] == [0, 1]
    later = rc[:].execute(CELL, block=False)
    assert type(later.get()) is ResultsList
    assert [each.stdout for each in later.r] == ["printed\n"] * 4
    assert "[3] Err[" in repr(later.r)


def test_outputs_of_any_call(rc: Client, capfd: pytest.CaptureFixture[str]) -> None:
    def speak() -> int:
        print("called")
        return 3

    result = rc[:2].apply_async(speak)
    result.display_outputs()
    assert capfd.readouterr().out == "[stdout:0] called\n[stdout:1] called\n"
    rc[1].execute(CELL, block=False).display_outputs("type")
    shown = capfd.readouterr()
    assert shown.out.startswith("[stdout:1] printed\n[output:1]\n<IPython.core.display.HTML object>\nOut[1:")
    assert shown.err == "[stderr:1] warned\n"
    with pytest.raises(ValueError, match="'engine', 'type', 'order', not 'size'"):
        result.display_outputs("size")
