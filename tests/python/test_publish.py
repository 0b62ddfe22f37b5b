"""`publish_data`: what tasks tell their clients while they run."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import AsyncResult, Client, Cluster, RemoteError, _core
from ipclusterz.client.growing import _OF_NOTHING, Growing, NotSent
from ipclusterz.client.selection import Selection


def publish_and_hold(gate: str, number: int) -> None:
    ipz.publish_data({"loss": 1.0, "shape": (number, 2)})
    ipz.publish_data(loss=0.5, step=number)
    hold(gate)
    ipz.publish_data({"loss": 0.25})


def test_it_is_there_while_the_task_runs_and_later(rc: Client, gate: Path) -> None:
    one = rc[0].apply_async(publish_and_hold, str(gate), 7)
    several = rc[1:3].apply_async(publish_and_hold, str(gate), 8)
    until(lambda: one.data == {"loss": 0.5, "shape": (7, 2), "step": 7})
    until(lambda: several.data == [{"loss": 0.5, "shape": (8, 2), "step": 8}] * 2)
    gate.touch()
    one.get(), several.get()
    assert one.data["loss"] == 0.25
    assert [data["loss"] for data in several.data] == [0.25] * 2
    assert rc[0].apply_async(abs, 1).data == {}


def test_each_chunk_of_a_map_has_its_own(rc: Client) -> None:
    result = rc[None].map_async(lambda number: ipz.publish_data(number=number), range(4), chunksize=1)
    result.get()
    assert result.data == [{"number": number} for number in range(4)]


def test_a_measured_map_and_joined_results_have_it(rc: Client) -> None:
    def publish(number: int) -> int:
        ipz.publish_data(last=number)
        return number

    measured = rc[None].map_async(publish, range(1000))
    assert measured.get(20) == list(range(1000))
    ends = [sum(measured._sizes[: chunk + 1]) - 1 for chunk in range(len(measured._sizes))]
    assert measured.data == [{"last": end} for end in ends]
    one, several = rc[0].apply_async(publish, 7), rc[:2].apply_async(publish, 8)
    joined = AsyncResult.join(one, several)
    joined.get(10)
    assert joined.data == [{"last": 7}, {"last": 8}, {"last": 8}]


@pytest.mark.parametrize("stand_in", [Growing, NotSent, Selection], ids=lambda each: each.__name__)
def test_what_stands_for_answers_can_be_asked_all_that_answers_can(stand_in: type) -> None:
    # `claim` and `fulfil` are for single submissions in a task.
    asked = {name for name in dir(_core.Pending) if not name.startswith("_")} - {"claim", "fulfil"}
    there = {*dir(stand_in), *({*_OF_NOTHING, "submitted"} if stand_in is NotSent else ())}
    assert not asked - there


def test_it_is_no_display_and_shown_nowhere(rc: Client, capsys: pytest.CaptureFixture[str]) -> None:
    def publish() -> None:
        ipz.publish_data(value=1)
        print("printed")

    result = rc[0].apply_async(publish)
    result.get()
    assert (result.outputs, result.stdout, result.data) == ([[]], "printed\n", {"value": 1})
    code = "from IPython.display import HTML, display; import ipclusterz; display(HTML('shown'))\n"
    cell = rc[0].execute(code + "ipclusterz.publish_data(in_a='cell')", block=False)
    cell.display_outputs()
    assert [output["data"]["text/html"] for output in cell.outputs[0]] == ["shown"]
    assert cell.data == {"in_a": "cell"}
    shown = "[stdout:0] printed\n[output:0]\n<IPython.core.display.HTML object>\n"
    assert capsys.readouterr() == (shown, "")


class OfMain:
    """Pickled by value: the engines cannot import this module."""

    def __init__(self, number: int) -> None:
        self.number = number


def test_values_of_any_kind(rc: Client) -> None:
    def publish() -> None:
        ipz.publish_data({"array": np.arange(3000), "own": OfMain(3), "function": lambda: 42, "ü ": None})

    result = rc[0].apply_async(publish)
    result.get()
    data = result.data
    assert (data["array"] == np.arange(3000)).all()
    assert (data["own"].number, data["function"](), data["ü "]) == (3, 42, None)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (3, "TypeError", "a dictionary of values by name is published, not int"),
        ({3: 1}, "TypeError", "names of published values are text, not int: 3"),
        ({"lock": threading}, "", ""),
        ({"large": bytes(300_000)}, "PayloadTooLarge", r"at most 262144 bytes, .*'large' has 300\d\d\d(?s:.*)hint: "),
    ],
)
def test_what_is_refused(rc: Client, given: Any, error: str, said: str) -> None:
    def publish(given: Any) -> None:
        ipz.publish_data(before=1)
        ipz.publish_data(given)

    result = rc[0].apply_async(publish, given)
    if error:
        with pytest.raises(RemoteError, match=f"(?s){error}.*{said}"):
            result.get()
        assert result.data == {"before": 1}
    else:
        result.get()


def test_what_cannot_be_pickled_is_refused(rc: Client) -> None:
    def publish() -> None:
        ipz.publish_data(lock=threading.Lock())

    with pytest.raises(RemoteError, match=r"(?s)SerializationError.*_thread\.lock"):
        rc[0].apply_sync(publish)


def test_elsewhere_it_says_where_it_belongs() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)publish_data is for code on an engine.*hint: "):
        ipz.publish_data({"loss": 1})
    assert pickle.loads(pickle.dumps(ipz.publish_data)) is ipz.publish_data


def test_of_many_the_last_counts_and_little_is_kept(own_cluster: Callable[..., Cluster]) -> None:
    def publish() -> None:
        for step in range(20_000):
            ipz.publish_data(step=step, text="x" * 10_000)

    with own_cluster(1).connect_client() as rc:
        result = rc[0].apply_async(publish)
        result.get()
        assert (result.data["step"], result.outputs) == (19_999, [[]])
        printed = rc[0].apply_async(print, "x" * 100_000)
        printed.quiet = True
        printed.get()
        assert len(printed.stdout) == 100_001


def test_threads_publish_for_their_task(rc: Client, gate: Path) -> None:
    def publish(gate: str) -> None:
        def late() -> None:
            hold(gate)
            ipz.publish_data(late=True)
            Path(f"{gate}.done").touch()

        thread = threading.Thread(target=ipz.publish_data, args=({"thread": 1},))
        thread.start()
        thread.join()
        threading.Thread(target=late).start()

    first = rc[0].apply_async(publish, str(gate))
    first.get()
    second = rc[0].apply_async(hold, f"{gate}.done")
    gate.touch()
    second.get()
    assert (first.data, second.data) == ({"thread": 1}, {})
