"""What a user does at a prompt in these tests.

Each function travels as its source (see `prompt.py`): it imports what it needs, and `kept` is a dict that lives as long
as the prompt.
"""

# ruff: noqa: F821
from __future__ import annotations

from typing import Any


def describe(rc: Any, variable: str = "") -> Any:
    """Pid, host and a variable of each engine."""
    import os
    import socket

    return rc[:].apply_sync(lambda name: (os.getpid(), socket.gethostname(), os.environ.get(name)), variable)


def surroundings(rc: Any) -> Any:
    """Of each engine: its host, its threads of BLAS, and the hash of a text."""
    import os
    import socket

    return rc[:].apply_sync(lambda: (socket.gethostname(), os.environ["OPENBLAS_NUM_THREADS"], hash("a text")))


def answers(rc: Any) -> Any:
    """42 from each engine."""
    return rc[:].apply_sync(lambda x: x + 1, 41)


def release(rc: Any) -> Any:
    """The number of the release on each engine."""
    return rc[:].apply_sync(lambda: __import__("ipclusterz").__version__)


def upload(rc: Any, name: str) -> Any:
    """Put a module on the hosts; the path on each of them."""
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"{name}.py")
        with open(path, "w") as file:
            file.write("import os\nplace = os.path.realpath(__file__), os.uname().nodename\n")
        return rc.upload(path).places


def import_uploaded(rc: Any, name: str) -> Any:
    """Where each engine has imported it from, and on which host."""
    rc[:].execute(f"import {name}\nplace = {name}.place", block=True)
    return rc[:]["place"]


def scatter_and_gather(rc: Any) -> Any:
    """Whether the parts add up, and whether all came back."""
    import numpy as np

    view = rc[:]
    data = np.arange(1_000_003)
    view.scatter("part", data, block=True)
    view.execute("total = int(part.sum())", block=True)
    totals = [rc[engine]["total"] for engine in sorted(rc.ids)]
    return sum(totals) == int(data.sum()), bool((view.gather("part", block=True) == data).all())


def large_data(rc: Any, nbytes: int) -> Any:
    """Whether each engine has got so many bytes, whether they come back from one, and how long it took."""
    import time

    import numpy as np

    data = np.random.default_rng(0).integers(0, 256, nbytes, dtype=np.uint8)
    began = time.monotonic()
    rc[:].push({"large": data}, block=True)
    rc[:].execute("total = int(large.sum())", block=True)
    sent = set(rc[:]["total"].values()) == {int(data.sum())}
    return sent, bool((rc[0]["large"] == data).all()), time.monotonic() - began


def balanced(rc: Any) -> Any:
    """Squares, and how many engines made them."""
    import os
    import time

    def square(x: int) -> tuple[int, int]:
        time.sleep(0.005)
        return x * x, os.getpid()

    pairs = rc.load_balanced_view().map_sync(square, range(100))
    return [value for value, _ in pairs], len({pid for _, pid in pairs})


def wait_for_ids(rc: Any, wanted: list[int], seconds: float = 30) -> Any:
    """The engines' ids, once they are these or the time is up."""
    import time

    deadline = time.monotonic() + seconds
    while sorted(rc.ids) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return sorted(rc.ids)


def wait_for_others(rc: Any, wanted: list[int], before: list[str], seconds: float = 30) -> Any:
    """The engines' ids, once they are these, of other processes than before, or the time is up."""
    import time

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        engines = {engine["id"]: engine["uuid"] for engine in rc.status()["engines"]}
        if sorted(engines) == wanted and not set(engines.values()) & set(before):
            return sorted(engines)
        time.sleep(0.01)
    return f"not within {seconds:g} s: {engines}"


def uuids(rc: Any) -> list[str]:
    """The processes of the engines, by names that no other process gets."""
    return [engine["uuid"] for engine in rc.status()["engines"]]


def wait_until_gone(rc: Any, former: list[str], seconds: float = 30) -> Any:
    """Which of these engines are there when none is, or the time is up. Others may have been started in their place."""
    import time

    deadline = time.monotonic() + seconds
    while True:
        here = {engine["uuid"] for engine in rc.status()["engines"]}.intersection(former)
        if not here or time.monotonic() > deadline:
            return sorted(here)
        time.sleep(0.01)


def wait_for_count(rc: Any, wanted: int, seconds: float = 30) -> Any:
    """The engines' ids, once there are so many or the time is up."""
    import time

    deadline = time.monotonic() + seconds
    while len(rc.ids) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return sorted(rc.ids)


def wait_for_epoch(rc: Any, epoch: int, seconds: float = 30) -> Any:
    """The world of this epoch, once it is formed: the sum over its ranks of one each, as each rank has it."""
    rc.mpi.wait_epoch(epoch, timeout=seconds)
    view = rc[:]
    view.block = True
    return list(view.mpi.spmd(lambda comm: (comm.epoch, comm.allreduce(1))).values())


def wait_for_forming(rc: Any, epoch: int, seconds: float = 30) -> Any:
    """Wait until all engines have been told to form that epoch; those that have not."""
    import time

    deadline = time.monotonic() + seconds
    while {row["world"]["epoch"] for row in rc.status()["engines"]} != {epoch}:
        assert time.monotonic() < deadline, str(rc.status()["engines"])
        time.sleep(0.01)
    return [row["id"] for row in rc.status()["engines"] if not row["world"]["formed"]]


def begin_to_sleep(rc: Any, engine: int, seconds: float = 60) -> None:
    """Begin a call that takes so long, and wait until it has begun; `how_it_ended` tells of it."""
    import time

    def nap(seconds: float) -> int:
        time.sleep(seconds)
        return 17

    kept["call"] = rc[engine].apply_async(nap, seconds)
    deadline = time.monotonic() + 10
    while {row["id"]: row["state"] for row in rc.status()["engines"]}.get(engine) != "busy":
        assert time.monotonic() < deadline, f"engine {engine} has not begun"
        time.sleep(0.01)


def how_it_ended(rc: Any, seconds: float = 30) -> Any:
    """The call's result, or the error of its engine as text."""
    import ipclusterz as ipz

    try:
        return kept["call"].get(timeout=seconds)
    except ipz.EngineError as error:
        return f"EngineError: {error}"


def write_when_warned(rc: Any, path: str) -> Any:
    """Have each engine write a file when the end of its time draws near."""

    def register(path: str) -> None:
        import os

        import ipclusterz

        ipclusterz.before_end(lambda left: open(f"{path}.{os.getpid()}", "w").close())

    return rc[:].apply_sync(register, path)


def submit_balanced(rc: Any, count: int, seconds: float = 0) -> None:
    """Submit so many load-balanced calls; `balanced_done` tells how many are done."""
    import time

    view = rc.load_balanced_view()
    kept["tasks"] = [view.apply_async(time.sleep, seconds) for _ in range(count)]


def lost_without_engines(rc: Any) -> str:
    """The error of a load-balanced call that no engine takes."""
    import ipclusterz as ipz

    try:
        return f"a value: {rc[None].apply_async(abs, -1).get(timeout=30)}"
    except ipz.EngineError as error:
        return str(error)


def balanced_done(rc: Any) -> int:
    """How many of the submitted calls are done."""
    return sum(task.ready() for task in kept["tasks"])


def shut_down(rc: Any) -> None:
    """End the whole cluster."""
    rc.shutdown(controller=True)


def threads_of_openmp(rc: Any) -> Any:
    """`OMP_NUM_THREADS` on each engine, and the same before it, as a line of `engines.setup` has kept it."""
    import os

    return rc[:].apply_sync(lambda: (os.environ.get("OMP_NUM_THREADS"), os.environ.get("SEEN_BEFORE")))


def write_to_stdout(rc: Any, text: str) -> Any:
    """Each engine writes a text and its id to its standard output, as a library in C does."""
    import os

    write = lambda said: os.write(1, said.encode())  # noqa: E731
    return [rc[engine].apply_sync(write, f"{text} {engine}\n") for engine in sorted(rc.ids)]
