"""The extension module called with anything: errors of Python or of ours, and never a panic."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipclusterz import Cluster, InternalError, _core

NUMBERS = [0, 1, -1, 7, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), True]
TEXTS = ["", "\0", "x", "n1\n\x1b[2J", "\ud800", "é" * 100_000, "a-1-0", "ffffffff-18446744073709551615-4294967295"]
# Waits that end at once.
TIMES = [0.0, -0.0, -0.5, 1e-9, math.nan, -math.inf]
OTHERS: list[Any] = [
    None,
    b"",
    b"x" * 20,
    [],
    [0] * 3000,
    (),
    {},
    object(),
    [None],
    [[[]]],
    1.5,
    math.inf,
    memoryview(b"x"),
]
ANY = [*NUMBERS, *TEXTS, *TIMES, *OTHERS]
OPS = ["execute", "apply", "push", "pull", "upload", "reform", "no such"]
OUTCOMES = ["ok", "error", "other"]


class Liar(list[Any]):
    """A sequence that says how long it is not."""

    def __len__(self) -> int:
        return 2**62


ITEMS = [
    [],
    [(None, [b"x"])],
    [([0, 0, 7], [])],
    [([2**32], [])],
    [(None,)],
    Liar([(None, [b"x"])]),
    None,
    [(None, [1])],
]

# What is called, and what each argument may be, besides anything.
CLIENT: dict[str, list[list[Any]]] = {
    "submit": [OPS, ITEMS],
    "what_became_of": [NUMBERS],
    "wait_for_engines": [NUMBERS, TIMES],
    "wait_requests": [[None, [], TEXTS, ["x"] * 2000], TIMES],
    "abort_all": [[None, [], [0] * 5000, [2**32]], [False], [False]],
    "interrupt": [[[], [7] * 5000, [2**32 - 1]]],
    "retire": [[[], [7] * 5000, [2**32 - 1]]],
    "shutdown": [[[], [7] * 5000, [2**32 - 1]]],
    "status": [TIMES],
    "inspect": [[[], [7] * 5000, [2**32 - 1]], TIMES],
    "engine_ids": [],
}
PENDING: dict[str, list[list[Any]]] = {
    "is_done": [NUMBERS],
    "wait": [TIMES],
    "wait_index": [NUMBERS, TIMES],
    "nth_done": [NUMBERS, TIMES],
    "wait_news": [NUMBERS, TIMES],
    "take_output": [],
    "watch": [NUMBERS],
    "reply": [NUMBERS],
    "outputs": [NUMBERS],
    "output_since": [NUMBERS, NUMBERS],
    "fulfil": [NUMBERS, OUTCOMES, [[], [b"x"], [1]], [(0, "u"), (2**32, ""), None], TIMES, TIMES],
    "cancel": [TIMES],
    "message_ids": [],
    "statuses": [],
    "targets": [],
}


@pytest.fixture
def core(cluster: Cluster) -> Iterator[Any]:
    client = _core.Client(cluster.report["client_file"], 10.0)
    yield client
    client.close()


def attempt(call: Callable[[], object]) -> None:
    # A panic would be an InternalError, or else PyO3's PanicException, which is no Exception.
    try:
        call()
    except InternalError:
        raise
    except Exception:
        return


def arguments(dice: random.Random, kinds: list[list[Any]]) -> list[Any]:
    return [dice.choice(ANY if dice.random() < 0.2 and kind is not TIMES else kind) for kind in kinds]


@pytest.mark.parametrize("which", ["client", "pending"])
def test_no_arguments_make_the_extension_panic(which: str, core: Any, faults: Any) -> None:
    dice = random.Random(5)
    methods = CLIENT if which == "client" else PENDING
    calls = faults.times(part=2_000, whole=40_000)
    for number in range(calls):
        target = core if which == "client" else core.submit("execute", [(None, [b"1"]), ([0], [])])
        name = sorted(methods)[number % len(methods)]
        given = arguments(dice, methods[name])
        # Nobody else's calls, and no engine that is there.
        if name == "abort_all":
            given[1:] = [False, False]
        if name in ("retire", "shutdown", "interrupt") and given[0] in (None, [], [0] * 3000):
            continue
        attempt(lambda target=target, name=name, given=given: getattr(target, name)(*given))
    faults.survived("frames", f"calls of the extension's {which} with anything", calls, "an error of Python or of ours")


def test_no_connection_file_makes_the_extension_panic(cluster: Cluster, tmp_path: Path, faults: Any) -> None:
    dice = random.Random(6)
    good = json.loads(Path(cluster.report["client_file"]).read_text())
    calls = faults.times(part=300, whole=10_000)
    for _ in range(calls):
        field = dice.choice(sorted(good))
        texts = [*TEXTS, "ipc:///tmp/a\0b", "tcp://\0:1", "tcp://127.0.0.1:0", "ipc://" + "a" * 500]
        lists = [[text] for text in texts]
        value = dice.choice([*texts, *lists, *NUMBERS, None, [], {}, {"server": "x" * 40}])
        changed = good | {field: value, "forwarded": dice.random() < 0.5}
        address = dice.choice([None, None, *texts])
        text = json.dumps(changed)
        attempt(lambda text=text, address=address: _core.Client("x", 0.0, address=address, text=text).close())
    file = tmp_path / "engine.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(good | {"role": "engine", "addresses": ["ipc:///tmp/a\0b"], "forwarded": True}))
    attempt(lambda: _core.Engine(str(file), 2**32 - 1, 0.0, lease=math.inf, end_time=math.inf, drain_before=1e300))
    faults.survived("frames", "connection files with anything in a field", calls, "refused with words")
