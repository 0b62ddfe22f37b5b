"""The standard streams of an engine: whose output is whose, and what code may do with ``sys.stdout``."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import hold, until

from ipclusterz import Client, Cluster, RemoteError


def start_thread(gate: str) -> None:
    import threading

    threading.Thread(target=speak_late, args=(gate, "thread")).start()


def start_timer(gate: str) -> None:
    import threading

    threading.Timer(0, speak_late, (gate, "timer")).start()


def start_thread_of_a_thread(gate: str) -> None:
    import threading

    first = threading.Thread(target=start_thread, args=(gate,))
    first.start()
    first.join()


def start_low_thread(gate: str) -> None:
    import _thread

    _thread.start_new_thread(speak_late, (gate, "low"))


def start_call_of_a_pool(gate: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ThreadPoolExecutor(1).submit(speak_late, gate, "pool")


async def start_coroutine(gate: str) -> None:
    import asyncio
    import os

    async def speak() -> None:
        while not os.path.exists(gate):
            await asyncio.sleep(0.002)
        print("late coroutine")

    sys.left_behind = asyncio.create_task(speak())  # type: ignore[attr-defined]


def start_child(gate: str) -> None:
    import os

    if os.fork() == 0:
        speak_late(gate, "child")
        os._exit(0)


def speak_late(gate: str, who: str) -> None:
    hold(gate)
    print("late", who, flush=True)


async def wait_for(gate: str) -> None:
    import asyncio
    import os

    print("next")
    while not os.path.exists(gate):
        await asyncio.sleep(0.002)
    # What was left behind has its turn.
    await asyncio.sleep(0.1)
    print("done")


@pytest.mark.parametrize(
    "leave",
    [
        start_thread,
        start_timer,
        start_thread_of_a_thread,
        start_low_thread,
        start_call_of_a_pool,
        start_coroutine,
        start_child,
    ],
)
def test_what_a_task_leaves_behind_speaks_to_no_other_task(
    cluster: Cluster, rc: Client, gate: Path, leave: Any
) -> None:
    log = Path(cluster.report["log_directory"]) / "engine-0.log"
    before = log.read_text().count("late ")
    first = rc[0].apply_async(leave, str(gate))
    first.get()
    with cluster.connect_client() as other:
        second = other[0].apply_async(wait_for, str(gate))
        until(lambda: second.stdout == "next\n")
        gate.touch()
        second.get()
        until(lambda: log.read_text().count("late ") == before + 1)
        assert second.stdout == "next\ndone\n"
    assert first.stdout == ""


def test_threads_and_pools_speak_for_the_task_that_calls_them(rc: Client) -> None:
    def speak(name: str) -> None:
        import asyncio
        import threading
        from concurrent.futures import ThreadPoolExecutor

        pool = vars(sys).setdefault("pool_of_test", ThreadPoolExecutor(2))
        list(pool.map(sys.stdout.write, [f"{name} pool\n"] * 2))
        thread = threading.Thread(target=print, args=(f"{name} thread",))
        thread.start()
        thread.join()
        asyncio.run(asyncio.to_thread(print, f"{name} asyncio"))

    for name in ("first", "second"):
        result = rc[0].apply_async(speak, name)
        result.get()
        assert result.stdout == f"{name} pool\n{name} pool\n{name} thread\n{name} asyncio\n"
    rc[0].apply_sync(lambda: sys.pool_of_test.shutdown())  # type: ignore[attr-defined]


def test_standard_output_has_what_code_expects_of_it(rc: Client) -> None:
    def use() -> dict[str, object]:
        out: Any = sys.stdout
        told = {name: getattr(out, name) for name in ("encoding", "errors", "line_buffering", "name", "closed", "mode")}
        out.reconfigure(line_buffering=True, write_through=True, newline="\n")
        assert out.line_buffering
        assert out.write_through
        assert (out.readable(), out.writable(), out.seekable(), out.isatty()) == (False, True, False, False)
        assert out.newlines is None
        assert isinstance(out.fileno(), int)
        assert out.buffer.fileno() == out.fileno()
        for refused in (out.read, out.readline, out.tell, lambda: out.seek(0), out.truncate, lambda: next(out)):
            try:
                refused()
            except io.UnsupportedOperation:
                continue
            raise AssertionError(refused)
        assert out.buffer.raw.writable()
        assert not out.buffer.readable()
        assert out.buffer.write(memoryview(b"bytes ")) == 6
        out.buffer.flush()
        wrapped = io.TextIOWrapper(out.buffer, encoding="utf-8", line_buffering=True)
        wrapped.write("wrapped ü ")
        wrapped.flush()
        del wrapped
        import codecs

        codecs.getwriter("utf-8")(out.detach()).write("detached ")
        with out:
            out.writelines(["in a ", "block "])
        print("and on", flush=True)
        for wrong in ({"encoding": "nothing"}, {"errors": "nothing"}, {"newline": "x"}):
            try:
                out.reconfigure(**wrong)
            except (LookupError, ValueError):
                continue
            raise AssertionError(wrong)
        return told

    result = rc[0].apply_async(use)
    assert result.get() == {
        "encoding": "utf-8",
        "errors": "replace",
        "line_buffering": False,
        "name": "<stdout>",
        "closed": False,
        "mode": "w",
    }
    assert result.stdout == "bytes wrapped ü detached in a block and on\n"
    rc[0].apply_sync(lambda: sys.stdout.reconfigure(line_buffering=False, write_through=False))  # type: ignore[union-attr]


def test_another_encoding(rc: Client) -> None:
    def use(encoding: str, errors: str | None, text: str) -> None:
        out: Any = sys.stdout
        out.reconfigure(encoding=encoding, errors=errors)
        try:
            assert (out.encoding, out.errors) == (encoding, errors or "strict")
            print(text, end="")
            out.buffer.write("é".encode(encoding, "replace"))
        finally:
            out.reconfigure(encoding="utf-8", errors="replace")

    for encoding, errors, text, shown in (
        ("latin-1", None, "ü", "üé"),
        ("ascii", "replace", "aü", "a??"),
        ("ascii", "backslashreplace", "ü", "\\xfc?"),
        ("utf-8", "backslashreplace", "\udc80", "\\udc80é"),
    ):
        result = rc[0].apply_async(use, encoding, errors, text)
        result.get()
        assert result.stdout == shown
    with pytest.raises(RemoteError, match="UnicodeEncodeError"):
        rc[0].apply_sync(use, "ascii", None, "ü")
