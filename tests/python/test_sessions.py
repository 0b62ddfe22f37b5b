"""Sessions with names: what is submitted in them goes on without their client, and waits for the next one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import hold, until
from programs import killed, ran, running

from ipclusterz import AsyncResult, Client, Cluster, EngineError, HistoryError, RemoteError
from ipclusterz.client import MapResult, records
from ipclusterz.client.records import ask

_numbers = count()


@pytest.fixture
def name() -> str:
    """The name of a session that no other test has."""
    return f"session-{next(_numbers)}"


def mark(folder: str, number: int) -> int:
    """On an engine: note that a task was run, and give its square."""
    import os
    import uuid

    with open(os.path.join(folder, f"{number}-{uuid.uuid4().hex}"), "w"):
        pass
    return number**2


KILLED_IN_A_MAP = """
def work(number):
    import os, time, uuid
    time.sleep(0.005)
    open(os.path.join({folder!r}, f"{{number}}-{{uuid.uuid4().hex}}"), "w").close()
    return number**2

rc = client(session={name!r})
ar = rc[None].map_async(work, range(400), chunksize=1)
until(lambda: ar.progress >= 100)
threading.Thread(target=for_ever, daemon=True).start()
ar.get()
"""


def test_a_client_that_is_killed_while_it_waits(cluster: Cluster, name: str, tmp_path: Path) -> None:
    killed(cluster, KILLED_IN_A_MAP.format(folder=str(tmp_path), name=name))
    with cluster.connect_client(session=name) as rc:
        ar = rc.get_result(-1)
        assert isinstance(ar, MapResult)
        assert ar.progress >= 100
        assert ar.get(30) == [number**2 for number in range(400)]
        assert ar.successful()
    assert sorted(int(file.name.partition("-")[0]) for file in tmp_path.iterdir()) == list(range(400))


def test_another_process_has_what_the_first_has_submitted(cluster: Cluster, name: str) -> None:
    code = f"""
    rc = client(session={name!r})
    rc[0].push({{"kept": 7}}, block=True)
    def g(x):
        print("said", x)
        return x + 1
    rc[None].apply_async(g, 41)
    rc.barrier()
    print(*rc.history)
    """
    out, errors = ran(cluster, code)
    assert errors == ""
    with cluster.connect_client(session=name) as rc:
        assert rc.session == name
        assert f"session {name!r}" in repr(rc)
        assert rc.history == out.split()
        ar = rc.get_result(rc.history[-1])
        assert (type(ar), ar.get(10), ar.stdout) == (AsyncResult, 42, "said 41\n")
        assert ar.status == "ok"
        assert ar["msg_id"] == rc.history[-1]
        assert 0 < ar.elapsed < 10
        assert rc[0].pull("kept", block=True) == 7


def test_a_closed_client_says_where_its_calls_go_on(cluster: Cluster, name: str, gate: Path, tmp_path: Path) -> None:
    code = f"""
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from helpers import hold
    rc = client(session={name!r})
    ar = rc[:].apply_async(hold, {str(gate)!r})
    ar = rc[None].map_async(abs, range(50), chunksize=1)
    rc.close()
    rc.close()
    """
    _, errors = ran(cluster, code)
    assert errors == f"ipclusterz: 54 calls go on: Client(session={name!r}) has the results\n"
    with cluster.connect_client(session=name) as rc:
        first, second = rc.outstanding
        assert (len(first), len(second), second.ready()) == (4, 50, False)
        gate.touch()
        assert len(set(first.get(20))) == 4
        assert second.get(20) == list(range(50))
        assert rc.outstanding == []


def test_a_result_is_as_the_first_client_had_it(cluster: Cluster, name: str) -> None:
    code = f"""
    rc = client(session={name!r})
    rc[:].scatter("part", range(8), block=True)
    rc[:].gather("part", block=True)
    rc[:].zip_pull(("part", "part"), block=True)
    rc[[1]].apply_async(abs, -1).wait()
    rc[1].apply_async(abs, -2).wait()
    rc[:].execute("print('out'); 1 + 1", block=False).wait()
    rc[:].map_async(lambda x: 1 / x, [0, 1, 2, 4], return_exceptions=True).wait()
    rc[None].map_async(lambda x: x, range(10), chunksize=4, ordered=False).wait()
    with rc[:].executor as executor:
        executor.submit(pow, 2, 3).result()
    """
    ran(cluster, code)
    with cluster.connect_client(session=name) as rc:
        results = [rc.get_result(-number) for number in range(9, 0, -1)]
        scattered, gathered, zipped, listed, one, cells, mapped, unordered, future = results
        assert (scattered.get(10), gathered.get(10)) == ([None] * 4, list(range(8)))
        parts = ([0, 1], [2, 3], [4, 5], [6, 7])
        assert zipped.get(10) == [parts, parts]
        assert (listed.get(10), listed.engine_ids) == ([1], [1])
        assert (one.get(10), one.engine_ids) == (2, [1])
        assert [reply.result for reply in cells.get(10)] == ["2"] * 4
        assert [reply.stdout for reply in cells.get(10)] == ["out\n"] * 4
        assert isinstance(mapped.get(10)[0], RemoteError)
        assert mapped.get(10)[1:] == [1, 0.5, 0.25]
        assert mapped.failures()[0].index == 0
        assert sorted(unordered.get(10)) == list(range(10))
        assert (type(future).__name__, future.result()) == ("ViewFuture", 8)


def test_what_a_cell_displayed_is_there(cluster: Cluster, name: str) -> None:
    code = f"""
    rc = client(session={name!r})
    cell = '''
    from IPython.display import display, HTML
    display(HTML("<b>figure</b>"))
    print("text")
    '''
    import textwrap
    rc[0].execute(textwrap.dedent(cell), block=False).wait()
    """
    ran(cluster, code)
    with cluster.connect_client(session=name) as rc:
        reply = rc.get_result(-1).get(10)
        assert reply.stdout == "text\n"
        assert [content["data"]["text/html"] for content in reply.display] == ["<b>figure</b>"]


def test_an_error_is_as_the_first_client_had_it(cluster: Cluster, name: str) -> None:
    code = f"""
    def failing_function(x):
        return 1 / x
    rc = client(session={name!r})
    ar = rc[None].apply_async(failing_function, 0)
    try:
        ar.get()
    except ipz.RemoteError as error:
        print(error.ename, error.evalue, error.engine_id, "failing_function" in str(error))
    """
    out, _ = ran(cluster, code)
    with cluster.connect_client(session=name) as rc, pytest.raises(RemoteError) as raised:
        rc.get_result(-1).get(10)
    error = raised.value
    told = (error.ename, error.evalue, error.engine_id, "failing_function" in str(error))
    assert " ".join(map(str, told)) == out.strip()
    assert told[3]


@pytest.mark.parametrize("mebibytes", [1, 20])
def test_large_results_are_kept(cluster: Cluster, name: str, mebibytes: int) -> None:
    code = f"""
    rc = client(session={name!r})
    rc[None].apply_async(lambda n: np.arange(n, dtype=float), {mebibytes << 17}).wait()
    rc[None].apply_async(lambda n: np.arange(n, dtype=float), {mebibytes << 17}).get()
    """
    ran(cluster, code)
    with cluster.connect_client(session=name) as rc:
        for index in (-1, -2):
            assert (rc.get_result(index).get(20) == np.arange(mebibytes << 17)).all()


def test_a_session_is_continued_twice(cluster: Cluster, name: str) -> None:
    for number in range(3):
        ran(cluster, f"client(session={name!r})[None].apply_async(pow, {number}, 2).wait()")
    with cluster.connect_client(session=name) as rc:
        rc[None].apply_async(pow, 3, 2).wait()
        assert len(rc.history) == len(set(rc.history)) == 4
        assert [rc.get_result(message_id).get(10) for message_id in rc.history] == [0, 1, 4, 9]
        assert [rc.results[message_id] for message_id in rc.history] == [0, 1, 4, 9]
        assert list(rc.results) == rc.history
        numbers = [int(message_id.split("-")[1]) for message_id in rc.history]
        assert numbers == sorted(numbers)


ONE_OF_FOUR_WAITS = """
def work(gate, waits):
    from pathlib import Path
    import os, time
    while os.getpid() == waits and not Path(gate).exists():
        time.sleep(0.01)
    return os.getpid()

rc = client(session={name!r})
ar = rc[:].apply_async(work, {gate!r}, {waits})
until(lambda: ar.progress == 3)
threading.Thread(target=for_ever, daemon=True).start()
ar.get()
"""


@pytest.mark.parametrize("waits", [0, 2, 3])
def test_what_lacks_one_answer_is_found_by_all_its_ids(waits: int, cluster: Cluster, name: str, gate: Path) -> None:
    with cluster.connect_client() as rc:
        pids = rc[:].apply_sync(os.getpid)
    killed(cluster, ONE_OF_FOUR_WAITS.format(name=name, gate=str(gate), waits=pids[waits]))
    with cluster.connect_client(session=name) as rc:
        prefix = rc.history[-1].rpartition("-")[0]
        for position in range(4):
            assert len(rc.get_result(f"{prefix}-{position}")) == 1
        with pytest.raises(ValueError, match="was never submitted"):
            rc.get_result(f"{prefix}-4")
        ar = rc.get_result([f"{prefix}-{position}" for position in range(4)])
        gate.touch()
        assert ar.get(30) == list(pids.values())


@pytest.mark.parametrize(
    ("program", "there"),
    [
        ("client(session={name!r})[None].map_async(abs, range(-9, 1), chunksize=2).wait()", [9, 8, 7, 6, 5, 4]),
        ("client(session={name!r})[:].scatter('x', list(range(4)), block=True)", [None, None]),
    ],
    ids=["a map", "a scatter"],
)
def test_what_was_submitted_in_part_says_so(
    program: str, there: Any, cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the client is killed while it sends the requests of a submission."""
    ran(cluster, program.format(name=name))

    def without_the_end(core: Any, question: Any) -> dict[str, Any]:
        requests = ask(core, question).get("requests", [])
        return {"requests": requests[:-2], "tasks": []}

    monkeypatch.setattr(records, "ask", without_the_end)
    with cluster.connect_client(session=name) as rc:
        with pytest.warns(RuntimeWarning, match="was submitted in part: .* the last 2 of its [54] parts"):
            result = rc.get_result(-1)
        assert result.get(10) == there


def test_two_sessions_do_not_see_each_other(cluster: Cluster, name: str) -> None:
    with cluster.connect_client(session=name) as one, cluster.connect_client(session=f"{name}.other") as other:
        first = one[None].apply_async(abs, -1)
        second = other[None].apply_async(abs, -2)
        assert (first.get(10), second.get(10)) == (1, 2)
        assert (one.history, other.history) == (first.msg_ids, second.msg_ids)
        with pytest.raises(ValueError, match="another client's"):
            one.get_result(second.msg_ids)
        with pytest.raises(IndexError, match="there is no submission -2: there were 1"):
            one.get_result(-2)


def test_a_client_that_vanished_without_a_name_is_found(cluster: Cluster, tmp_path: Path) -> None:
    note = tmp_path / "name"
    code = f"""
    rc = client()
    open({str(note)!r}, "w").write(rc.session)
    plain = rc[None].apply_async(pow, 2, 5)
    four = rc[:].apply_async(os.getpid)
    mapped = rc[None].map_async(abs, range(-40, 0), chunksize=3)
    slow = rc[None].apply_async(time.sleep, 0.5)
    rc.status()
    for_ever()
    """
    killed(cluster, code)
    with cluster.connect_client(session=note.read_text()) as rc:
        plain, four, mapped, slow = (rc.get_result(-number) for number in (4, 3, 2, 1))
        assert plain.get(20) == 32
        assert len(set(four.get(20))) == 4
        assert mapped.get(20) == list(range(40, 0, -1))
        assert slow.get(20) is None


def test_results_survive_the_controller(own_cluster: Callable[..., Cluster], name: str, gate: Path) -> None:
    cluster = own_cluster(2, cluster=f"{name}-{os.getpid()}")
    with cluster.connect_client(session=name) as rc:
        before = rc[None].map_async(abs, range(-20, 0), chunksize=1)
        before.wait(20)
        under_way = rc[:].apply_async(hold, gate)
        queued = rc[None].map_async(abs, range(-10, 0), chunksize=1)
        pid = rc.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: _pid(rc) not in (None, pid), 30)
    with cluster.connect_client(session=name) as rc:
        gate.touch()
        assert rc.get_result(-3).get(20) == list(range(20, 0, -1))
        assert len(set(rc.get_result(-2).get(20))) == 2
        assert rc.get_result(-1).get(20) == list(range(10, 0, -1))
        assert rc.history == [*before.msg_ids, *under_way.msg_ids, *queued.msg_ids]


def test_an_answer_that_waits_for_the_last_word_on_its_engine_is_found(
    own_cluster: Callable[..., Cluster], name: str, gate: Path
) -> None:
    """The engine is gone, and the launcher does not say yet how: the answer is neither under way nor kept."""
    cluster = own_cluster(2, cluster=f"{name}-{os.getpid()}")
    code = f"""
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from helpers import hold
    rc = client(session={name!r})
    rc[:].apply_async(hold, {str(gate)!r})
    rc.status()
    for_ever()
    """
    killed(cluster, code)
    launcher = cluster.report["launcher_pid"]
    with cluster.connect_client(session=name) as rc:
        [pid] = [engine["pid"] for engine in rc.status()["engines"] if engine["id"] == 0]
        os.kill(launcher, signal.SIGSTOP)
        try:
            os.kill(pid, signal.SIGKILL)
            until(lambda: rc.ids == {1}, 10, lambda: f"there are {rc.ids}")
            ar = rc.get_result(rc.history[0])
            rc.status()
        finally:
            os.kill(launcher, signal.SIGCONT)
            gate.touch()
        with pytest.raises(EngineError, match=r"engine 0 \(pid .*\) died: .*SIGKILL"):
            ar.get(20)


def test_no_client_gets_numbers_of_one_that_was_killed_before_it_had_sent_its_calls(
    own_cluster: Callable[..., Cluster], name: str, tmp_path: Path
) -> None:
    """The controller reads nothing meanwhile; the end of what the client submits is nowhere but in its memory."""
    cluster = own_cluster(2, cluster=f"{name}-{os.getpid()}")
    note = tmp_path / "ids"
    code = f"""
    import signal
    rc = client(session={name!r})
    rc[0].apply(os.getpid)
    os.kill(rc.status()["pid"], signal.SIGSTOP)
    # More than sockets take.
    ids = [rc[None].apply_async(abs, -number - 0.5).msg_ids[0] for number in range(20)]
    first = lambda number, _: number
    ids += [rc[None].apply_async(first, number, os.urandom(50_000)).msg_ids[0] for number in range(200)]
    open({str(note)!r}, "w").write(" ".join(ids))
    for_ever()
    """
    with cluster.connect_client() as rc:
        controller = rc.status()["pid"]
    killed(cluster, code)
    os.kill(controller, signal.SIGCONT)
    theirs = note.read_text().split()
    values = [number + 0.5 for number in range(20)] + list(range(200))
    with cluster.connect_client(session=name) as rc:
        own = [rc[None].apply_async(pow, -2, 3).msg_ids[0] for _ in range(300)]
        rc.barrier()
        assert not set(own) & set(theirs)
        assert rc.history[-300:] == own
    with cluster.connect_client(session=name) as rc:
        assert [rc.get_result(each).get(20) for each in own] == [-8] * 300
        got = [_value_or_error(rc, message_id) for message_id in theirs]
        lost = [
            f"{message_id} has never reached the controller, or is not remembered any more" for message_id in theirs
        ]
        assert all(found in pair for found, *pair in zip(got, values, lost)), got
        assert got != values


def _value_or_error(rc: Client, message_id: str) -> Any:
    try:
        return rc.get_result(message_id).get(20)
    except HistoryError as error:
        return str(error).splitlines()[0]


def _pid(rc: Client) -> int | None:
    from ipclusterz.error import ControllerUnreachable

    try:
        pid: int = rc.status(timeout=1)["pid"]
    except ControllerUnreachable:
        return None
    return pid


def test_a_result_that_was_purged_says_so(cluster: Cluster, name: str) -> None:
    ran(cluster, f"client(session={name!r})[None].apply_async(abs, -1).wait()")
    with cluster.connect_client(session=name) as rc:
        assert rc.get_result(-1).get(10) == 1
        rc.purge_results("all")
        with pytest.raises(EngineError, match="purged"):
            rc.get_result(-1).get(10)


@pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "é", "a/b", "a\n"])
def test_names_that_are_none(cluster: Cluster, bad: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 letters, digits"):
        cluster.connect_client(session=bad)


def test_a_name_is_text(cluster: Cluster) -> None:
    with pytest.raises(TypeError, match="the name of a session is text, not int"):
        cluster.connect_client(session=7)  # type: ignore[arg-type]


def test_a_cluster_that_keeps_no_history_has_no_sessions(own_cluster: Callable[..., Cluster], name: str) -> None:
    from ipclusterz.error import HistoryError

    cluster = own_cluster(1, cluster=f"{name}-{os.getpid()}", controller={"journal": "off"})
    with pytest.raises(HistoryError, match=r"controller\.journal"):
        cluster.connect_client(session=name)
    with cluster.connect_client() as rc:
        ar = rc[None].apply_async(abs, -1)
        assert rc.get_result(-1) is ar
        assert (ar.get(10), rc.history) == (1, ar.msg_ids)


def test_a_running_program_loses_its_session(cluster: Cluster, name: str) -> None:
    code = f"""
    rc = client(session={name!r})
    ar = rc[None].apply_async(time.sleep, 1.5)
    def wait():
        try:
            ar.get()
        except ipz.SessionTaken as error:
            print(error)
        for call in (rc.status, rc.barrier, lambda: rc.ids, lambda: rc[None].apply(abs, 1), lambda: rc.history):
            try:
                call()
            except ipz.SessionTaken:
                continue
            print("no error")
        print(rc, rc.closed)
        print("done", flush=True)
    threading.Thread(target=wait).start()
    print("ready", flush=True)
    """
    with running(cluster, code) as program, cluster.connect_client(session=name) as rc:
        out, _ = program.communicate(timeout=30)
        said, shown, done = out.splitlines()[0], out.splitlines()[-2], out.splitlines()[-1]
        assert f'the session "{name}" was taken over by client' in said
        assert f"(pid {os.getpid()} on " in said
        assert "no error" not in out
        assert "taken over" in shown
        assert shown.endswith("True")
        assert done == "done"
        assert rc.get_result(-1).get(20) is None


def test_who_takes_over_is_told_from_whom(cluster: Cluster, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with running(cluster, f"rc = client(session={name!r}); for_ever()") as program:
        with cluster.connect_client(session=name):
            pass
        errors = capfd.readouterr().err
        assert errors.startswith(f"ipclusterz: session {name!r} is taken over from pid {program.pid} on ")
        assert errors.count("\n") == 1


@pytest.mark.parametrize("named", [True, False], ids=["a name", "no name"])
def test_a_client_that_slept_does_not_take_its_session_back(
    named: bool, own_cluster: Callable[..., Cluster], name: str
) -> None:
    """Its connections broke meanwhile, and somebody else has the session."""
    cluster = own_cluster(2, cluster=f"{name}-{os.getpid()}")
    code = f"""
    rc = client({f"session={name!r}" if named else ""})
    print("ready", flush=True)
    print(rc.session, flush=True)
    ar = rc[None].apply_async(time.sleep, 0.2)
    try:
        ar.get(40)
        until(lambda: not rc.ids)
    except ipz.SessionTaken as error:
        print(error)
    """
    with running(cluster, code) as program:
        assert program.stdout is not None
        session = program.stdout.readline().strip()
        with cluster.connect_client() as other:
            pid = other.status()["pid"]
            until(lambda: session in {each["session"] for each in other.db_query()}, 20, "its task has not ended")
            program.send_signal(signal.SIGSTOP)
            os.kill(pid, signal.SIGKILL)
            until(lambda: _pid(other) not in (None, pid), 30)
        with cluster.connect_client(session=session) as rc:
            program.send_signal(signal.SIGCONT)
            said, _ = program.communicate(timeout=40)
            assert f"session '{session}' was taken over by client" in said.replace('"', "'")
            assert rc.get_result(-1).get(20) is None
            assert rc[None].apply(abs, -1).get(20) == 1


def test_a_large_result_outlives_client_and_controller(own_cluster: Callable[..., Cluster], name: str) -> None:
    """Both are killed as soon as the client has it, and its segment is gone."""
    cluster = own_cluster(1, cluster=f"{name}-{os.getpid()}")
    segments = json.loads(Path(cluster.report["client_file"]).read_text())["shared_memory"]
    code = f"""
    import signal
    rc = client(session={name!r})
    pid = rc.status()["pid"]
    assert rc[0].apply(np.ones, 1 << 20).get(20).sum() == 1 << 20
    until(lambda: not os.listdir({segments!r}))
    os.kill(pid, signal.SIGKILL)
    for_ever()
    """
    killed(cluster, code)
    with cluster.connect_client(session=name) as rc:
        assert rc.get_result(-1).get(20).sum() == 1 << 20
