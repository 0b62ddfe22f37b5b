"""Every call of a client: ``rc.method(..., targets=x)`` is ``rc[x].method(...)``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calls import SCRIPT, everywhere, process_id

from ipclusterz import AsyncResult, Client
from ipclusterz.client import ExecuteReply


def without_time(result: AsyncResult) -> str:
    """What a result shows, but for how long its calls took."""
    return re.sub(r"[\d.]+ s>", "s>", repr(result))


pytestmark = pytest.mark.usefixtures("numbered")

# Method, arguments, keywords.
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "execute": ("execute", ("who * 2",), {}),
    "execute silently": ("execute", ("who * 2",), {"silent": True}),
    "execute what prints": ("execute", ("print('I am', who)",), {}),
    "push": ("push", ({"a": 1, "b": [2]},), {}),
    "pull": ("pull", ("who",), {}),
    "pull several": ("pull", (("who", "name"),), {}),
    "pull an iterator": ("pull", (["name", "who"],), {}),
    "zip_pull": ("zip_pull", ("who",), {}),
    "zip_pull several": ("zip_pull", (("who", "name"),), {}),
    "map": ("map", (lambda x, y: x * y, range(11), [3] * 9), {}),
    "map nothing": ("map", (abs, []), {}),
    "scatter": ("scatter", ("part", range(11)), {}),
    "scatter round-robin": ("scatter", ("part", "some text"), {"dist": "r"}),
    "scatter one element": ("scatter", ("part", [5]), {"flatten": True}),
    "gather": ("gather", ("numbers",), {}),
    "gather an array": ("gather", ("array",), {}),
    "gather round-robin": ("gather", ("numbers",), {"dist": "r"}),
}


def plain(value: Any) -> Any:
    """A value that can be compared, shape and all."""
    if isinstance(value, ExecuteReply):
        return ("reply", value.engine_id, value.code, value.result, value.stdout, value.stderr)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return ("array", value.dtype, value.tolist())
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


@everywhere
def test_a_call_on_targets_is_the_views_call(rc: Client, where: Any) -> None:
    view = rc[where]
    for call, (method, arguments, keywords) in CALLS.items():
        of_client, of_view = getattr(rc, method), getattr(view, method)
        waited = plain(of_client(*arguments, **keywords, targets=where, block=True))
        assert waited == plain(of_view(*arguments, **keywords, block=True)), call
        later = of_client(*arguments, **keywords, targets=where, block=False)
        expected = of_view(*arguments, **keywords, block=False)
        assert isinstance(later, AsyncResult), call
        assert type(expected) is type(later), call
        assert plain(later.get()) == plain(expected.get()), call
        assert later.engine_ids == expected.engine_ids, call
        assert without_time(later) == without_time(expected), call
        # A view's own targets can be overridden as well.
        assert plain(getattr(rc[0], method)(*arguments, **keywords, targets=where, block=True)) == waited, call
    rc.clear(targets=where, block=True)
    assert view.keys() in ([], {engine: [] for engine in view.targets})


@everywhere
def test_apply_on_targets_is_the_views_apply(rc: Client, where: Any) -> None:
    def f(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def bound(x: int) -> Any:
        return who * x  # type: ignore[name-defined] # noqa: F821

    view = rc[where]
    view.block = True
    assert rc.apply(f, (1, 2), {"c": 3}, targets=where, block=True) == view.apply(f, 1, 2, c=3)
    assert rc.apply(f, args=[1], kwargs={"f": 2, "targets": 3}, targets=where, block=True) == view.apply_sync(
        f, 1, f=2, targets=3
    )
    assert rc.apply(bound, (10,), bound=True, targets=where, block=True) == view.apply_bound(bound, 10)
    later = rc.apply(bound, (10,), bound=True, targets=where)
    assert isinstance(later, AsyncResult)
    assert later.engine_ids == view.targets
    assert plain(rc.apply("who + 1", targets=where, block=True)) == plain(view.execute("who + 1"))


@everywhere
def test_run_on_targets_is_the_views_run(rc: Client, where: Any, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    replies = plain(rc.run(str(script), targets=where, block=True))
    assert replies == plain(rc[where].run(script, block=True))
    assert rc.pull("from_script", targets=where).get() == rc[where].apply_bound(lambda: who + 100).get()  # type: ignore[name-defined] # noqa: F821


@everywhere
def test_keys_and_imap_on_targets(rc: Client, where: Any) -> None:
    view = rc[where]
    view.push({"only_here": 1}, block=True)
    assert rc.keys(targets=where) == view.keys()
    pids = set(rc.imap(process_id, range(40), targets=where))
    assert pids <= set(rc.apply(os.getpid, targets=rc[where].targets, block=True).values())
    assert list(rc.imap(abs, range(-5, 5), targets=where)) == list(view.imap(abs, range(-5, 5)))


@everywhere
def test_get_result_on_targets(rc: Client, where: Any) -> None:
    rc.execute("print(who); who + 5", targets=where, block=True)
    assert plain(rc.get_result(targets=where, block=True)) == plain(rc[where].get_result(block=True))
    assert plain(rc.get_result(targets=where).get()) == plain(rc[where].get_result().get())


@everywhere
def test_remote_and_parallel_on_targets(rc: Client, where: Any) -> None:
    of_client = rc.remote(targets=where, block=True)(lambda x: (x, 1))
    of_view = rc[where].remote(block=True)(lambda x: (x, 1))
    assert of_client(5) == of_view(5)
    assert rc.parallel(targets=where, block=True)(sorted)([3, 1, 2, 0, 5]) == rc[where].parallel(block=True)(sorted)(
        [3, 1, 2, 0, 5]
    )
