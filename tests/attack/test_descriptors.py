"""Processes that may have few file descriptors or threads."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psutil
import pytest
from helpers import until
from meddler import Meddler, offering, tcp_address, unix_path

from ipclusterz import Client, Cluster, error

LIMIT = 128

# In a child for each number: so many descriptors are left; then a client connects, and does a call.
FEW_DESCRIPTORS = """
import fcntl, json, os, resource, sys
from ipclusterz import Client

def attempt(left, path):
    top = max(map(int, os.listdir("/proc/self/fd"))) + 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (top, top))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    for each in taken[len(taken) - left:]:
        os.close(each)
    try:
        with Client(path, timeout=0.7) as rc:
            return "done" if rc[0].apply_sync(abs, -1) == 1 else "wrong"
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def forked(left, path):
    near, far = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(near)
        os.write(far, attempt(left, path).encode())
        os._exit(0)
    os.close(far)
    with open(near) as answer:
        said = answer.read()
    return os.waitpid(child, 0)[1], said

print(json.dumps([forked(int(left), sys.argv[1]) for left in sys.argv[2:]]))
"""

# Fails to start threads after the first so many.
FEW_THREADS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
static int left = -1;
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real) {
        real = dlsym(RTLD_NEXT, "pthread_create");
        left = atoi(getenv("THREADS_LEFT"));
    }
    return left-- > 0 ? real(thread, how, run, with) : EAGAIN;
}
"""

CALL = """
import sys
from ipclusterz import Client
with Client(sys.argv[1]) as rc:
    assert rc[0].apply_sync(abs, -1) == 1
"""


# Connects, may open nothing more until it is told, and then does a call.
AFTERWARDS = """
import resource, sys
from ipclusterz import Client
with Client(sys.argv[1]) as rc:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    print("short", flush=True)
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    print(rc[0].apply_sync(abs, -1), flush=True)
"""


@pytest.fixture
def open_cluster(own_cluster) -> Cluster:
    return own_cluster(n=1, listen="127.0.0.1:0")


@pytest.fixture(params=["tcp", "unix"])
def client_file(request, open_cluster, tmp_path) -> str:
    """The connection file of the cluster, by either way."""
    if request.param == "unix":
        return str(open_cluster.report["client_file"])
    return offering(open_cluster.report, tcp_address(open_cluster.report), tmp_path / "client.json")


def preload(folder: Path, source: str) -> Path:
    library = folder / "preload.so"
    command = ["cc", "-shared", "-fPIC", "-o", str(library), "-x", "c", "-", "-ldl"]
    subprocess.run(command, input=source, text=True, check=True)
    return library


@pytest.mark.timeout(120)
def test_a_client_without_descriptors_raises(client_file, faults) -> None:
    counts = range(faults.times(part=24, whole=40))
    run = subprocess.run(
        [sys.executable, "-c", FEW_DESCRIPTORS, client_file, *map(str, counts)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    outcomes = json.loads(run.stdout)
    assert {status for status, _ in outcomes} == {0}, outcomes
    failed = [said for _, said in outcomes if said != "done"]
    assert 10 < len(failed) < 20
    # The first cannot even read its connection file.
    assert "Too many open files" in failed[0]
    for said in failed[1:]:
        assert said.startswith("ControllerUnreachable: ")
        assert "no file descriptors are left" in said
    faults.survived("descriptors", "a client with 0 to 40 descriptors left", len(counts), "it connects or raises")


def test_a_client_without_threads_raises(client_file, tmp_path, faults) -> None:
    library = preload(tmp_path, FEW_THREADS)
    failed = 0
    for threads in range(6):
        environment = os.environ | {
            "LD_PRELOAD": str(library),
            "THREADS_LEFT": str(threads),
            "OPENBLAS_NUM_THREADS": "1",
        }
        run = subprocess.run([sys.executable, "-c", CALL, client_file], env=environment, capture_output=True, text=True)
        if run.returncode:
            assert run.returncode == 1, run.stderr
            assert "ControllerUnreachable: no more threads can be started" in run.stderr
            failed += 1
    assert 3 <= failed <= 5
    faults.survived("descriptors", "a client with 0 to 5 threads left", 6, "it connects or raises")


def connect_until_refused(file: str, clients: list[Client], crowd: ExitStack) -> None:
    while len(clients) < LIMIT:
        clients.append(crowd.enter_context(Client(file)))


def admitted(client_file) -> Client | None:
    """A client, if there is room for it."""
    with suppress(error.ControllerUnreachable):
        return Client(client_file)
    return None


def test_a_full_controller_refuses_clients_with_words_and_lives_on(open_cluster, client_file, tmp_path, faults) -> None:
    with open_cluster.connect_client() as first:
        controller = psutil.Process(first.status()["pid"])
        resource.prlimit(controller.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        with ExitStack() as crowd:
            clients: list[Client] = []
            with pytest.raises(error.ControllerUnreachable, match=rf"no room .* it may have {LIMIT} \(`ulimit -n`\)"):
                connect_until_refused(client_file, clients, crowd)
            # Two connections each or three, and its process.
            assert 15 < len(clients) < 60
            crowded = first.status()["clients"]
            clients[-1].close()
            until(lambda: first.status()["clients"] < crowded, 10, "the closed one is gone")
            # Its descriptors are closed a moment later.
            clients[-1] = crowd.enter_context(until(lambda: admitted(client_file), 10, "another one is let in"))
            # Connections that say nothing take the rest, and do not keep it.
            host, _, port = tcp_address(open_cluster.report).removeprefix("tcp://").rpartition(":")
            for _ in range(2 * LIMIT):
                crowd.enter_context(closing(socket.create_connection((host, int(port)))))
                local = crowd.enter_context(closing(socket.socket(socket.AF_UNIX)))
                local.connect(unix_path(open_cluster.report))
            before = sum(controller.cpu_times()[:2])
            assert clients[-1][0].apply_sync(lambda: __import__("time").sleep(0.5)) is None
            assert sum(controller.cpu_times()[:2]) - before < 0.25
            assert [each[0].apply_sync(abs, -1) for each in clients] == [1] * len(clients)
        assert first[0].apply_sync(abs, -1) == 1
    faults.survived("descriptors", f"clients and strangers at ulimit -n {LIMIT}", 5 * LIMIT, "refused with words")


def test_a_client_that_has_no_descriptor_for_a_new_connection_waits_for_one(open_cluster, tmp_path, faults) -> None:
    with Meddler(tcp_address(open_cluster.report)) as meddler:
        file = offering(open_cluster.report, meddler.address, tmp_path / "client.json")
        command = [sys.executable, "-c", AFTERWARDS, file]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "short\n"
            count = faults.times(part=1, whole=5)
            for _ in range(count):
                meddler.cut()
                # It finds out within a second that it has no descriptor.
                with open_cluster.connect_client() as rc:
                    assert rc[0].apply_sync(time.sleep, 1.5) is None
            assert client.communicate("go on\n", timeout=30)[0] == "1\n"
    faults.survived("descriptors", "a connection breaks while a client may open nothing", count, "it comes back")


def test_an_engine_without_descriptors_says_so(open_cluster, tmp_path, faults) -> None:
    file = str(Path(open_cluster.report["client_file"]).parent / "engine.json")
    engine = [sys.executable, "-P", "-m", "ipclusterz.engine", "--timeout", "2", "--connection-file", file]
    limits = range(10, 10 + faults.times(part=4, whole=8))
    for limit in limits:
        run = subprocess.run(
            ["prlimit", f"--nofile={limit}", *engine],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert run.returncode > 0, run.stderr
        assert "descriptors" in run.stderr or "Too many open files" in run.stderr
    faults.survived("descriptors", f"an engine at ulimit -n 10 to {limits[-1]}", len(limits), "it ends with words")
