"""Connections to a launcher's socket that say nothing, too much, or nonsense: other commands are served."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from stage import BIN

from ipclusterz import Cluster

SECONDS = 5.0
SAID = {
    "nothing": b"",
    "half a request": b'{"version": 2, "request"',
    "not text": b"\xff\xfe\x00",
    "no request": b"[]\n",
    "a number for an object": b'{"version": 1e400}\n',
    "deeply nested": b"[" * 60_000 + b"\n",
    "without end": b"x" * 100_000,
}


def test_commands_are_served_beside_such_connections(own_cluster: Callable[..., Cluster], faults: Any) -> None:
    cluster = own_cluster(1)
    record = Path(os.environ["IPCLUSTERZ_HOME"], "clusters", cluster.name, "cluster.json")
    path = f"{json.loads(record.read_text())['socket_dir']}/launcher.sock"
    count = faults.times(40, 400)
    with ExitStack() as connections:
        for kind, text in SAID.items():
            for _ in range(count):
                connection = connections.enter_context(socket.socket(socket.AF_UNIX))
                connection.settimeout(SECONDS)
                connection.connect(path)
                # The launcher may have had enough of what was said, or of connections.
                with suppress(OSError):
                    connection.sendall(text)
            begun = time.monotonic()
            command = [BIN / "ipclusterz", "scale", "+0", "--cluster", cluster.name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=50)
            assert done.returncode == 0, done.stderr
            assert time.monotonic() - begun < SECONDS
            faults.survived("strangers", f"connections to launcher.sock that say {kind}", count, "scale goes on")
