"""The end of a client: what becomes of what it has under way, and what is said of that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import hold, until
from programs import ran

from ipclusterz import AbortedError, Client, Cluster, HistoryError

HERE = str(Path(__file__).parent)


def given_up(number: int) -> str:
    """What a client says."""
    what, is_, them, they = ("1 call", "is", "it", "it") if number == 1 else (f"{number} calls", "are", "them", "they")
    return (
        f"ipclusterz: closed with {what} under way, which {is_} given up if no engine has begun {them}: in a session "
        f"with a name, Client(session='NAME'), {they} would go on\n"
    )


def test_a_client_says_once_what_it_gives_up(cluster: Cluster, gate: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rc = cluster.connect_client()
    rc[None].map_async(hold, [gate] * 40, chunksize=1)
    rc[:].apply_async(abs, -1)
    rc.close()
    rc.close()
    assert capfd.readouterr().err == given_up(40)
    with cluster.connect_client() as other:
        until(lambda: other.status()["pending"] == 0)


def test_a_program_that_ends_says_what_it_gives_up(cluster: Cluster, gate: Path) -> None:
    code = f"""
    sys.path.insert(0, {HERE!r})
    from helpers import hold
    rc = client()
    ar = rc[None].apply_async(hold, {str(gate)!r})
    until(lambda: max(engine["queue"] for engine in rc.status()["engines"]))
    """
    assert ran(cluster, code) == ("", given_up(1))


@pytest.mark.parametrize("what", ["quiet", "done", "aborted", "direct"])
def test_there_may_be_nothing_to_say(
    cluster: Cluster, gate: Path, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    with cluster.connect_client() as rc:
        if what == "quiet":
            rc.quiet = True
            rc[None].apply_async(hold, gate)
        elif what == "done":
            assert rc[None].apply_sync(abs, -1) == 1
        elif what == "aborted":
            ar = rc[None].map_async(hold, [gate] * 10, chunksize=1)
            ar.abort()
        else:
            rc[0].apply_async(abs, -1)
    assert capfd.readouterr().err == ""


def test_what_is_not_begun_does_not_run_after_a_close(cluster: Cluster, gate: Path, tmp_path: Path) -> None:
    with cluster.connect_client() as rc:
        rc.quiet = True
        holding = rc[:].apply_async(hold, gate, "begun")
        until(lambda: all(holding.stdout))
        rc[None].apply_async(Path.touch, tmp_path / "done")
        rc.status()
    gate.touch()
    with cluster.connect_client() as rc:
        assert rc[:].apply_async(abs, -1).get(20) == [1] * 4
        assert not (tmp_path / "done").exists()


def test_a_result_that_nobody_has_is_gone_without_a_name(rc: Client) -> None:
    message_ids = rc[None].apply_async(abs, -1).msg_ids
    rc.barrier()
    with pytest.raises(HistoryError, match="nobody has the result"):
        rc.get_result(message_ids)


def test_a_session_closed_within_a_window_that_is_full(cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    with cluster.connect_client(session="full-window") as rc:
        rc[None].map_async(abs, range(-9000, 0), chunksize=1)
    assert "go on: Client(session='full-window') has the results" in capfd.readouterr().err
    with cluster.connect_client(session="full-window") as rc:
        assert rc.get_result(-1).get(40) == list(range(9000, 0, -1))


CHILD = """
import multiprocessing, sys
import ipclusterz as ipz

def work(file, session):
    rc = ipz.Client(file, session=session)
    rc.quiet = True
    rc[None].apply_async(abs, -5)

if __name__ == "__main__":
    file, method = sys.argv[1:]
    rc = ipz.Client(file)
    child = multiprocessing.get_context(method).Process(target=work, args=(file, f"child-{method}"))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    mine = ipz.Client(file, session=f"child-{method}")
    print(mine.get_result(-1).get(10), rc[None].apply_sync(abs, -1))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_session_of_a_child_is_the_parents_next(cluster: Cluster, tmp_path: Path, method: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(CHILD)
    command = [sys.executable, str(script), str(cluster.report["client_file"]), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("5 1\n", "")


def test_aborted_calls_of_a_session_stay_aborted(cluster: Cluster, gate: Path) -> None:
    with cluster.connect_client(session="aborted") as rc:
        holding = rc[:].apply_async(hold, gate, "begun")
        until(lambda: all(holding.stdout))
        ar = rc[0].apply_async(abs, -1)
        until(lambda: rc.status()["engines"][0]["queue"] == 2)
        ar.abort()
        assert ar.wait(10)
        gate.touch()
        holding.wait(10)
    with cluster.connect_client(session="aborted") as rc, pytest.raises(AbortedError):
        rc.get_result(-1).get(10)
