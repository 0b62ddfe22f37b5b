"""What became of the calls, by the logs of the clients, the file of executions and the record of faults."""

from __future__ import annotations

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos_cluster import FIRST_OTHER_ENGINE, Run

# The record is written around a fault; clocks are the same, but not the moments.
SLACK = 2.0


@dataclass
class Verdict:
    """What was found: counts, and what should not be."""

    operations: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)


@dataclass
class Ask:
    """A call of a client: what it wrote of its submission, and of its answer."""

    client: str
    host: str
    said: dict[str, Any]
    answer: dict[str, Any] | None = None
    submitted: bool = False
    taken_over: bool = False

    @property
    def key(self) -> str:
        return str(self.said["key"])

    def took_place(self, since: float, until: float) -> bool:
        """Whether it was under way in that time."""
        end = self.answer["t"] if self.answer else float("inf")
        return bool(self.said["t"] <= until + SLACK and end >= since - SLACK)


class Judge:
    """Looks at each call."""

    def __init__(self, folder: Path, record: list[dict[str, Any]], runs: list[Run]) -> None:
        self.folder, self.record = folder, record
        self.lives = {name: run for run in runs for name in run.clients}
        self.killed_clients = {entry["name"] for entry in record if entry["kind"] == "kill client"}
        self.killed_engines = [entry for entry in record if entry["kind"] == "kill engine"]
        self.bad_links = [entry for entry in record if entry["kind"] in ("cut link", "slow link", "lossy link")]
        self.executions = _executions(folder / "executions")
        self.asks = dict(self._asks())

    def verdict(self) -> Verdict:
        found = Verdict()
        for ask in self.asks.values():
            found.operations[ask.said["kind"]] += 1
            outcome = self._outcome(ask)
            found.outcomes[outcome] += 1
            if outcome in ("lost", "wrong"):
                getattr(found, outcome).append(f"{ask.key} {ask.said} {ask.answer}")
            found.doubled += self._doubled(ask)
        return found

    def _asks(self) -> Iterator[tuple[str, Ask]]:
        for log in sorted((self.folder / "clients").glob("*.log")):
            asks: dict[str, Ask] = {}
            host = ""
            for line in _lines(log):
                if "began" in line:
                    host = line["host"]
                elif "kind" in line:
                    asks[line["key"]] = Ask(log.stem, host, line)
                elif "ids" in line:
                    asks[line["key"]].submitted = True
                elif "taken_over" in line:
                    asks[line["key"]].taken_over = True
                elif "is" in line:
                    asks[line["key"]].answer = line
                elif "refused" in line:
                    # No engine of that number, or none at all: a push may be there without its pull.
                    for key in (line["key"], f"{line['key']}.push", f"{line['key']}.pull"):
                        if key in asks and asks[key].answer is None and key != f"{line['key']}.push":
                            del asks[key]
            yield from asks.items()

    # -- one call -----------------------------------------------------------------------------------------------

    def _outcome(self, ask: Ask) -> str:
        if ask.answer is None:
            return self._without_answer(ask)
        if ask.answer["is"] == "error":
            reasons = {self._reason(ask, error) for error in ask.answer["errors"]}
            return "lost" if "" in reasons else " and ".join(sorted(reasons))
        if not self._was_found(ask):
            return "not to be compared: the push failed"
        if ask.taken_over and ask.answer["is"] == "right":
            found = "right, for the next client of the session"
        else:
            found = str(ask.answer["is"])
        if ask.answer["is"] == "right" and ask.said.get("executed", True) and not self._times(ask):
            return "wrong"
        return found

    def _was_found(self, ask: Ask) -> bool:
        """Whether a pull has a push before it that went well; always so for other calls."""
        before = self.asks.get(ask.said.get("after", ""))
        return before is None or (before.answer or {}).get("is") == "right"

    def _without_answer(self, ask: Ask) -> str:
        if self.lives[ask.client].killed is not None:
            return "ended with its cluster"
        if ask.client in self.killed_clients and not ask.taken_over and not self._should_be_found(ask):
            return "never sent by its client, which was killed"
        return "lost"

    def _should_be_found(self, ask: Ask) -> bool:
        """Whether the next client of its session had to find it: its ids were written down, and it was executed."""
        return ask.submitted and all(self.executions.get(key) for key in _keys(ask))

    def _reason(self, ask: Ask, error: dict[str, Any]) -> str:
        """Which rule allows an error; empty if none does."""
        life = self.lives[ask.client]
        if life.killed is not None and ask.answer and ask.answer["t"] >= life.killed - SLACK:
            return "ended with its cluster"
        if error["error"] in ("EngineError", "RankLost") and self._rank_was_killed(ask):
            return "one of its ranks was killed"
        if error["error"] == "EngineError" and self._engine_was_killed(ask, error["engine"]):
            return "its engine was killed"
        if error["error"] == "RemoteKeyError" and self._engine_was_killed(ask, ask.said["engine"]):
            return "its engine was killed"
        if error["error"] == "RemoteKeyError" and not self._was_found(ask):
            return "not to be compared: the push failed"
        if error["error"] == "RejectedError" and "no requests are taken" in error["text"] and self._disk_was_full(ask):
            return "refused: the disk was full"
        return ""

    def _engine_was_killed(self, ask: Ask, engine: int) -> bool:
        killed = [entry["t"] for entry in self.killed_engines if entry["engine"] == engine]
        # One on another host may come back until its lease is over, and is given calls. Its id is not used again.
        away = 0.0 if engine < FIRST_OTHER_ENGINE else float("inf")
        return any(ask.took_place(at, self._heard_on(ask.host, at) + away) for at in killed)

    def _heard_on(self, host: str, at: float) -> float:
        """When clients of a host have heard what happened: those behind a bad link hear it when that is over."""
        for link in self.bad_links:
            end = float(link.get("end", "inf"))
            if link["host"] == host and link["t"] <= at + SLACK and end >= at:
                at = end
        return at

    def _rank_was_killed(self, ask: Ask) -> bool:
        """For calls of a group: whether one of it was killed, as its client may not have known yet."""
        ranks, run = ask.said.get("engines", ()), self.lives[ask.client]
        until = ask.answer["t"] + SLACK if ask.answer else float("inf")
        return any(entry["engine"] in ranks and run.began <= entry["t"] <= until for entry in self.killed_engines)

    def _disk_was_full(self, ask: Ask) -> bool:
        full = [entry for entry in self.record if entry["kind"] == "fill disk"]
        return any(ask.took_place(entry["t"], entry.get("end", float("inf"))) for entry in full)

    def _times(self, ask: Ask) -> list[tuple[str, int]]:
        return [place for key in _keys(ask) for place in self.executions.get(key, [])]

    def _doubled(self, ask: Ask) -> list[str]:
        """Keys that were executed more often than they may be."""
        found = []
        for key in _keys(ask):
            places = self.executions.get(key, [])
            allowed = ask.said.get("targets", 1)
            if ask.said.get("retries"):
                killed = {(entry["host"], entry["pid"]) for entry in self.killed_engines}
                allowed += min(sum(place in killed for place in places), ask.said["retries"])
            if len(places) > allowed:
                found.append(f"{key} was executed on {places} {ask.said} {ask.answer}")
        return found


def _keys(ask: Ask) -> list[str]:
    """What its executions write down."""
    elements = ask.said.get("elements")
    return [ask.key] if elements is None else [f"{ask.key}/{number}" for number in range(elements)]


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log. The last one of a client that was killed may be torn."""
    for line in log.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def _executions(file: Path) -> dict[str, list[tuple[str, int]]]:
    """Where each key was executed: hosts and processes."""
    found = defaultdict(list)
    for line in file.read_text().splitlines():
        key, host, pid = line.split()
        found[key].append((host, int(pid)))
    return found
