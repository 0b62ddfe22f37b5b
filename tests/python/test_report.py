"""The page about what a cluster did, and what it counts."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import ipclusterz as ipz
from ipclusterz import Client, LoadBalancedView
from ipclusterz.client.ledger import Ledger
from ipclusterz.client.report import page


def ended(task: str, engine: int, submitted: float, started: float, completed: float, **more: Any) -> dict[str, Any]:
    """A task that has ended, as events tell it."""
    event = {"event": "ended", "at": completed + 0.5, "task": task, "name": "f", "session": "me", "engine": engine}
    times = {"submitted": submitted, "started": started, "completed": completed}
    return {**event, **times, "state": "ok", "why": None, "bytes": 1, **more}


def given(task: str, engine: int, at: float) -> dict[str, Any]:
    return {"event": "given", "at": at, "task": task, "engine": engine}


def joined(engine: int, at: float) -> dict[str, Any]:
    return {"event": "engine_joined", "at": at, "engine": engine, "host": "n1"}


def counted(events: list[dict[str, Any]], began: float = 0.0, until: float = 30.0) -> Ledger:
    ledger = Ledger(began)
    for event in events:
        ledger.add(event)
    ledger.close(until)
    return ledger


def test_the_spans_of_tasks() -> None:
    first = [given("a-1-0", 0, 11.0), given("a-2-0", 0, 11.0)]
    last = [ended("a-1-0", 0, 10.0, 12.0, 15.0), ended("a-2-0", 0, 10.0, 15.25, 16.0)]
    spans = counted([joined(0, 5.0), *first, *last]).spans()
    assert spans == {"queue": 2.0, "behind": 4.0, "way": 1.25, "run": 3.75, "back": 1.0}


def test_what_never_ran_has_waited() -> None:
    never = {"started": None, "completed": None, "engine": None, "at": 14.0, "state": "lost", "why": "died"}
    lost = {**ended("a-1-0", 0, 10.0, 0.0, 0.0), **never}
    ledger = counted([lost])
    assert ledger.spans()["queue"] == 4.0
    assert [task.why for task in ledger.failures()] == ["died"]
    assert ledger.functions()[0]["failed"] == 1


def test_engines_that_come_and_go() -> None:
    events = [joined(0, 1.0), joined(1, 10.0), ended("a-1-0", 0, 2.0, 3.0, 5.0)]
    events += [{"event": "engine_left", "at": 11.0, "engine": 0}, joined(0, 20.0), ended("a-2-0", 0, 20.0, 21.0, 40.0)]
    engines = {row["engine"]: row for row in counted(events).engines()}
    assert (engines[0]["there"], engines[0]["busy"], engines[0]["tasks"]) == (20.0, 11.0, 2)
    assert (engines[1]["there"], engines[1]["busy"]) == (20.0, 0.0)
    late = counted(events, began=25.0)
    assert [(row["there"], row["busy"]) for row in late.engines()] == [(5.0, 5.0), (5.0, 0.0)]


class Seen(HTMLParser):
    """Elements of a page, and the text of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1] in ("td", "th"):
            self.cells.append(data)


def data_of(text: str) -> Any:
    """What the page draws."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found.group(1))


def test_names_are_text_and_nothing_else() -> None:
    bad = "</script><img src=x onerror=alert(1)> {data} & {title}"
    text = page(counted([joined(0, 1.0), ended("a-1-0", 0, 1.0, 2.0, 3.0, name=bad, state="error", why=bad)]), bad)
    assert "img" not in Seen(text).elements
    assert text.count("<script") == 2
    assert data_of(text)["names"] == [bad]
    assert bad in Seen(text).cells
    assert "http:" not in text
    assert "https:" not in text


def test_a_report_of_a_cluster(rc: Client, lview: LoadBalancedView, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    with ipz.performance_report(file, rc):
        lview.map_sync(time.sleep, [0.02] * 8, chunksize=1)
        with pytest.raises(ipz.RemoteError):
            rc[0].apply_sync(divmod, 1, 0)
    text = file.read_text()
    data = data_of(text)
    assert data["names"] == ["sleep", "divmod"]
    assert len(data["tasks"]) == 9
    assert data["engines"] == sorted(rc.ids)
    assert all(start >= 0 and seconds < 5 for _, start, seconds, *_ in data["tasks"])
    assert "9 tasks ended, 1 of them without success." in text
    cells = Seen(text).cells
    assert {"sleep", "divmod", "error", "engine 0"} <= set(cells)
    # What was before the block is in a report of all.
    rc.report(file)
    assert len(data_of(file.read_text())["tasks"]) >= 9


def test_a_block_that_fails_has_its_report(rc: Client, tmp_path: Path) -> None:
    file = tmp_path / "block.html"

    def block() -> None:
        with ipz.performance_report(file, rc):
            rc[0].apply_sync(abs, -1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert data_of(file.read_text())["names"] == ["abs"]


def test_where_nothing_can_be_written_nothing_is_computed(rc: Client, tmp_path: Path) -> None:
    done = []
    with pytest.raises(OSError, match="No such file"), ipz.performance_report(tmp_path / "no" / "block.html", rc):
        done.append(1)
    assert not done
    with pytest.raises(TypeError, match="takes a Client, not str"):
        ipz.performance_report("block.html", "rc")  # type: ignore[arg-type]
