"""The tables of `docs/tutorial/from-ipyparallel.md`, against ipyparallel as it is installed, and against the face."""

from __future__ import annotations

import copyreg
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from ipclusterz import ipyparallel as face
from ipclusterz.client.options import CONFIG, RESULT, RUN, Options, parse

# ipyparallel has a way of its own to pickle code, which is nothing for the other tests of this process.
_pickled_by = dict(copyreg.dispatch_table)
upstream = pytest.importorskip("ipyparallel")
copyreg.dispatch_table.clear()
copyreg.dispatch_table.update(_pickled_by)

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "from-ipyparallel.md"
CLASSES = ["Client", "DirectView", "BroadcastView", "LoadBalancedView", "AsyncResult", "AsyncMapResult", "Cluster"]
VERDICTS = ("same", "does nothing", "not there: ", "flags of", "argument")


def rows(title: str) -> list[tuple[list[str], str]]:
    """Of the table below a title: names, and what is said of them."""
    lines = PAGE.read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"| {title} |"))
    found = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        names, verdict = re.split(r" \| ", line.strip("| "))[:2]
        found.append((re.findall(r"`([^`]+)`", names), verdict))
    return found


def public(kind: type) -> set[str]:
    """The public names of a class, without those of traitlets."""
    from traitlets.config import LoggingConfigurable

    # `config`, `log` and `parent` are of these.
    return {name for name in dir(kind) if not name.startswith("_")} - set(dir(LoggingConfigurable))


@pytest.mark.parametrize("name", CLASSES)
def test_the_table_has_each_name_once(name: str) -> None:
    listed = [each for names, _ in rows(f"`ipyparallel.{name}`") for each in names]
    assert sorted(listed) == sorted(public(getattr(upstream, name)))


@pytest.mark.parametrize("name", CLASSES)
def test_what_the_table_says_is_there(name: str) -> None:
    kind: Any = getattr(face, name)
    there = set(dir(kind)) | {"block", "client", "profile", "retries", "owner", "shutdown_atexit"} & _attributes(kind)
    for names, verdict in rows(f"`ipyparallel.{name}`"):
        assert verdict.startswith(VERDICTS), verdict
        if verdict.startswith(("same", "does nothing")):
            assert set(names) <= there, set(names) - there
        if verdict.startswith("not there"):
            assert not set(names) & there


def _attributes(kind: type) -> set[str]:
    """What objects of the class have that the class has not: set in its `__init__`, or in that of a base."""
    code = [vars(base)["__init__"].__code__ for base in kind.__mro__ if hasattr(vars(base).get("__init__"), "__code__")]
    return {name for each in code for name in each.co_names}


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_the_same_takes_the_same(name: str) -> None:
    theirs, ours = getattr(upstream, name), getattr(face, name)
    for names, verdict in rows(f"`ipyparallel.{name}`"):
        for each in names if verdict.startswith(("same", "does nothing")) else ():
            wanted, given = parameters(theirs, each), parameters(ours, each)
            if wanted is None or given is None:
                continue
            assert wanted.keys() - {"kwargs"} <= given.keys() or "kwargs" in given, each
            assert [one for one in wanted if one in given] == [one for one in given if one in wanted], each
            assert all(wanted[one] == given[one] for one in wanted.keys() & given.keys()), each
            awaited = [inspect.iscoroutinefunction(getattr(kind, each)) for kind in (theirs, ours)]
            assert awaited[0] == awaited[1], each


def parameters(kind: type, name: str) -> dict[str, str] | None:
    """The parameters of a method of ipyparallel's or of the face, and their defaults. None: of another one's."""
    method = getattr(kind, name, None)
    if not callable(method) or not str(getattr(method, "__module__", "")).startswith(("ipyparallel", "ipclusterz")):
        return None
    # The function comes first in both, and `query` can be left out here. A list and a tuple without elements are as
    # good.
    left_out = ("self", "f", "_View__ipp_f", "query")
    found = [one for one in inspect.signature(method).parameters.values() if one.kind != one.VAR_POSITIONAL]
    return {one.name: repr(one.default).strip("[]()") for one in found if one.name not in left_out}


def test_methods_that_wait_have_their_other_form() -> None:
    for names, verdict in rows("`ipyparallel.Cluster`"):
        if verdict.startswith("same"):
            awaited = [name for name in names if re.match("(start|stop|restart|signal|connect)_", name)]
            assert all(hasattr(face.Cluster, f"{name}_sync") for name in awaited)


def test_magics_and_their_options() -> None:
    from ipyparallel.client.magics import ParallelMagics

    listed = {each for names, _ in rows("magics of ipyparallel") for each in names}
    magics = {"%px", "%%px", "%autopx", "%pxresult", "%pxconfig", "%result"}
    options: set[str] = set()
    for magic, known in (("cell_px", RUN), ("pxconfig", CONFIG), ("result", RESULT)):
        actions = getattr(ParallelMagics, magic).parser._actions
        strings = {string for action in actions for string in action.option_strings} - {"-h", "--help"}
        options |= strings
        values = {"--targets": "0", "-t": "0", "--out": "x", "-o": "x", "--group-outputs": "type"}
        values |= {"--progress-after": "2", "--signal-on-interrupt": "SIGINT"}
        for string in strings:
            assert parse(f"{string} {values.get(string, '')}", known, letters=True)[0] != Options()
    assert listed == magics | options


def test_the_names_of_the_package() -> None:
    missing = {name for name in dir(upstream) if not name.startswith("_")} - set(dir(face))
    # Modules, pickling, and what is of a server of Jupyter.
    modules = {
        "builtins",
        "client",
        "cluster",
        "controller",
        "os",
        "serialize",
        "sys",
        "traceback",
        "traitlets",
        "util",
    }
    pickling = {"PrePickled", "can", "can_map", "deserialize_object", "pack_apply_message", "serialize_object", "uncan"}
    pickling |= {"uncan_map", "unpack_apply_message", "wrap_exception", "unwrap_exception", "collect_exceptions"}
    others = {"ClusterManager", "MultipleInstanceError", "load_jupyter_server_extension"}
    assert missing <= modules | pickling | others
