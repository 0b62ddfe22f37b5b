"""Programs of their own that use a cluster, as another process, notebook or user would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent

from ipclusterz import Cluster

PRELUDE = """
import os, sys, threading, time
import numpy as np
import ipclusterz as ipz

def client(**options):
    return ipz.Client({file!r}, **options)

def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)

def for_ever():
    print("ready", flush=True)
    threading.Event().wait(60)
"""


def words(cluster: Cluster, code: str) -> list[str]:
    """The command of a program with `client()`, `until()` and `for_ever()`, which says that it is ready."""
    prelude = PRELUDE.format(file=str(cluster.report["client_file"]))
    return [sys.executable, "-c", prelude + dedent(code)]


def ran(cluster: Cluster, code: str) -> tuple[str, str]:
    """Output and errors of a program that has to succeed."""
    done = subprocess.run(words(cluster, code), capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@contextmanager
def running(cluster: Cluster, code: str) -> Iterator[subprocess.Popen[str]]:
    """A program that has said that it is ready; it is killed in the end."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words(cluster, code), text=True, **pipes) as program:
        try:
            assert program.stdout is not None
            line = program.stdout.readline()
            assert line == "ready\n", line + (program.stderr.read() if program.stderr and not line else "")
            yield program
        finally:
            program.kill()


def killed(cluster: Cluster, code: str) -> None:
    """Runs a program until it is ready, and kills it with -9."""
    with running(cluster, code):
        pass
