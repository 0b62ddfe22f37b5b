"""The thread that settles futures: when it is there, and how the interpreter ends with it."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from concurrent.futures import wait
from pathlib import Path

import pytest
from helpers import hold, until, watchers

from ipclusterz import Cluster


def test_there_is_one_thread_and_only_when_needed(cluster: Cluster, gate: Path) -> None:
    with cluster.connect_client() as client:
        view = client.load_balanced_view()
        result = client[:].apply_async(abs, -1)
        assert result.get() == [1] * 4
        assert view.map_sync(abs, range(100)) == list(range(100))
        client.barrier([result])
        assert wait([result]).not_done == set()
        assert watchers() == []
        results = [view.apply_async(hold, str(gate)) for _ in range(20)]
        for result in results:
            result.add_done_callback(lambda _: None)
        [thread] = watchers()
        assert thread.daemon
        gate.touch()
        assert wait(results).not_done == set()
        assert watchers() == [thread]
        with cluster.connect_client() as second:
            second[0].apply_async(hold, str(gate)).add_done_callback(lambda _: None)
        thread.join(0)
        assert thread.is_alive()
    until(lambda: watchers() == [])


def test_the_thread_ends_with_a_client_that_nobody_holds(cluster: Cluster, gate: Path) -> None:
    client = cluster.connect_client()
    result = client[0].apply_async(hold, str(gate))
    result.add_done_callback(lambda _: None)
    reference = weakref.ref(client)
    del client
    gc.collect()
    # A result that has yet to be told needs its client.
    assert reference() is not None
    gate.touch()
    result.get()
    del result
    until(lambda: (gc.collect(), reference())[1] is None)
    until(lambda: watchers() == [])


SETUP = """
import sys, threading
from concurrent.futures import wait
from ipclusterz import Client
sys.path.insert(0, sys.argv[2])
from helpers import hold
rc = Client(cluster=sys.argv[1])
result = rc[0].apply_async(hold, sys.argv[3])
"""

ENDINGS = {
    "normally": """
open(sys.argv[3], "w").close()
result.add_done_callback(lambda _: print("called", flush=True))
wait([result])
""",
    "with pending futures": """
result.add_done_callback(print)
""",
    "with pending futures of an executor": """
executor = rc[1:].executor
assert list(executor.map(abs, range(5))) == list(range(5))
futures = [executor.submit(hold, sys.argv[3]) for _ in range(20)]
""",
    "while a thread waits": """
def wait_for_it():
    wait([result])
    print("called", flush=True)
thread = threading.Thread(target=wait_for_it)
thread.start()
open(sys.argv[3], "w").close()
""",
    "with a closed client": """
result.add_done_callback(lambda _: print("called", flush=True))
rc.close()
wait([result])
""",
    "without a reference": """
result.add_done_callback(lambda _: None)
del result, rc
""",
    "by sys.exit": """
result.add_done_callback(lambda _: None)
sys.exit(0)
""",
    "after a fork": """
import os, warnings
warnings.simplefilter("ignore")
result.add_done_callback(lambda _: None)
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
    "with an exit handler that looks at futures": """
import atexit
def at_exit():
    try:
        result.add_done_callback(lambda _: None)
    except RuntimeError as error:
        print("called" if "after interpreter shutdown" in str(error) else error)
# Handlers are called in the reverse order.
from ipclusterz.client import watcher
atexit.unregister(watcher._stop_all)
atexit.register(at_exit)
atexit.register(watcher._stop_all)
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_ends(cluster: Cluster, gate: Path, ending: str) -> None:
    """Without a hang or a bad status, whatever is under way, and with a line about what any engine was to do."""
    command = [sys.executable, "-c", SETUP + ENDINGS[ending], cluster.name, str(Path(__file__).parent), str(gate)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stderr.count("\n") == ("executor" in ending)
    assert ended.stderr.startswith("ipclusterz: closed with 20 calls under way" if "executor" in ending else "")
    assert ended.returncode == 0
    assert ended.stdout == ("called\n" if "called" in ENDINGS[ending] else "")
