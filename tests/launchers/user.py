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


def output_of_programs(rc: Any) -> Any:
    """What a program writes that each engine starts, and the engine's Python before and after it."""

    def speak() -> None:
        import os

        print("before")
        os.system("echo program; echo warned >&2")
        print("after")

    result = rc[:].apply_async(speak)
    result.get()
    return result.stdout, result.stderr


def prefixes(rc: Any) -> Any:
    """Where each engine's Python and package are, and on which host."""
    import os
    import sys

    return rc[:].apply_sync(
        lambda: (sys.prefix, os.path.dirname(__import__("ipclusterz").__file__), os.uname().nodename)
    )


def interpreters(rc: Any) -> Any:
    """Of each engine: what its environment is made from, which program runs, and where the library is."""
    import os
    import sys

    return rc[:].apply_sync(lambda: (sys.base_prefix, os.readlink("/proc/self/exe"), os.__file__))


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


def echoes(rc: Any, value: bytes) -> Any:
    """How many engines send a value back as it was. Twice: connections for large ones may come after the first."""
    for _ in range(2):
        rc[:].push({"value": value}, block=True)
        came = rc[:].pull("value", block=True)
    return sum(each == value for each in came.values())


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


def sent(rc: Any, nbytes: int) -> Any:
    """Whether all engines have what the first one sends them, and how often this client had to pass it on."""
    import numpy as np

    def watch() -> None:
        from ipclusterz.shared import handover

        pack = handover.pack
        handover.packed = 0  # type: ignore[attr-defined]

        def counted(name: str) -> list[bytes]:
            handover.packed += 1  # type: ignore[attr-defined]
            return pack(name)

        handover.pack = counted

    rc[0].apply_sync(watch)
    rc[0].push({"sent": np.arange(nbytes // 8)}, block=True)
    rc[0].send("sent", to="all", block=True)
    rc[:].execute("total = int(sent.sum())", block=True)
    sums = set(rc[:]["total"].values())
    passed_on = rc[0].apply_sync(lambda: __import__("ipclusterz.shared.handover", fromlist=["packed"]).packed)
    return sums == {int(np.arange(nbytes // 8).sum())}, passed_on


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


def stopped_at_its_limit(rc: Any, seconds: float = 60) -> str:
    """What a call with a time limit is told that stops its engine."""
    import os
    import signal

    import ipclusterz as ipz

    view = rc.load_balanced_view()
    with view.temp_flags(time_limit=1):
        result = view.apply_async(lambda: os.kill(os.getpid(), signal.SIGSTOP))
    try:
        return f"it has ended: {result.get(seconds)}"
    except ipz.TaskTimeout as error:
        return str(error)


def signalled(rc: Any, name: str, seconds: float = 20) -> Any:
    """How often engines that run a call have got a signal which is sent once."""
    import time

    def listen(name: str, seconds: float) -> int:
        import signal

        heard: list[int] = []
        signal.signal(getattr(signal, name), lambda number, _: heard.append(number))
        print("listening", flush=True)
        deadline = time.monotonic() + seconds
        while not heard and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(heard)

    call = rc[:].apply_async(listen, name, seconds)
    deadline = time.monotonic() + seconds
    while not all("listening" in text for text in call.stdout):
        assert time.monotonic() < deadline, "they do not listen"
        time.sleep(0.01)
    rc.send_signal(name)
    return call.get_dict(timeout=seconds)


def begin_to_fill_memory(rc: Any, engine: int, megabytes: int) -> None:
    """Begin a call that takes so much memory; `how_it_ended` tells of it."""

    def fill(megabytes: int) -> int:
        import time

        taken = []
        for _ in range(megabytes):
            taken.append(b"x" * (1 << 20))
        time.sleep(600)
        return len(taken)

    kept["call"] = rc[engine].apply_async(fill, megabytes)


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


def said_while_waiting(rc: Any, seconds: float) -> str:
    """What is printed for somebody who waits so long for the submitted calls."""
    import io
    import sys

    terminal, sys.stderr = sys.stderr, io.StringIO()
    try:
        kept["tasks"][0].wait(seconds)
        return sys.stderr.getvalue()
    finally:
        sys.stderr = terminal


def shut_down(rc: Any) -> None:
    """End the whole cluster."""
    rc.shutdown(controller=True)


def threads_of_openmp(rc: Any) -> Any:
    """`OMP_NUM_THREADS` on each engine, and the same before it, as a line of `engines.setup` has kept it."""
    import os

    return rc[:].apply_sync(lambda: (os.environ.get("OMP_NUM_THREADS"), os.environ.get("SEEN_BEFORE")))


def variables(rc: Any, names: list[str]) -> dict[int, list[str | None]]:
    """Variables of the environment of each engine."""
    import os

    seen = rc[:].apply_async(lambda names: [os.environ.get(name) for name in names], names).get()
    return dict(zip(rc.ids, seen))


def write_to_stdout(rc: Any, text: str) -> Any:
    """Each engine writes a text and its id to its standard output, as a library in C does."""
    import os

    write = lambda said: os.write(1, said.encode())  # noqa: E731
    return [rc[engine].apply_sync(write, f"{text} {engine}\n") for engine in sorted(rc.ids)]


def leave_something(rc: Any) -> None:
    """A variable on each engine, a call of 3 that lasts for a while, and one for all engines that waits behind it."""

    def noted() -> int:
        import os
        import time

        with open(f"/tmp/noted-{os.getpid()}", "a") as out:
            out.write("x")
        time.sleep(12)
        return os.getpid()

    for engine in rc.ids:
        rc[engine]["value"] = engine * 10
    kept["running"] = rc[3].apply_async(noted)
    while rc.status()["engines"][3]["state"] != "busy":
        pass
    kept["all"] = rc[:].pull("value", block=False)


def what_waits(rc: Any) -> tuple[str, Any]:
    """What is said of a call that waits, and the answer of one that need not."""
    return repr(kept["running"]), rc.load_balanced_view().apply_async(abs, -1).get(timeout=5)


def what_came(rc: Any) -> Any:
    """The results of all that was left, how often the call of 3 was begun, and who is there."""

    def begun() -> str:
        import os

        with open(f"/tmp/noted-{os.getpid()}") as file:
            text = file.read()
        os.unlink(file.name)
        return text

    results = kept["running"].get(timeout=30), kept["all"].get(timeout=30)
    return *results, rc[3].apply_sync(begun), sorted(rc.ids)


def of_groups(rc: Any, names: list[str]) -> dict[str, list[int]]:
    """The engines of some groups."""
    return {name: rc.group(name).targets for name in names}


def of_unknown_group(rc: Any, name: str) -> str:
    """What is said of a group that there is not."""
    try:
        rc.group(name)
    except IndexError as error:
        return str(error)
    return "nothing"


def places(rc: Any) -> Any:
    """The host, the cores and the GPUs of each engine, and what becomes of too much memory."""

    def place() -> tuple[str, list[int], str | None, str]:
        import os
        import socket

        try:
            bytearray(2 << 30)
            refused = ""
        except MemoryError:
            refused = "MemoryError"
        cores = sorted(os.sched_getaffinity(0))
        return socket.gethostname(), cores, os.environ.get("CUDA_VISIBLE_DEVICES"), refused

    return dict(rc[:].apply_sync(place))


def gpus(rc: Any) -> Any:
    """The GPUs that each engine sees."""
    import os

    return list(rc[:].apply_sync(os.getenv, "CUDA_VISIBLE_DEVICES").values())
