"""Every block of code in the README, the tutorial and the other pages, run as a reader would run it.

How the blocks are run is in `run_page`; this gives each page its folders, and checks that nothing is missing.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import CHECKED, FIGURE, LANGUAGES, PAGES, ROOT, blocks_of

from ipclusterz import error

RUN_PAGE = Path(__file__).with_name("run_page.py")
INDEX = ROOT / "docs/tutorial/README.md"
PAGE_SECONDS = 150

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Folders and variables of a user who has no cluster; the clusters that a page leaves running are stopped."""
    private = {name: value for name, value in os.environ.items() if not name.startswith(("IPCLUSTERZ_", "XDG_"))}
    private["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    private["HOME"] = private["IPYTHONDIR"] = str(tmp_path)
    # MPI of this machine's mpiexec, which the tests' user may start as root.
    private["PYTHONPATH"] = str(ROOT / "target/mpi-bridge/wheel")
    private["OMPI_ALLOW_RUN_AS_ROOT"] = private["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    # For sockets, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="ipz", dir="/tmp") as folder:
        private["XDG_RUNTIME_DIR"] = folder
        yield private
        subprocess.run(["ipclusterz", "stop", "--all"], env=private, timeout=20, capture_output=True)


@each_page
def test_each_block_has_a_language(page: Path) -> None:
    text = page.read_text()
    blocks = blocks_of(text)
    assert {block.language for block in blocks} <= {*LANGUAGES, *CHECKED, FIGURE}
    figures = "".join(block.text for block in blocks if block.language == FIGURE)
    assert not re.search(r"^ *(\$|>>>|In \[)", figures, re.MULTILINE), "this is code, not a figure"
    assert len(re.findall(r"^ *(```|~~~)", text, re.MULTILINE)) == 2 * len(blocks)


@each_page
@pytest.mark.timeout(PAGE_SECONDS + 20)
def test_each_block_of_a_page(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, str(RUN_PAGE), str(page)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, timeout=PAGE_SECONDS, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@each_page
def test_each_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_index_has_each_page() -> None:
    listed = re.findall(r"\]\((\w[\w-]*\.md)\)", INDEX.read_text())
    assert sorted(listed) == sorted(page.name for page in PAGES if page.parent == INDEX.parent and page != INDEX)


def test_the_page_of_errors_has_each_class() -> None:
    page = INDEX.with_name("errors.md").read_text()
    classes = [error.TimeoutError, error.AbortedError, *filter(inspect.isclass, vars(error).values())]
    assert {kind.__name__ for kind in classes if f"| `{kind.__name__}` |" not in page} <= {"IpclusterzError"}
