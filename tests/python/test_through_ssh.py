"""Whether large payloads are encrypted once more where an SSH tunnel encrypts them: who is at its ends decides.

What stands for the tunnel is a process of this host that reads what it passes on, between a peer and the controller.
`tests/launchers/test_ssh.py` listens to real ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import until
from meddler import offering, tcp_address
from overhearing import Overhearing

from ipclusterz import Client, Cluster

SECONDS = 30
MARKER = b"these words are for both ends alone"
VALUE = MARKER * 100_000
# A user who has nothing here.
STRANGER = 54_321
IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # What is compressed has no words in it.
    made = Cluster(n=1, cluster=f"ssh-{os.getpid()}", listen="127.0.0.1:0", controller={"compress": False}).start()
    yield made
    made.stop()


def marks(cluster: Cluster, path: Path, user: int | None = None, **changes: Any) -> int:
    """How often the marker was heard while a value went to an engine and back over a link of the client's."""
    with Overhearing(tcp_address(cluster.report), MARKER, user) as between:
        file = offering(cluster.report, between.address, path, forwarded=True, host="far-away", **changes)
        with Client(file) as rc:

            def went_over_the_link() -> bool:
                assert rc[0].apply_sync(lambda value: value, VALUE) == VALUE
                return sum(between.heard()["bytes"][2:]) > 2 * len(VALUE)

            # What is sent before there is a link goes beside its message.
            until(went_over_the_link, SECONDS, lambda: f"no link: {between.heard()}")
        found: int = between.heard()["marks"]
        return found


def test_ssh_alone_encrypts_payloads_where_both_ends_see_processes_of_their_user(
    cluster: Cluster, tmp_path: Path
) -> None:
    assert marks(cluster, tmp_path / "client.json", through_ssh=True) >= 100_000


@pytest.mark.skipif(not IS_ROOT, reason="a process of another user is root's to start")
def test_another_users_process_at_an_end_of_a_tunnel_reads_nothing(cluster: Cluster, tmp_path: Path) -> None:
    # As who has taken the port of a tunnel that was down, and carries on what comes.
    assert marks(cluster, tmp_path / "client.json", STRANGER, through_ssh=True) == 0


def test_a_tunnel_that_nobody_says_to_be_of_ssh_reads_nothing(cluster: Cluster, tmp_path: Path) -> None:
    assert marks(cluster, tmp_path / "client.json") == 0


def test_who_asks_for_it_has_payloads_encrypted_in_tunnels_too(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = own_cluster(1, listen="127.0.0.1:0", controller={"encrypt_tunnels": True, "compress": False})
    assert marks(cluster, tmp_path / "client.json", through_ssh=True) == 0
