"""One client under chaos: submits calls of all kinds, compares answers with what they have to be, and writes both down.

Its log has a line of JSON for each call before it is submitted, and one for its answer. What runs on engines appends
the call's key to the file of executions. Ends when the file `stop` is there and all calls have their answers, or when
the cluster has ended.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy

import ipclusterz as ipz
from ipclusterz import error

MOST_UNDER_WAY = 60
"""Calls that are submitted before answers are waited for."""
HISTORY_SECONDS = 60
"""How long the next client of a session waits for what the history cannot say now."""
SMALL, LARGE = 100, 131_072
"""Numbers in an array: 800 bytes, and 1 MiB, which travels in segments or blobs."""
SHARES = {
    "direct": 30,
    "balanced": 30,
    "retried": 15,
    "print": 10,
    "map": 5,
    "all": 5,
    "push": 10,
    "array": 2,
    "ranks": 5,
}


def work(key: str, seconds: float, executions: str) -> str:
    """On an engine: note that it was executed, take some time, and answer the key backwards."""
    import os
    import socket
    import time

    file = os.open(executions, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{key} {socket.gethostname()} {os.getpid()}\n".encode())
    os.close(file)
    time.sleep(seconds)
    return key[::-1]


def talk(key: str, executions: str) -> str:
    """The same, with output."""
    answer = work(key, 0, executions)
    for number in range(3):
        print(key, number)
    return answer


def add_one(array: Any, key: str, executions: str) -> Any:
    """The same, with an array there and back."""
    work(key, 0, executions)
    return array + 1


def together(comm: Any, key: str, executions: str) -> tuple[str, int]:
    """The same, on all ranks of a group at once."""
    return work(key, 0, executions), comm.allreduce(1)


def one_of(item: tuple[str, str]) -> str:
    """The same, as an element of a map."""
    return work(item[0], 0, item[1])


@dataclass
class Call:
    """A call under way, and what was written of its submission."""

    said: dict[str, Any]
    result: Any

    def is_right(self, value: Any) -> bool:
        """Whether that is its answer."""
        kind, key = self.said["kind"], self.said["key"]
        number = float(key.removesuffix(".push").removesuffix(".pull").split(".")[-1])
        if kind == "map":
            return list(value) == [f"{key}/{each}"[::-1] for each in range(self.said["elements"])]
        if kind == "all":
            return list(value) == [key[::-1]] * self.said["targets"]
        if kind == "ranks":
            return list(value) == [(key[::-1], self.said["targets"])] * self.said["targets"]
        if kind == "array":
            return bool((value == numpy.full(LARGE, number + 1)).all())
        if kind == "pull":
            return numpy.array_equal(value, numpy.full(self.said["size"], number))
        if kind == "print" and self.result.stdout != "".join(f"{key} {each}\n" for each in range(3)):
            return False
        return kind == "push" or value == key[::-1]


class Load:
    """What a client does, drawn from a seed.

    A client that was killed has a successor, which continues its session and its log.
    """

    def __init__(self, rc: ipz.Client, options: argparse.Namespace) -> None:
        self.rc, self.name = rc, f"{options.name}.{options.life}"
        self.balanced = rc.load_balanced_view()
        self.random = random.Random(f"{options.seed}/{self.name}")
        self.executions, self.ranks = str(options.folder / "executions"), options.ranks
        self.file = options.folder / "clients" / f"{options.name}.log"
        self.log = self.file.open("a", buffering=1)
        self.under_way: list[Call] = []
        self.number = 0

    def write(self, **fields: Any) -> None:
        self.log.write(json.dumps({"t": time.time(), **fields}) + "\n")

    # -- taking over --------------------------------------------------------------------------------------------

    def take_over(self) -> None:
        """Go on with what the clients before this one in the session have submitted."""
        waiting: dict[str, dict[str, Any]] = {}
        for line in self.file.read_text().splitlines():
            # The line that was being written when a client was killed.
            with contextlib.suppress(json.JSONDecodeError):
                said = json.loads(line)
                if "ids" in said and said["key"] in waiting:
                    waiting[said["key"]]["ids"] = said["ids"]
                elif "kind" in said:
                    waiting[said["key"]] = said
                elif "is" in said:
                    del waiting[said["key"]]
        self.log.write("\n")
        for said in waiting.values():
            if "ids" in said:
                self._find(said)

    def _find(self, said: dict[str, Any]) -> None:
        deadline = time.monotonic() + HISTORY_SECONDS
        while True:
            try:
                result = self.rc.get_result(said["ids"])
                break
            except (ValueError, error.HistoryError) as problem:
                # The disk is full, and the history cannot be read.
                if "cannot be" in str(problem) and time.monotonic() < deadline:
                    Event().wait(0.2)
                    continue
                # The client was killed before the connection had carried it, or it was refused.
                self.write(key=said["key"], not_found=str(problem))
                return
        self.write(key=said["key"], taken_over=True)
        self.under_way.append(Call(said, result))

    # -- submitting ---------------------------------------------------------------------------------------------

    def submit(self) -> None:
        """One call, of any kind."""
        [kind] = self.random.choices(list(SHARES), list(SHARES.values()))
        self.number += 1
        key = f"{self.name}.{self.number}"
        engine = None
        if kind in ("direct", "push", "print"):
            engines = sorted(self.rc.ids)
            if not engines:
                return
            engine = self.random.choice(engines)
        try:
            getattr(self, f"_{kind}")(key, engine)
        except (error.UnknownEngine, error.EmptyTargets):
            # It has gone between the two lines.
            self.write(key=key, refused=True)

    def _add(self, key: str, kind: str, submit: Callable[[], Any], **fields: Any) -> None:
        said = {"key": key, "kind": kind, **fields}
        self.write(**said)
        result = submit()
        self.write(key=key, ids=result.msg_ids)
        self.under_way.append(Call(said, result))

    def _seconds(self) -> float:
        """Most calls are short."""
        return self.random.choice((0, 0, 0, 0.01, 0.05, 0.5))

    def _direct(self, key: str, engine: int) -> None:
        view, seconds = self.rc[engine], self._seconds()
        self._add(key, "direct", lambda: view.apply_async(work, key, seconds, self.executions), engine=engine)

    def _balanced(self, key: str, _: object) -> None:
        seconds = self._seconds()
        self._add(key, "balanced", lambda: self.balanced.apply_async(work, key, seconds, self.executions))

    def _retried(self, key: str, _: object) -> None:
        view, seconds = self.rc.load_balanced_view(), self._seconds()
        view.retries = 2
        self._add(key, "retried", lambda: view.apply_async(work, key, seconds, self.executions), retries=2)

    def _print(self, key: str, engine: int) -> None:
        view = self.rc[engine]
        self._add(key, "print", lambda: view.apply_async(talk, key, self.executions), engine=engine)

    def _map(self, key: str, _: object) -> None:
        items = [(f"{key}/{number}", self.executions) for number in range(10)]
        self._add(key, "map", lambda: self.balanced.map_async(one_of, items), elements=len(items))

    def _all(self, key: str, _: object) -> None:
        view = self.rc[:]
        self._add(key, "all", lambda: view.apply_async(work, key, 0, self.executions), targets=len(view))

    def _ranks(self, key: str, _: object) -> None:
        view = self.rc[[engine for engine in sorted(self.rc.ids) if engine < self.ranks]]
        told = {"targets": len(view), "engines": view.targets}
        self._add(key, "ranks", lambda: view.mpi.spmd(together, key, self.executions), **told)

    def _array(self, key: str, _: object) -> None:
        array = numpy.full(LARGE, float(self.number))
        self._add(key, "array", lambda: self.balanced.apply_async(add_one, array, key, self.executions))

    def _push(self, key: str, engine: int) -> None:
        """A push, and a pull behind it, which has to find what was pushed."""
        view, name = self.rc[engine], f"pushed_by_{self.name.replace('.', '_')}"
        size = LARGE if self.random.random() < 0.2 else SMALL
        array = numpy.full(size, float(self.number))
        common = {"engine": engine, "executed": False, "size": size}
        self._add(f"{key}.push", "push", lambda: view.push({name: array}, block=False), **common)
        self._add(f"{key}.pull", "pull", lambda: view.pull(name, block=False), after=f"{key}.push", **common)

    # -- answers ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Write down the answers that have come."""
        coming = []
        for call in self.under_way:
            if call.result.ready():
                self._settle(call)
            else:
                coming.append(call)
        self.under_way = coming

    def _settle(self, call: Call) -> None:
        try:
            value = call.result.get(0)
            right = call.is_right(value)
            said = {} if right else {"value": repr(value)[:200]}
            self.write(key=call.said["key"], **{"is": "right" if right else "wrong"}, **said)
        except Exception as problem:
            failures = getattr(problem, "elist", [problem])
            self.write(key=call.said["key"], **{"is": "error"}, errors=[describe(each) for each in failures])

    def has_ended(self) -> bool:
        """Whether the cluster has, as the client knows it."""
        return "ended" in repr(self.rc)


def describe(problem: BaseException) -> dict[str, Any]:
    """An error for the log."""
    name = type(problem).__name__
    return {"error": name, "engine": getattr(problem, "engine_id", -1), "text": str(problem)[:300]}


def go_on(load: Load, stop: Path, rate: float) -> str:
    """Submit until it is time to stop, or the cluster ends; what it was."""
    pause = Event()
    looked = 0.0
    while not stop.exists():
        if len(load.under_way) < MOST_UNDER_WAY:
            load.submit()
        pause.wait(1 / rate)
        if time.monotonic() - looked > 0.05:
            looked = time.monotonic()
            load.settle()
            if load.has_ended():
                return "the cluster has ended"
    return "stopped"


def wait_for_answers(load: Load, seconds: float) -> None:
    """Wait for all that is under way."""
    deadline = time.monotonic() + seconds
    pause = Event()
    while load.under_way and time.monotonic() < deadline:
        load.settle()
        pause.wait(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connection", type=Path, required=True)
    parser.add_argument("--name", required=True, help="the name of its session and of its log")
    parser.add_argument("--life", type=int, required=True, help="the how manieth client of this session it is")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where logs are, and `executions` and `stop`")
    parser.add_argument("--settle", type=float, required=True, help="seconds for the last answers")
    parser.add_argument("--ranks", type=int, required=True, help="engines with ids below are ranks of one MPI program")
    parser.add_argument("--rate", type=float, default=50, help="calls a second")
    options = parser.parse_args()
    with ipz.Client(options.connection, quiet=True, timeout=20, session=options.name) as rc:
        load = Load(rc, options)
        try:
            load.take_over()
            load.write(began=os.getpid(), host=socket.gethostname())
            why = go_on(load, options.folder / "stop", options.rate)
            wait_for_answers(load, options.settle)
        except ipz.IpclusterzError as problem:
            why = f"{type(problem).__name__}: {problem}"
        load.settle()
        load.write(ended=why, unanswered=[call.said["key"] for call in load.under_way])


if __name__ == "__main__":
    main()
