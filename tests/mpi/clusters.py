"""Clusters whose engines are the ranks of an MPI program on this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mpi_library import environment, starter
from sites import IPCLUSTERZ

START_SECONDS = 90


@contextlib.contextmanager
def mpi_cluster(
    flavour: str, ranks: int, folder: Path, on_rank_loss: str = "restart", restart_limit: int = 10
) -> Iterator[str]:
    """A running cluster of so many ranks: its name."""
    folder.mkdir(exist_ok=True)
    name = f"{folder.name}-{os.getpid()}"
    env = environment(flavour, folder)
    changed = {key: value for key, value in env.items() if os.environ.get(key) != value}
    profile = folder / "profile.toml"
    profile.write_text(
        f'[engines]\nlauncher = "mpiexec"\ntimeout = {START_SECONDS}\n'
        f'on_rank_loss = "{on_rank_loss}"\nrestart_limit = {restart_limit}\n'
        f'[mpiexec]\nprogram = "{starter(flavour)}"\noversubscribe = true\nallow_root = true\n'
        "[engines.env]\n" + "".join(f'{key} = "{value}"\n' for key, value in changed.items())
    )
    options = ["--cluster", name]
    start = [IPCLUSTERZ, "start", "-n", str(ranks), "--profile", profile, "--daemonize", *options]
    done = subprocess.run(start, capture_output=True, text=True, timeout=START_SECONDS + 30)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        yield name
    finally:
        subprocess.run([IPCLUSTERZ, "stop", *options], check=True, capture_output=True, timeout=60)
