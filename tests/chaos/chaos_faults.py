"""The faults: what they are, when they are drawn from a seed to happen, and how they are made."""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

from chaos_cluster import OTHERS, ChaosCluster, Process

KILLS = ("kill controller", "kill engine", "kill client", "kill launcher")
STOPS = ("stop controller", "stop engine", "stop client", "stop launcher")
LINKS = ("cut link", "slow link", "lossy link")
KINDS = (*KILLS, *STOPS, *LINKS, "fill disk")
SLOW_RATE = "2mbit"
LOSS_PERCENT = 20


@dataclass(frozen=True)
class Fault:
    """A fault of the plan: what, how long after the one before, for how long, and to which of those there are."""

    kind: str
    pause: float
    seconds: float
    choice: float


def plan(seed: int, longest: float) -> Any:
    """Faults without end: all kinds in some order, then in another, and so on."""
    draw = random.Random(seed)
    while True:
        for kind in draw.sample(KINDS, len(KINDS)):
            least = min(1, longest)
            yield Fault(kind, draw.uniform(0.5, 5), draw.uniform(least, longest), draw.random())


class Chaos:
    """Makes faults to a cluster, and keeps a record of each with its times."""

    def __init__(self, cluster: ChaosCluster, say: Callable[[str], None]) -> None:
        self.cluster, self.say = cluster, say
        self.record: list[dict[str, Any]] = []
        self.left: list[str] = []
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._last_contact = 0.0

    def counts(self) -> Counter[str]:
        """How many faults of each kind there were."""
        return Counter(entry["kind"] for entry in self.record)

    def run(self, faults: Any, seconds: float) -> None:
        """Make faults for so long, and until each kind was there; then take back those that last."""
        end = time.monotonic() + seconds
        for fault in faults:
            if time.monotonic() > end and len(self.counts()) == len(KINDS):
                break
            self._wait(time.monotonic() + fault.pause)
            self.cluster.replace_dead()
            self._make(fault)
        self.mend()

    def mend(self) -> None:
        """Take back what lasts."""
        self._end_until(float("inf"))
        self.cluster.replace_dead()

    # -- time ---------------------------------------------------------------------------------------------------

    def _wait(self, until: float) -> None:
        pause = Event()
        while (now := time.monotonic()) < until:
            self._end_until(now)
            pause.wait(min(0.05, max(until - now, 0)))

    def _end_until(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            heapq.heappop(self._ends)[2]()

    def _last(self, entry: dict[str, Any], seconds: float, take_back: Callable[[], None]) -> None:
        """A fault that lasts: others may happen meanwhile."""

        def end() -> None:
            take_back()
            entry["end"] = time.time()

        heapq.heappush(self._ends, (time.monotonic() + seconds, next(self._serial), end))

    # -- faults -------------------------------------------------------------------------------------------------

    def _make(self, fault: Fault) -> None:
        verb, what = fault.kind.split()
        if verb in ("stop", "cut", "slow", "lossy", "fill"):
            # One of these at a time, so that nobody is without contact for longer than a lease.
            self._end_until(float("inf"))
        entry: dict[str, Any] = {"kind": fault.kind, "t": time.time(), "seconds": round(fault.seconds, 1)}
        if verb in ("kill", "stop"):
            there = self.cluster.chosen(what)
            if not there:
                # It was killed a moment ago, and is not back.
                return
            process = there[int(fault.choice * len(there))]
            entry |= {"host": self.cluster.hosts.names[process.host], "pid": process.inner, "name": process.name}
            entry |= {"engine": process.engine}
            self._note(entry)
            self._to_process(verb, process, entry, fault)
        else:
            self._to_place(verb, entry, fault)

    def _note(self, entry: dict[str, Any]) -> None:
        self.record.append(entry)
        self.say(f"{entry['kind']}: {entry.get('name', entry.get('host', ''))}")

    def _to_process(self, verb: str, process: Process, entry: dict[str, Any], fault: Fault) -> None:
        if verb == "stop":
            process.signal(signal.SIGSTOP)
            self._last(entry, fault.seconds / 2, lambda: self.cluster.resume(process))
        elif process.role == "launcher":
            self._end_until(float("inf"))
            self._kill_launcher()
        else:
            self.cluster.kill(process)

    def _kill_launcher(self) -> None:
        """All of the cluster ends with it, and another is started."""
        self.cluster.kill_launcher()
        self.left += [f"after a kill of the launcher: {line}" for line in self.cluster.left()]
        self.cluster.keep_logs()
        self.cluster.start()

    def _to_place(self, verb: str, entry: dict[str, Any], fault: Fault) -> None:
        hosts = self.cluster.hosts
        host = OTHERS[int(fault.choice * len(OTHERS))]
        if verb == "fill":
            self._note(entry)
            self.cluster.fill()
            self._last(entry, fault.seconds / 2, self.cluster.empty)
            return
        entry["host"] = hosts.names[host]
        self._note(entry)
        if verb == "cut":
            hosts.cut(host)
        elif verb == "slow":
            hosts.limit(host, SLOW_RATE)
        else:
            hosts.lossy(host, LOSS_PERCENT)
        self._last(entry, fault.seconds, lambda: hosts.mend(host))
