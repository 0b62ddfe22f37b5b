"""The time of day is set while a cluster runs. Nothing but what is shown goes by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import until
from meddler import offering, tcp_address
from test_descriptors import preload

from ipclusterz import Client, Cluster

# The time of day is off by as many seconds as a file says.
SHIFTED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long shift(void) {
    char text[32] = "";
    int file = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0)
            text[0] = 0;
        close(file);
    }
    return atol(text);
}
int clock_gettime(clockid_t which, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, time);
    if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)
        time->tv_sec += shift();
    return result;
}
int gettimeofday(struct timeval *time, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
"""

SILENCE_SECONDS = 10.0


@pytest.fixture
def set_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Moves the time of day of all processes that are started from here on, by so many seconds."""
    file = tmp_path / "shift"
    file.write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(preload(tmp_path, SHIFTED)))
    monkeypatch.setenv("CLOCK_SHIFT", str(file))

    def step(seconds: int) -> None:
        new = tmp_path / "new"
        new.write_text(str(seconds))
        new.rename(file)

    return step


@pytest.fixture
def remote(set_clock, own_cluster, tmp_path) -> Iterator[tuple[Cluster, subprocess.Popen[bytes]]]:
    """A cluster whose engine 1 is reached by TCP; all its processes have that clock."""
    cluster = own_cluster(n=1, listen="127.0.0.1:0")
    file = offering(cluster.report, tcp_address(cluster.report), tmp_path / "engine.json", "engine")
    command = [sys.executable, "-P", "-m", "ipclusterz.engine", "--connection-file", file]
    engine = subprocess.Popen(command, process_group=0)
    yield cluster, engine
    engine.kill()
    engine.wait()


def test_a_step_of_the_clock_declares_nobody_dead_and_hides_no_death(remote, set_clock, tmp_path, faults) -> None:
    cluster, engine = remote
    file = offering(cluster.report, tcp_address(cluster.report), tmp_path / "client.json")
    with Client(file) as rc:
        rc.wait_for_engines(2, timeout=20)
        assert abs(rc[1].apply_sync(time.time) - time.time()) < 5
        steps = [60, -3600, 3600, 0][: faults.times(part=2, whole=4)]
        for step in steps:
            # An I/O thread looks at its clock at each heartbeat, which comes every 2 s.
            call = rc[1].apply_async(time.sleep, 2.5)
            until(lambda: rc.status()["engines"][1]["state"] == "busy")
            set_clock(step)
            assert call.get(timeout=10) is None
            assert abs(rc[1].apply_sync(time.time) - time.time() - step) < 5
            assert rc.ids == {0, 1}
        set_clock(-3600)
        engine.send_signal(signal.SIGSTOP)
        until(lambda: rc.status()["engines"][1].get("away"), SILENCE_SECONDS)
        engine.send_signal(signal.SIGCONT)
        until(lambda: not rc.status()["engines"][1].get("away"), 30)
        assert rc[1].apply_sync(abs, -1) == 1
    assert os.path.exists(cluster.report["client_file"])
    faults.survived("clocks", "the time of day is set", len(steps) + 1, "nobody is lost, a silent engine is noticed")
