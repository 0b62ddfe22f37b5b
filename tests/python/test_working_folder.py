"""What lies in the engines' working folder: it can be imported, and hides nothing that is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ipclusterz import Cluster, RemoteError


def test_files_of_the_working_folder_do_not_hide_installed_modules(
    tmp_path: Path, own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("random", "logging", "token", "traceback", "json", "numpy", "asyncio", "decimal"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the file of the user')\n")
    (tmp_path / "mine.py").write_text("value = 7\n")
    with monkeypatch.context() as context:
        context.chdir(tmp_path)
        cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        assert rc[0].execute("get_ipython().__class__.__name__", block=True).result == "'_EngineShell'"
        assert rc[0].apply_sync(eval, "__import__('mine').value") == 7
        with pytest.raises(RemoteError, match="division by zero") as caught:
            rc[0].apply_sync(lambda: 1 / 0)
        assert "Traceback" in caught.value.traceback
        assert rc[0].apply_sync(eval, "__import__('os').getcwd() == __import__('sys').path[-1]") is True


def test_an_ipython_that_cannot_be_imported_is_named_once(
    tmp_path: Path, own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "IPython").mkdir()
    (tmp_path / "IPython" / "__init__.py").write_text("import no_such_part_of_it\n")
    with monkeypatch.context() as context:
        context.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        first, second = (rc[0].execute("1 + 1", block=True) for _ in range(2))
        assert (first.result, second.result) == ("2", "2")
        assert "No module named 'no_such_part_of_it'" in first.stderr
        assert second.stderr == ""
