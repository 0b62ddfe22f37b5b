"""Which view the magics belong to: `activate`, families with a suffix, `%pxconfig`, and clients that come and go."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable

import pytest
from cells import ALL, Run
from helpers import until
from IPython.core.interactiveshell import InteractiveShell

from ipclusterz import AsyncResult, Client, Cluster, DirectView


def test_pxconfig(dv: DirectView, run: Run) -> None:
    assert run("%pxconfig").stdout == "targets: [0, 1, 2, 3]\nblock: True\nstream: True\nverbose: True\n"
    run("%pxconfig --noblock --targets 1:3 --no-verbose --no-stream")
    assert (dv.block, dv.targets) == (False, [1, 2])
    assert run("%pxconfig").stdout == "targets: [1, 2]\nblock: False\nstream: False\nverbose: False\n"
    assert "execution on" not in run("%px x = 1").stdout
    run("%pxconfig --block")
    assert run("%px x = 1").stdout == ""
    assert dv.block


def test_families(rc: Client, dv: DirectView, run: Run) -> None:
    rc[2].activate("2")
    rc[1].activate("_one")
    rc.block = True
    assert run("%px2 x = 1").stdout == "Parallel execution on engines: [2]\n"
    assert run("%%px_one\nx = 1").stdout == "Parallel execution on engines: [1]\n"
    assert run("%px x = 1").stdout == ALL
    assert "[2] In [" in run("%result2").stdout
    assert run("%pxconfig_one").stdout.startswith("targets: [1]\n")
    for suffix in ("-", " ", "a b", 3):
        with pytest.raises(ValueError, match="cannot end in"):
            rc[0].activate(suffix)


def test_a_client_brings_magics(cluster: Cluster, shell: InteractiveShell, run: Run, fail: Run) -> None:
    with cluster.connect_client() as rc:
        assert not rc.block
        assert run("%px 1 + 1").stdout.startswith(ALL + "Out[0:")
        rc.targets = [1, 2]
        assert "engines: [1, 2]" in run("%px x = 1").stdout
        run("%pxconfig --noblock --targets 0,1")
        assert rc.targets == [0, 1]
        assert isinstance(run("%px x = 1").value, AsyncResult)
        with cluster.connect_client() as second:
            assert run("%px x = 1").stdout == ALL
            second[3].activate()
            with cluster.connect_client():
                assert "engines: [3]" in run("%px --block x = 1").stdout
        with cluster.connect_client() as third:
            assert run("%px x = 1").stdout == ALL
    assert third.closed
    assert "closed" in str(fail("%px x = 1").error)


def test_the_magics_go_back_to_the_client_before(
    cluster: Cluster, own_cluster: Callable[..., Cluster], shell: InteractiveShell, run: Run, fail: Run
) -> None:
    other = own_cluster(1)
    alone = ALL.replace("0, 1, 2, 3", "0")
    with cluster.connect_client() as rc:
        second = other.connect_client()
        assert run("%px x = 1").stdout == alone
        second.close()
        back = run("%px x = 1")
        assert back.stdout == ALL
        assert back.stderr == f"the client of %px is closed: it goes to {rc!r}\n"
        assert run("%px x = 1").stderr == ""
        rc[2].activate()
        third = Client(other.report["client_file"])
        rc.block = third.block = True
        third.activate()
        gc.collect()
        assert run("%px x = 1").stdout == alone
        other.stop()
        until(lambda: "cannot be reached" in repr(third))
        back = run("%px x = 1")
        assert back.stdout == ALL.replace("0, 1, 2, 3", "2")
        assert "cluster 'own0-" in back.stderr
        rc.activate()
        assert run("%px x = 1").stdout == ALL
        third.close()
        assert run("%px x = 1").stderr == ""
    hint = str(fail("%px x = 1").error)
    assert "the client of %px is closed" in hint
    assert "rc.activate() gives %px to another client" in hint


def test_views_that_had_the_magics_do_not_keep_their_client(
    cluster: Cluster, rc: Client, shell: InteractiveShell, run: Run
) -> None:
    first = cluster.connect_client()
    first[1].activate()
    gone = weakref.ref(first)
    rc.block = True
    rc[0].activate()
    del first
    gc.collect()
    assert gone() is None
    assert run("%px x = 1").stdout == ALL.replace("0, 1, 2, 3", "0")


def test_magics_do_not_keep_a_client(cluster: Cluster, shell: InteractiveShell, fail: Run) -> None:
    rc = cluster.connect_client()
    gone = weakref.ref(rc)
    rc.close()
    del rc
    gc.collect()
    assert gone() is None
    assert "client of %px is gone" in str(fail("%px x = 1").error)


def test_outside_of_ipython(rc: Client) -> None:
    with pytest.raises(RuntimeError, match="magics need IPython"):
        rc[0].activate()


def test_a_client_does_not_import_ipython(cluster: Cluster) -> None:
    code = (
        f"import sys, ipclusterz as ipz; ipz.Client({cluster.report['client_file']!r}); print('IPython' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
