"""A page about what a cluster did: the task stream, where the time went, the slowest functions and engines, failures.

The page is one file of HTML, which needs no network: `report.html` beside this file, filled from a `ledger.Ledger`.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from time import localtime, strftime

from .ledger import SPANS, Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .ledger import Ran

__all__ = ["page", "read"]

# Rows of a table.
_ROWS = 10
# Failures that are listed.
_FAILURES = 20
# Most tasks that are drawn: the longest.
_DRAWN = 50_000

_SPANS = {
    "queue": ("waited for an engine", "hsl(35 80% 55%)"),
    "behind": ("waited behind others at its engine", "hsl(50 75% 50%)"),
    "way": ("on the way there", "hsl(210 60% 60%)"),
    "run": ("ran", "hsl(140 45% 45%)"),
    "back": ("answer on the way back", "hsl(265 45% 60%)"),
}


def read(events: Iterable[dict[str, Any]], began: float, ended: float) -> Ledger:
    """Count events between two times, seconds since 1970."""
    ledger = Ledger(began)
    for event in events:
        ledger.add(event)
    ledger.close(ended)
    return ledger


def page(ledger: Ledger, cluster: str) -> str:
    """The page as HTML.

    Examples
    --------
    >>> ledger = Ledger(began=0)
    >>> ledger.close(1.0)
    >>> "Nothing ran." in page(ledger, "lab")
    True
    """
    seconds = max(0.0, ledger.ended - ledger.began)
    began = strftime("%Y-%m-%d %H:%M:%S", localtime(ledger.began))
    engines = ledger.engines()
    drawn = sorted(
        (task for task in ledger.tasks if task.engine is not None and task.started),
        key=lambda task: -task.seconds,
    )[:_DRAWN]
    parts = {
        "title": escape(f"Cluster {cluster}"),
        "subtitle": escape(f"From {began}, for {_seconds(seconds)}." + _missed(ledger)),
        "summary": _summary(ledger, engines),
        "spans": _spans(ledger.spans()),
        "drawn": escape(f"{len(drawn):,} of {len(ledger.tasks):,} tasks are drawn."),
        "tables": _tables(ledger, engines),
        "data": _data(ledger, engines, drawn, seconds),
    }
    frame = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    # In one pass: what is put in is not looked at again.
    return re.sub(r"\{(" + "|".join(parts) + r")\}", lambda match: parts[match.group(1)], frame)


def _missed(ledger: Ledger) -> str:
    if not ledger.missed:
        return ""
    return f" {ledger.missed:,} events in between are not kept any more, and are not counted."


def _summary(ledger: Ledger, engines: Sequence[dict[str, Any]]) -> str:
    if not ledger.tasks:
        return "<p>Nothing ran.</p>"
    there, busy = (sum(engine[name] for engine in engines) for name in ("there", "busy"))
    failed = len(ledger.failures())
    words = [
        f"{len(ledger.tasks):,} tasks ended, {failed:,} of them without success."
        if failed
        else f"{len(ledger.tasks):,} tasks ended.",
        f"Engines were there for {_seconds(there)} in all, and busy for {_seconds(busy)} of it: {_share(busy, there)}.",
    ]
    if (imbalance := _imbalance(engines)) is not None:
        words.append(f"The busiest engine ran tasks for {imbalance:.2f} times as long as the average.")
    return f"<p>{escape(' '.join(words))}</p>"


def _imbalance(engines: Sequence[dict[str, Any]]) -> float | None:
    busy = [engine["busy"] for engine in engines]
    return max(busy) * len(busy) / sum(busy) if len(busy) > 1 and sum(busy) > 0 else None


def _spans(spans: dict[str, float]) -> str:
    whole = sum(spans.values())
    if whole <= 0:
        return "<p>Nothing ran.</p>"
    bars = "".join(
        f'<span style="width:{100 * spans[name] / whole:.3f}%;background:{_SPANS[name][1]}"></span>' for name in SPANS
    )
    entries = "".join(
        f'<li><i style="background:{_SPANS[name][1]}"></i>{_SPANS[name][0]}: {_seconds(spans[name])}, '
        f"{_share(spans[name], whole)}</li>"
        for name in SPANS
    )
    return f'<div class="bar" aria-hidden="true">{bars}</div><ul class="legend">{entries}</ul>'


def _tables(ledger: Ledger, engines: Sequence[dict[str, Any]]) -> str:
    functions = ledger.functions()
    slowest = sorted(engines, key=lambda engine: -engine["busy"])
    failures = ledger.failures()
    tables = [
        _table(
            "Functions",
            f"The {min(_ROWS, len(functions))} of {len(functions):,} that ran longest in all",
            ["function", "tasks", "in all", "mean", "longest", "failed"],
            [
                [
                    row["name"],
                    f"{row['tasks']:,}",
                    *(_seconds(row[name]) for name in ("seconds", "mean", "longest")),
                    row["failed"],
                ]
                for row in functions[:_ROWS]
            ],
        ),
        _table(
            "Engines",
            f"The {min(_ROWS, len(slowest))} of {len(slowest):,} that were busiest",
            ["engine", "host", "tasks", "busy", "of its time", "longest task", "failed"],
            [
                [
                    f"engine {row['engine']}",
                    row["host"],
                    f"{row['tasks']:,}",
                    _seconds(row["busy"]),
                    _share(row["busy"], row["there"]),
                    _seconds(row["longest"]),
                    row["failed"],
                ]
                for row in slowest[:_ROWS]
            ],
        ),
    ]
    if failures:
        tables.append(
            _table(
                "Failures",
                f"The last {min(_FAILURES, len(failures))} of {len(failures):,}",
                ["task", "function", "state", "engine", "why"],
                [
                    [
                        task.id,
                        task.name,
                        task.state,
                        "" if task.engine is None else f"engine {task.engine}",
                        task.why or "",
                    ]
                    for task in failures[-_FAILURES:]
                ],
            )
        )
    return "".join(tables)


def _table(title: str, caption: str, heads: list[str], rows: list[list[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(word)}</th>' for word in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    caption = f"<caption>{escape(caption)}</caption>"
    return f"<h2>{escape(title)}</h2><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _data(ledger: Ledger, engines: Sequence[dict[str, Any]], drawn: Sequence[Ran], seconds: float) -> str:
    """What the page draws, as JSON that cannot end its element."""
    names = [row["name"] for row in ledger.functions()]
    places = {name: place for place, name in enumerate(names)}
    tasks = [
        [
            task.engine,
            round((task.started or 0.0) - ledger.began, 6),
            round(task.seconds, 6),
            places[task.name],
            int(task.state != "ok"),
            task.id,
        ]
        for task in drawn
    ]
    data = {"seconds": seconds, "engines": [engine["engine"] for engine in engines], "names": names, "tasks": tasks}
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _seconds(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 3600:.2f} h"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if whole > 0 else "0%"
