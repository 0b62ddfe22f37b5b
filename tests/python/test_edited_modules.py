"""Modules of the user: the code that runs on engines is the client's, wherever its folder is and whatever engines have.

The client is a script of its own in a folder of its own, as a user has it; the engines are in another one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ipclusterz import Cluster

Script = Callable[..., str]

# Where IPython and ipykernel put the folder: behind the standard library and what is installed, or as ''.
PLACES = {
    "beside the script": "",
    "'' behind the standard library": "sys.path.remove(here); sys.path.insert(3, '')",
    "'' in front": "sys.path.remove(here); sys.path.insert(0, '')",
    "at the end": "sys.path.remove(here); sys.path.append(here)",
}

HEAD = """
import importlib, os, pathlib, sys, time
sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
{place}
os.chdir(here)
import ipclusterz as ipz
rc = ipz.Client({file!r})

def write(name, text, folder=here):
    path = pathlib.Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    importlib.invalidate_caches()
"""


@pytest.fixture
def engines(tmp_path: Path, own_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which two engines were started; `script` is a client of these."""
    folder = tmp_path / "engines"
    folder.mkdir()
    with monkeypatch.context() as context:
        context.chdir(folder)
        # Files of bytecode may be those of a source before an edit.
        context.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        cluster = own_cluster(2)
    (tmp_path / "client").mkdir()
    (tmp_path / "client.json").symlink_to(cluster.report["client_file"])
    return folder


@pytest.fixture
def script(tmp_path: Path, engines: Path) -> Script:
    """Runs a script in the client's folder, with files beside it; what it prints."""

    def run(text: str, place: str = "", **files: str) -> str:
        folder = tmp_path / "client"
        for name, content in files.items():
            path = folder / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        head = HEAD.format(place=place, file=str(tmp_path / "client.json"))
        (folder / "script.py").write_text(f"{head}\nengines = {str(engines)!r}\n{text}\nrc.close()\n")
        ended = subprocess.run(
            [sys.executable, str(folder / "script.py")],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            cwd=folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_module_travels_wherever_its_folder_is_on_the_path(script: Script, place: str) -> None:
    printed = script(
        """
import helpers
print(rc[0].apply_sync(helpers.f, 2), rc[0].apply_sync(lambda: helpers.f(3)), rc[0].apply_sync(helpers.Point, 4).x)
def late():
    import helpers
    from helpers import f
    return helpers.f(1), f(2)
print(rc[0].apply_sync(late))
""",
        place,
        helpers="def f(x): return 10 * x\nclass Point:\n    def __init__(self, x): self.x = x\n",
    )
    assert printed == "20 30 4\n(10, 20)\n"


def test_what_engines_have_of_an_older_version_is_not_run(script: Script) -> None:
    printed = script(
        """
write("helpers.py", "VERSION = 1\\ndef f(): return VERSION", engines)
write("helpers.py", "VERSION = 1\\ndef f(): return VERSION")
import helpers
def use(): return helpers.f()
print(rc[0].apply_sync(helpers.f), rc[0].apply_sync(use))
print(rc[0].apply_sync(eval, "'helpers' in __import__('sys').modules"))
for version in (2, 3):
    for folder in (here, engines):
        write("helpers.py", f"VERSION = {version}\\ndef f(): return VERSION", folder)
    assert rc[:].apply_sync(helpers.f) == {0: version - 1, 1: version - 1}, "not reloaded here"
    importlib.reload(helpers)
    assert rc[:].apply_sync(helpers.f) == {0: version, 1: version}
    assert rc[:].apply_sync(use) == {0: version, 1: version}
write("helpers.py", "VERSION = 1\\ndef f(): return VERSION")
importlib.reload(helpers)
print(rc[0].apply_sync(helpers.f), rc[0].apply_sync(use))
"""
    )
    assert printed.splitlines() == ["1 1", "True", "1 1"]


def test_the_next_session_runs_its_own_code(script: Script, engines: Path) -> None:
    text = "import helpers\nprint(rc[:].apply_sync(helpers.f), rc[:].apply_sync(lambda: helpers.f()))"
    for version in (1, 2):
        source = f"def f(): return 'version {version}'\n"
        (engines / "helpers.py").write_text(source)
        printed = script(text, helpers=source)
        assert printed.count(f"version {version}") == 4


def test_an_edit_that_was_not_reloaded_does_not_run(script: Script) -> None:
    printed = script(
        """
import helpers
write("helpers.py", "def f(): return 'new'")
write("helpers.py", "def f(): return 'new'", engines)
print(rc[:].apply_sync(helpers.f))
helpers.f = lambda: "patched"
print(rc[0].apply_sync(lambda: helpers.f()))
""",
        helpers="def f(): return 'old'\n",
    )
    assert printed == "{0: 'old', 1: 'old'}\npatched\n"


def test_classes_are_the_same_in_functions_arguments_and_answers(script: Script) -> None:
    source = """
from dataclasses import dataclass
from enum import Enum
@dataclass
class Point:
    x: int
class Colour(Enum):
    RED = 1
def is_point(value): return isinstance(value, Point)
def moved(value): return Point(value.x + 1)
"""
    printed = script(
        """
import shapes
for folder, text in ((None, ""), (engines, "X = 1\\n"), (engines, "")):
    if folder:
        write("shapes.py", text + pathlib.Path("shapes.py").read_text(), folder)
        rc[:].reload(shapes)
    method = shapes.Point.__init__
    rc[:].push({"kept": shapes.Point(5)}, block=True)
    assert rc[0].apply_sync(shapes.is_point, shapes.Point(1))
    back = rc[0].apply_sync(shapes.moved, shapes.Point(1))
    assert type(back) is shapes.Point and back == shapes.Point(2)
    def both(point, colour): return isinstance(point, shapes.Point), colour is shapes.Colour.RED
    assert rc[0].apply_sync(both, back, shapes.Colour.RED) == (True, True)
    assert rc[0].apply_sync(shapes.is_point, ipz.Reference("kept"))
    assert rc[0].pull("kept", block=True) == shapes.Point(5)
    assert rc[0].apply_sync(shapes.Colour, 1) is shapes.Colour.RED
    assert shapes.Point.__init__ is method, "what came back changed the class here"
print("ok")
""",
        shapes=source,
    )
    assert printed == "ok\n"


def test_packages_that_import_each_other_travel(script: Script) -> None:
    printed = script(
        """
import pkg, pkg.helpers, left
from pkg import helpers
from pkg.deep import deeper
print(rc[0].apply_sync(lambda: pkg.twice(2)), rc[0].apply_sync(pkg.twice, 3), rc[0].apply_sync(helpers.once, 4))
print(rc[0].apply_sync(lambda: (left.f(3), left.right.g(0), deeper.value())), rc[0].apply_sync(pkg.late))
print(rc[0].apply_sync(lambda p: p.up(), helpers.Part(1)), type(rc[0].apply_sync(helpers.Part, 2)) is helpers.Part)
""",
        pkg__in____init__="import pkg.helpers\nfrom . import helpers as same\nfrom .helpers import once\n"
        "def twice(x): return pkg.helpers.once(x) + same.once(x)\n"
        "def late():\n    from .helpers import once\n    from . import helpers\n    return once(1), helpers.once(2)\n",
        pkg__in__helpers="import pkg\ndef once(x): return x\n"
        "class Part:\n    def __init__(self, x): self.x = x\n    def up(self): return pkg.twice(self.x)\n",
        pkg__in__deep__in____init__="from .. import helpers\n",
        pkg__in__deep__in__deeper="from . import helpers as h\nfrom .. import twice\n"
        "def value(): return h.once(7), twice(1)\n",
        left="import right\ndef f(n): return right.g(n - 1) if n else 'left'\n",
        right="import left\ndef g(n): return left.f(n - 1) if n else 'right'\n",
    )
    assert printed.splitlines() == ["4 6 4", "('right', 'right', (7, 2)) (1, 2)", "2 True"]


WRAPPERS = """
import functools, threading
lock = threading.Lock()
@functools.lru_cache(maxsize=50)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
@functools.cache
def square(x): return x * x
@functools.singledispatch
def show(x): return "object"
@show.register
def _(x: int): return "int"
@show.register(list)
def _(x): return [show(each) for each in x]
class Box:
    def __init__(self, x): self.x = x
    @functools.cached_property
    def double(self): return square(self.x) * 2
    @functools.lru_cache
    def cached(self): return self.x
    @functools.singledispatchmethod
    def tell(self, value): return "object"
    @tell.register
    def _(self, value: int): return "int"
def logged(f):
    @functools.wraps(f)
    def wrapper(*args): return ("logged", f(*args))
    return wrapper
@logged
def add(a, b): return a + b
add_one = functools.partial(add, 1)
def plain(x): return square(x) + 1
"""


@pytest.mark.parametrize("in_main", [False, True], ids=["in a module", "in the script"])
def test_wrapped_functions_travel(script: Script, in_main: bool) -> None:
    printed = script(
        (
            WRAPPERS
            if in_main
            else "from wrappers import *\nimport wrappers\nrc[0].apply_sync(lambda: wrappers.plain(2))"
        )
        + """
call = rc[0].apply_sync
print(call(fib, 20), call(square, 5), rc[:].map_sync(fib, range(5)), call(plain, 3))
print(call(show, [1, "a"]), call(lambda: show(1)), call(add, 1, 2), call(add_one, 2))
print(call(lambda b: (b.double, b.cached(), b.tell(1), b.tell("a")), Box(3)))
print(fib.cache_info().currsize, call(lambda: (fib(10), fib.cache_info().currsize, fib.__name__)))
rc[0].push({"fib": fib}, block=True)
print(rc[0].execute("fib(12)", block=True).result, call(lambda f: f(6), square), call(lambda: fib)(9))
""",
        wrappers=WRAPPERS,
    )
    assert printed.splitlines() == [
        "6765 25 [0, 1, 1, 2, 3] 10",
        "['int', 'object'] int ('logged', 3) ('logged', 3)",
        "(18, 3, 'int', 'object')",
        "0 (55, 11, 'fib')",
        "144 36 34",
    ]


def test_the_cache_of_a_function_is_kept_on_the_engine(script: Script) -> None:
    printed = script(
        """
import functools
@functools.cache
def where(x):
    import random
    return random.random()
print(rc[0].apply_sync(where, 1) == rc[0].apply_sync(where, 1))
"""
    )
    assert printed == "True\n"


def test_a_variable_with_the_name_of_a_module_imports_nothing(script: Script) -> None:
    source = "calls = 0\ndef count():\n    global calls\n    calls += 1\n    return calls\n"
    printed = script(
        """
import calls, counter
write("counter.py", pathlib.Path("counter.py").read_text(), engines)
print([rc[0].apply_sync(counter.count) for _ in range(3)])
""",
        calls="",
        counter=source,
    )
    assert printed == "[1, 2, 3]\n"


def test_what_an_engine_cannot_use_is_said(script: Script) -> None:
    printed = script(
        """
import guarded
try:
    rc[0].apply_sync(guarded.f)
except ipz.RemoteError as error:
    print(error.ename, "lock" in error.hint, error.hint)
write("guarded.py", "import threading\\nlock = threading.Lock()\\ndef f(): return lock.locked(), 2", engines)
try:
    rc[0].apply_sync(guarded.f)
except ipz.RemoteError as error:
    print(error.ename, error.evalue, error.hint)
write("guarded.py", pathlib.Path("guarded.py").read_text(), engines)
print(rc[0].apply_sync(guarded.f))
""",
        guarded="import threading\nlock = threading.Lock()\ndef f(): return lock.locked()\n",
    )
    first, second, third = printed.splitlines()
    assert first.startswith("ModuleNotFoundError True")
    assert second.startswith("ModuleDiffers module 'guarded' in ")
    assert "lock" in second
    assert "rc.reload('guarded')" in second
    assert third == "False"


def test_reload(script: Script) -> None:
    printed = script(
        """
write("there/__init__.py", "from .part import x", engines)
write("there/part.py", "x = 1", engines)
rc[:].execute("import there, there.part as p", block=True)
write("there/part.py", "x = 22", engines)
print(rc[:].reload("there"), rc[0].reload("there.part"), rc.reload("nowhere", targets=[1]))
print(rc[0].execute("there.x, p.x", block=True).result)
for bad in (3, "no name", "a..b", "os", sys, "ipclusterz", "__main__"):
    try:
        rc.reload(bad)
        print("accepted", bad)
    except (TypeError, ValueError) as error:
        assert repr(bad) in str(error) or bad is sys, error
"""
    )
    assert printed.splitlines() == [
        "{0: ['there', 'there.part'], 1: ['there', 'there.part']} ['there.part'] {1: []}",
        "(22, 22)",
    ]


def test_what_only_a_function_imports_travels_as_its_file_is_now(script: Script) -> None:
    printed = script(
        """
write("late.py", "def f(): return 'of the engine'", engines)
def task():
    import late
    from package.part import value
    return late.f(), value()
print(rc[0].apply_sync(task), rc[0].apply_sync(lambda: task()), "late" in sys.modules)
write("late.py", "def f(): return 'edited'")
print(rc[0].apply_sync(task)[0])
import user
print(rc[0].apply_sync(user.g))
""",
        late="import other\ndef f(): return other.text\n",
        other="text = 'mine'\n",
        package__in____init__="from . import part\n",
        package__in__part="import package\nfrom other import text\n"
        "def value(): return text, package.part is not None\n",
        user="def g():\n    from late import f\n    return f()\n",
    )
    assert printed.splitlines() == [
        "('mine', ('mine', True)) ('mine', ('mine', True)) False",
        "edited",
        "edited",
    ]


def test_autoreload(script: Script) -> None:
    printed = script(
        """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("%load_ext autoreload\\n%autoreload 2\\nimport helpers\\nfrom helpers import f, A\\na = A()")
names = shell.user_ns
def run():
    helpers = names["helpers"]
    call = rc[0].apply_sync
    return [call(helpers.f), call(names["f"]), call(lambda: helpers.f()), call(lambda a: a.m(), names["a"])]
print(run())
for folder in (engines, here):
    write("helpers.py", "class A:\\n    def m(self): return 22\\ndef f(): return 22\\n", folder)
os.utime("helpers.py", (time.time() + 10,) * 2)
shell.run_cell("pass")
print(run())
""",
        helpers="class A:\n    def m(self): return 1\ndef f(): return 1\n",
    )
    assert printed.splitlines() == ["[1, 1, 1, 1]", "[22, 22, 22, 22]"]


@pytest.mark.parametrize("how", ["a folder of a .pth file", "a finder"])
def test_an_editable_installation_that_engines_lack_travels(script: Script, tmp_path: Path, how: str) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "editable.py").write_text("def f(): return 'here'\n")
    finder = """
import importlib.util
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, place) if name == "editable" else None
sys.meta_path.append(Finder)
"""
    printed = script(
        f"place = {str(tmp_path / 'project' / 'editable.py')!r}\n"
        + ("sys.path.append(os.path.dirname(place))" if how != "a finder" else finder)
        + """
import editable
print(rc[0].apply_sync(editable.f), rc[0].apply_sync(lambda: editable.f()))
# Now the engines have it too.
rc[:].apply_sync(lambda folder: __import__("sys").path.append(folder), os.path.dirname(place))
print(rc[0].apply_sync(lambda: (editable.f(), "editable" in __import__("sys").modules)))
"""
    )
    assert printed.splitlines() == ["here here", "('here', True)"]


def test_the_fixture_keeps_the_folders_apart(script: Script, engines: Path) -> None:
    assert script("print(rc[0].apply_sync(os.getcwd))") == f"{engines}\n"
