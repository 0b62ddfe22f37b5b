"""`ipclusterz.ipyparallel`: results, their history, and errors by ipyparallel's names."""

from __future__ import annotations

import concurrent.futures
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import hold, until
from main_functions import divided, from_main

from ipclusterz import ipyparallel as ipp
from ipclusterz.ipyparallel.datapub import publish_data

# -- results ----------------------------------------------------------------------------------------------------------


def test_waiting(ippc: ipp.Client, gate: Path) -> None:
    ar = ippc[:2].apply_async(hold, str(gate), "begun")
    assert not ar.ready()
    assert not ar.wait(0.01)
    with pytest.raises(ipp.error.TimeoutError):
        ar.get(timeout=0.01)
    with pytest.raises(ValueError, match="not ready"):
        ar.successful()
    assert ippc.outstanding == set(ar.msg_ids)
    assert not ippc.wait(ar, timeout=0.01)
    until(lambda: ar.stdout == ["begun\n"] * 2)
    gate.touch()
    assert ar.wait(-1)
    assert ar.wait_for_output(-1)
    assert ar.wait_for_send(-1)
    assert (ar.successful(), ar.sent, ar.done(), ar.progress, len(ar), ar.owner) == (True, True, True, 2, 2, True)
    assert ippc.wait()
    assert ippc.outstanding == set()
    assert ippc.outstanding == ippc[0].outstanding


def test_times_and_metadata(ippc: ipp.Client) -> None:
    ar = ippc[:2].apply_async(time.sleep, 0.05)
    ar.get(10)
    assert ar.serial_time >= 0.1
    assert ar.elapsed == ar.wall_time >= 0.05
    assert ar.timedelta(ar.submitted, ar.received) == pytest.approx(ar.wall_time, abs=0.01)
    assert ar.timedelta(ar.started[0], ar.completed[0]) >= 0.05
    assert ar.metadata[1].engine_id == 1
    assert ar["engine_id"] == ar.engine_id == [0, 1]
    assert ar.status == ["ok", "ok"]
    assert [record.data for record in ar.metadata] == [{}, {}]
    one = ippc[3].apply_async(print, "said")
    one.get(10)
    assert (one.metadata.stdout, one["stdout"], one.stdout, one.engine_id) == ("said\n",) * 3 + (3,)
    assert ippc.metadata[one.msg_ids[0]]["engine_id"] == 3
    assert one.metadata["outputs_ready"]


def test_published_data(ippc: ipp.Client) -> None:
    one, several = ippc[0].apply_async(publish_data, {"a": 1}), ippc[:2].apply_async(publish_data, {"a": 2})
    ippc.wait([one, several], timeout=10)
    assert (one.data, one.metadata.data, several.data) == ({"a": 1}, {"a": 1}, [{"a": 2}] * 2)
    assert several.metadata[1].data == {"a": 2}


def test_join_and_split(dview: ipp.DirectView) -> None:
    results = [dview.client[k].apply_async(abs, -k) for k in range(3)]
    joined = ipp.AsyncResult.join(*results)
    assert isinstance(joined, ipp.AsyncResult)
    assert joined.get(10) == [0, 1, 2]
    assert [part.get(10) for part in joined.split()] == [0, 1, 2]


def test_history(ippc: ipp.Client, dview: ipp.DirectView) -> None:
    ar = dview.apply_async(abs, -1)
    last = ippc[2].apply_async(abs, -2)
    ippc.wait(timeout=10)
    assert ippc.history == dview.history == [*ar.msg_ids, *last.msg_ids]
    assert ippc.get_result().get() == 2
    assert ippc.get_result(0).get() == 1
    assert ippc.get_result(ar.msg_ids[1], block=True).get() == 1
    assert ippc.get_result(ar.msg_ids) is ar
    assert ippc.get_result([0, -1]).get() == [1, 2]
    assert dview.get_result(-1).get() == 2
    assert ippc.results[last.msg_ids[0]] == dview.results[last.msg_ids[0]] == 2
    assert ippc.result_status(ar.msg_ids) == {"pending": [], "completed": ar.msg_ids}
    assert ippc.result_status(-1, status_only=False)[last.msg_ids[0]] == 2
    with pytest.raises(IndexError, match="there is no 77 in the history of 5 calls"):
        ippc.get_result(77)
    with pytest.raises(KeyError):
        ippc.metadata["nonsense"]


def test_a_task_of_a_map(ippc: ipp.Client, lbview: ipp.LoadBalancedView) -> None:
    def speak(x: int) -> float:
        print(x)
        return 1 / x

    ar = lbview.map_async(speak, [1, 2, 0, 4], chunksize=2)
    pending, done = set(ar.msg_ids), {}
    while pending:
        ippc.wait(pending, 0.01)
        for message_id in pending - ippc.outstanding:
            done[message_id] = ippc.get_result(message_id)
        pending -= done.keys()
    first, second = (done[message_id] for message_id in ar.msg_ids)
    assert (first.get(), first.stdout, type(first.engine_id)) == ([1, 0.5], "1\n2\n", int)
    with pytest.raises(ipp.RemoteError, match="ZeroDivisionError"):
        second.get()


def test_views_wait_as_the_client_did_when_they_were_made(ippc: ipp.Client) -> None:
    before = ippc[:]
    ippc.block = True
    assert (before.block, ippc[:].block, ippc.load_balanced_view().block) == (False, True, True)


def test_results_stay_until_they_are_purged(ippc: ipp.Client) -> None:
    ids = ippc[0].apply_async(abs, -1).msg_ids
    ippc.wait(timeout=10)
    assert ippc.get_result(ids[0]).get() == 1
    assert list(ippc.metadata) == ippc.history
    ippc.purge_local_results(ids)
    with pytest.raises(ipp.IPythonError):
        ippc.get_result(ids[0])
    with pytest.raises(ValueError, match="Must specify"):
        ippc.purge_results()
    ippc.purge_everything()
    ippc[1].apply_async(abs, -1).get(10)
    ippc[1].purge_results(targets=1)


def test_resubmit_and_the_database(ippc: ipp.Client) -> None:
    ar = ippc[1].apply_async(pow, 2, 5)
    assert ar.get(10) == 32
    assert ippc.resubmit(ar.msg_ids, block=True).get() == 32
    assert ippc.resubmit().get(10) == 32
    until(lambda: len(ippc.db_query({"name": "pow", "session": ippc.session}, keys=["msg_id"])) == 3)
    assert set(ippc.history) <= set(ippc.hub_history())
    labelled = ippc.load_balanced_view(label="step_one").apply_async(abs, -1)
    labelled.get(10)
    until(lambda: ippc.db_query({"msg_id": labelled.msg_ids[0], "result_status": "ok"}))
    found = ippc.db_query({"label": {"$glob": "step_*", "$nin": ""}}, keys=["label", "engine_uuid", "content"])
    expected = {"label": "step_one", "engine_uuid": labelled.engine_uuid, "content": None}
    assert {"msg_id": labelled.msg_ids[0], **expected} in found


def test_queue_status(ippc: ipp.Client, dview: ipp.DirectView) -> None:
    status = ippc.queue_status()
    assert set(status) == {0, 1, 2, 3, "unassigned"}
    assert set(status[0]) == {"queue", "completed", "tasks"}
    assert set(ippc.queue_status(1)) == {"queue", "completed", "tasks"}
    assert set(dview.queue_status([0, 1], verbose=True)) == {0, 1, "unassigned"}


def test_abort(ippc: ipp.Client, gate: Path) -> None:
    running = ippc[0].apply_async(hold, str(gate), "begun")
    until(lambda: running.stdout)
    waiting = [ippc[0].apply_async(abs, -1) for _ in range(4)]
    ippc.abort(waiting[0])
    ippc.abort(waiting[1].msg_ids)
    waiting[2].abort()
    ippc[0].abort()
    for ar in waiting:
        with pytest.raises(ipp.error.TaskAborted) as caught:
            ar.get(10)
        assert isinstance(caught.value, concurrent.futures.CancelledError)
        ename, _, traceback, info = caught.value
        assert (ename, traceback, info["method"]) == ("TaskAborted", "", "apply")
    gate.touch()
    assert running.get(10)


def test_signals(ippc: ipp.Client) -> None:
    ar = ippc[1].apply_async(hold, "/no/such", "begun")
    until(lambda: ar.stdout)
    ippc.send_signal("SIGINT", targets=1)
    with pytest.raises(ipp.RemoteError) as caught:
        ar.get(10)
    assert caught.value.ename == "KeyboardInterrupt"
    ippc.send_signal(signal.SIGINT)
    with pytest.raises(ValueError, match="no signal 'SIGNOPE'"):
        ippc.send_signal("SIGNOPE")


# -- errors -----------------------------------------------------------------------------------------------------------


def test_an_error_of_one_engine(ippc: ipp.Client, capsys: pytest.CaptureFixture[str]) -> None:
    ar = ippc[1].apply_async(divided, 0)
    with pytest.raises(ipp.RemoteError) as caught:
        ar.get(10)
    error: Any = caught.value
    assert (error.ename, error.evalue, error.engine_info["engine_id"]) == ("ZeroDivisionError", "division by zero", 1)
    assert error.engine_info["engine_uuid"] == ar.metadata.engine_uuid
    assert "in divided" in error.traceback
    assert "in divided" in "\n".join(error.render_traceback())
    error.print_traceback()
    assert "in divided" in capsys.readouterr().err
    assert (ar.status, ar.error, ar.successful()) == ("error", error, False)
    assert isinstance(ar.exception(), ipp.RemoteError)


def test_errors_of_several_engines(dview: ipp.DirectView, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ipp.CompositeError) as caught:
        dview.apply_sync(divided, 0)
    error: Any = caught.value
    assert isinstance(error, ipp.RemoteError)
    assert len(error.elist) == 4
    for engine, (ename, evalue, traceback, info) in enumerate(error.elist):
        assert (ename, evalue, info["engine_id"], info["method"]) == (
            "ZeroDivisionError",
            "division by zero",
            engine,
            "apply",
        )
        assert "in divided" in traceback
    assert error.elist[0][0] == "ZeroDivisionError"
    assert "one or more exceptions" in error.msg
    error.print_traceback()
    assert "in divided" in capsys.readouterr().out
    assert len([line for line in error.render_traceback() if "in divided" in line]) == 4
    with pytest.raises(ipp.RemoteError, match="ZeroDivisionError"):
        error.raise_exception()
    with pytest.raises(IndexError):
        error.raise_exception(7)


def test_errors_of_maps(dview: ipp.DirectView, lbview: ipp.LoadBalancedView) -> None:
    for view in (dview, lbview):
        ar = view.map_async(divided, [1, 0, 4])
        with pytest.raises(ipp.CompositeError) as caught:
            ar.get(10)
        assert caught.value.elist[0][0] == "ZeroDivisionError"
        values = ar.get(return_exceptions=True)
        assert (values[0], values[2]) == (1, 0.25)
        assert isinstance(values[1], ipp.RemoteError)
        results = iter(ar)
        assert next(results) == 1
        with pytest.raises(ipp.RemoteError):
            next(results)
        with pytest.raises(ipp.RemoteError):
            list(view.imap(divided, [0]))


def test_the_first_that_fails_is_not_waited_behind(ippc: ipp.Client, dview: ipp.DirectView, gate: Path) -> None:
    dview["gate"] = str(gate)
    ippc[1]["gate"] = None
    f = from_main("def f():\n    if gate is None: 1 / 0\n    return hold(gate)")
    dview["hold"] = hold
    ar = dview.apply_async(f)
    with pytest.raises(ipp.CompositeError, match="ZeroDivisionError"):
        ar.get(10, return_when=ipp.FIRST_EXCEPTION)
    assert not ar.ready()
    assert not ar.wait(10, return_when=ipp.FIRST_COMPLETED)
    gate.touch()
    assert ar.wait(10)
    assert len(ar.get(return_exceptions=True)) == 4


def test_errors_travel_and_are_shown_by_name(ippc: ipp.Client, dview: ipp.DirectView) -> None:
    with pytest.raises(ipp.CompositeError) as several:
        dview.apply_sync(divided, 0)
    with pytest.raises(ipp.RemoteError) as one:
        ippc[0].apply_sync(divided, 0)
    for error in (several.value, one.value):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.engine_id) == (type(error), str(error), error.engine_id)
    assert again.engine_info == one.value.engine_info  # type: ignore[attr-defined]
    assert (type(several.value).__name__, type(one.value).__name__) == ("CompositeError", "RemoteError")
    lost: Any = ipp.error.translated(ipp.EngineError("gone", "", 3, "apply"))
    assert (type(lost).__name__, lost.ename, isinstance(lost, ipp.EngineError)) == (
        "EngineError",
        "EngineError",
        True,
    )
    assert pickle.loads(pickle.dumps(lost)).engine_id == 3


def test_errors_by_name() -> None:
    for name in ("TaskAborted", "TimeoutError", "NoEnginesRegistered", "UnmetDependency", "EngineError"):
        assert getattr(ipp, name) is getattr(ipp.error, name)
        assert issubclass(getattr(ipp, name), ipp.IPythonError)
        assert name in dir(ipp)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        ipp.nonsense  # noqa: B018
    with pytest.raises(RuntimeError, match="this process is none"):
        ipp.bind_kernel()
