"""scripts/dist/reproduce tells builds that are the same from those that are not, and says where they differ.

What builds here is a line of Python: the real thing takes as long as two builds from nothing, and is run by hand.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WRITE = """
import os, sys, zipfile
os.mkdir("dist")
with zipfile.ZipFile("dist/sample.whl", "w") as wheel:
    wheel.writestr(zipfile.ZipInfo("same"), "the same")
    wheel.writestr(zipfile.ZipInfo("sample"), eval(sys.argv[1]))
"""


def reproduce(*command: str) -> subprocess.CompletedProcess[str]:
    """Run the script on a build of our own."""
    script = [sys.executable, ROOT / "scripts/dist/reproduce", *command]
    return subprocess.run(script, check=False, timeout=100, capture_output=True, text=True)


def writing(content: str) -> subprocess.CompletedProcess[str]:
    """A build whose wheel has the value of this expression in it."""
    return reproduce(sys.executable, "-c", WRITE, content)


def test_the_same_twice() -> None:
    """The hash is what a person who builds compares with that of a release."""
    done = writing("'nothing new'")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith("  sample.whl")
    assert done.stdout.splitlines()[1] == "1 files, 0 differences"


def test_what_differs_is_named() -> None:
    """By member and place, and nothing of those that are the same."""
    done = writing("f'it is {os.urandom(8)!r}'")
    assert done.returncode == 1
    assert "sample.whl: sample: " in done.stderr
    assert "bytes, which differ from byte " in done.stderr
    assert "same:" not in done.stderr


def test_a_folder_that_is_told_is_a_fault() -> None:
    """Even if it were the same folder twice."""
    done = writing("os.path.dirname(os.getcwd()).removesuffix('/another')")
    assert done.returncode == 1
    assert "sample.whl: sample holds " in done.stderr


def test_no_build_is_no_comparison() -> None:
    """Neither one that fails nor one that leaves nothing passes for a success."""
    done = reproduce("false")
    assert (done.returncode, done.stderr) == (2, "error: false: exit status 1, see above\n")
    done = reproduce("true")
    assert done.returncode == 2
    assert done.stderr.startswith("error: true: left nothing in ")
    done = reproduce("no-such-program")
    assert (done.returncode, done.stderr) == (2, "error: no-such-program: No such file or directory\n")
