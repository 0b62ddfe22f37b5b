"""A cluster whose folder is on a disk that gets full: run in a mount namespace of its own, with the folder as argument.

Prints one line of JSON: what happened at each step.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipclusterz as ipz
from ipclusterz.client.command import program

HOME = Path(sys.argv[1])
FILLER = HOME / "filler"


def fill(free: int = 0) -> None:
    """Fill the disk, but for so many bytes."""
    with FILLER.open("ab", buffering=0) as file:
        room = os.statvfs(HOME).f_bavail * os.statvfs(HOME).f_frsize - free
        with_room = b"x" * 4096
        while room > 0:
            try:
                room -= file.write(with_room)
            except OSError:
                return


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return value


# Where the journal cannot be written, work goes on without.
BEST_EFFORT = {"journal": "best-effort"}


def command(*words: str) -> tuple[int, str]:
    ended = subprocess.run([program(), *words], capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def start_at(free: int) -> dict[str, Any]:
    """Start a cluster with so much room, and end it."""
    fill(free)
    code, said = command("start", "-n", "1", "--cluster", f"at-{free}", "--daemonize", "--set", "logs.keep=none")
    stopped = command("stop", "--cluster", f"at-{free}")[0] if code == 0 else 0
    FILLER.unlink()
    left = [str(path) for path in HOME.glob("clusters/*/*.json")]
    shutil.rmtree(HOME / "clusters", ignore_errors=True)
    return {"free": free, "code": code, "said": said, "stopped": stopped, "left": left}


def speak_later() -> None:
    def speak() -> None:
        for number in range(200):
            print(f"line {number} of a thread")
        sys.spoke = True  # type: ignore[attr-defined]

    threading.Timer(0.1, speak).start()


def spoke() -> bool:
    return getattr(sys, "spoke", False)


def live() -> dict[str, Any]:
    """A cluster goes on while the disk is full, says what is missing from its logs, and ends."""
    told: dict[str, Any] = {}
    cluster = ipz.Cluster(n=2, cluster="live", engines={"restart": True}, controller=BEST_EFFORT).start()
    logs = Path(cluster.report["log_directory"])
    with cluster.connect_client() as rc:
        fill()
        for _ in range(20):
            with cluster.connect_client() as other:
                other[0].apply_sync(os.getpid)
        told["tasks"] = sum(rc.load_balanced_view().map_sync(abs, range(1000)))
        rc[0].apply_sync(speak_later)
        told["spoke"] = bool(until(lambda: rc[0].apply_sync(spoke)))
        pid = rc[1].apply_sync(os.getpid)
        os.kill(pid, 9)
        pids = lambda: [engine["pid"] for engine in rc.status()["engines"] if engine["id"] == 1]  # noqa: E731
        told["restarted"] = bool(until(lambda: pids() not in ([], [pid])))
        told["scaled"] = command("scale", "+1", "--cluster", "live")
        told["status"] = command("status", "--cluster", "live")[0]
        FILLER.unlink()
        with cluster.connect_client():
            pass
        until(lambda: "lost: No space left on device" in (logs / "controller.log").read_text())
        told["controller"] = (logs / "controller.log").read_text()
        rc[0].apply_sync(speak_later)
        told["engine"] = until(lambda: "lost: No space left on device" in (logs / "engine-0.log").read_text())
        told["alive"] = len(rc.ids)
        fill()
    told["stopped"] = command("stop", "--cluster", "live")
    told["left"] = [str(path) for path in HOME.glob("clusters/*/*.json")]
    cluster.stop()
    FILLER.unlink()
    return told


def shared_memory() -> dict[str, Any]:
    """Large arrays where /dev/shm is small, and gets full."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "none", "/dev/shm"], check=True)
    told: dict[str, Any] = {}
    with ipz.Cluster(n=2, cluster="small", controller=BEST_EFFORT) as rc:
        for size in (1 << 18, 1 << 19, 1 << 20, 1 << 22, 1 << 24):
            content = os.urandom(size)
            rc[:].push({"content": content}, block=True)
            told[str(size)] = list(rc[:].pull("content", block=True).values()) == [content, content]
    told["left"] = os.listdir("/dev/shm")
    return told


def uploads() -> dict[str, Any]:
    """What is uploaded, and kept by a user's code, when there is no room for it."""
    source = HOME.parent / "large.bin"
    source.write_bytes(os.urandom(300_000))
    with ipz.Cluster(n=1, cluster="up", controller=BEST_EFFORT) as rc:
        fill(100_000)
        try:
            rc.upload(source)
            failed = ""
        except ipz.IpclusterzError as error:
            failed = str(error)
        FILLER.unlink()
        return {"failed": failed, "again": rc.upload(source) is None, "alive": rc[0].apply_sync(abs, -1)}


def journal() -> dict[str, Any]:
    """What cannot be written down is refused, what was accepted is done, and it goes on when there is room."""
    told: dict[str, Any] = {}
    with ipz.Cluster(n=1, cluster="written") as rc:
        view = rc.load_balanced_view()
        gate = HOME / "gate"
        accepted = [view.apply_async(wait_for, str(gate)) for _ in range(3)]
        fill()
        refused: BaseException | None = None
        while refused is None:
            # The engine is busy: what is accepted waits.
            accepted.append(view.apply_async(len, os.urandom(100_000)))
            if accepted[-1].wait(0.05):
                refused = accepted.pop().exception()
        told["refused"] = f"{type(refused).__name__}: {refused}"
        told["status"] = rc.status()["engines"][0]["state"]
        FILLER.unlink()
        gate.touch()
        told["accepted"] = [call.get(30) for call in accepted[:3]]
        told["waited"] = all(call.get(30) == 100_000 for call in accepted[3:])
        told["again"] = until(lambda: takes(view))
        os.kill(rc.status()["pid"], 9)
        told["after"] = view.apply_sync(abs, -3)
    return told


def wait_for(path: str) -> int:
    while not os.path.exists(path):
        threading.Event().wait(0.01)
    return 7


def takes(view: Any) -> bool:
    try:
        return bool(view.apply_sync(abs, -2) == 2)
    except ipz.RejectedError:
        return False


if __name__ == "__main__":
    what = {
        "live": live,
        "journal": journal,
        "uploads": uploads,
        "shm": shared_memory,
        "start": lambda: [start_at(int(free)) for free in sys.argv[3:]],
    }[sys.argv[2]]
    print(json.dumps(what()))
