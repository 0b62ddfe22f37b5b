"""What the pages say about clusters that are not here: profiles, commands, scripts.

Profiles are read by the program; command lines go through its parser, which is asked for help about them and so runs
none. What can be run here is run by `test_tutorial`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pages import FIGURE, PAGES, ROOT, Block, blocks_of, difference, entries

import ipclusterz as ipz

IPCLUSTERZ = Path(sys.executable).parent / "ipclusterz"
SECONDS = 30
INDEX = ROOT / "docs/clusters/README.md"
CLUSTERS = [page for page in PAGES if page.parent == INDEX.parent]
TABLES = ("engines", "controller", "ssh", "mpiexec", "batch", "queue", "slurm")

# What a command line ends at, for the shell.
_ENDS = {"|", "||", "&", "&&", ";", ">", ">>", "<"}


@dataclass(frozen=True)
class Place:
    """A folder to work in and a home, with the files that a page shows."""

    folder: Path
    home: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The program, as a user who has nothing set."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("IPCLUSTERZ_", "XDG_"))}
        environment = {**kept, "HOME": str(self.home), "IPCLUSTERZ_SITE_PROFILES": str(self.home / "none")}
        command = [str(IPCLUSTERZ), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, timeout=SECONDS, capture_output=True, text=True
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A new one."""
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    return Place(folder, home)


def _named(pages: list[Path], *languages: str) -> list[object]:
    return [
        pytest.param(page, block, id=f"{page.relative_to(ROOT)}:{block.line}")
        for page in pages
        for block in blocks_of(page.read_text())
        if block.language in languages
    ]


# -- profiles ---------------------------------------------------------------------------------------------------------


def options_for(block: Block, page: Path, place: Place) -> list[str]:
    """Write the block where its reader would; the options with which it is used."""
    if not block.file:
        (place.folder / "profile.toml").write_text(block.text)
        return ["./profile.toml"]
    # What the page has shown before may be extended.
    for shown in blocks_of(page.read_text()):
        if shown.language == "toml" and shown.file.startswith("~/"):
            shown.write(place.folder, place.home)
    path = block.write(place.folder, place.home)
    return [] if path.parent == place.folder else [path.stem]


@pytest.mark.parametrize(("page", "block"), _named(PAGES, "toml"))
def test_a_profile_is_accepted(page: Path, block: Block, place: Place) -> None:
    profile = options_for(block, page, place)
    shown = place.run("profile", "show", *profile)
    assert shown.returncode == 0, shown.stderr
    # All values are checked before a script is rendered; launchers without jobs have none.
    start = [f"--profile={name}" for name in profile]
    rendered = place.run("start", *start, "--print-script")
    has_none = rendered.returncode == 2 and "which has no jobs" in rendered.stderr
    assert rendered.returncode == 0 or has_none, rendered.stderr


@pytest.mark.parametrize(("page", "block"), _named(PAGES, "toml wrong"))
def test_a_wrong_profile_is_refused_as_shown(page: Path, block: Block, place: Place) -> None:
    blocks = blocks_of(page.read_text())
    told = blocks[blocks.index(block) + 1]
    assert told.language == FIGURE, "what is said about it follows"
    refused = place.run("start", "--print-script", "--profile", *options_for(block, page, place))
    assert refused.returncode == 2
    assert not (wrong := difference(told.text, refused.stderr)), wrong


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.toml")))
def test_a_shipped_profile_is_accepted_and_told_of(name: str, place: Place) -> None:
    assert place.run("profile", "show", name).returncode == 0
    text = "".join(page.read_text() for page in CLUSTERS)
    assert f"`{name}`" in text or f"{name}.toml" in text or name == "default"


def test_keys_that_are_named_exist(place: Place) -> None:
    shown = place.run("profile", "show", "default").stdout
    known, table = set(), ""
    for line in shown.splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            table = header[1]
        elif key := re.match(r"(\w+) = ", line):
            known.add(f"{table}.{key[1]}")
    assert "batch.drain_before" in known
    pattern = re.compile(rf"`({'|'.join(TABLES)})\.(\w+)(?: =[^`]*)?`")
    named = {
        f"{table.replace('slurm', 'batch')}.{key}"
        for page in PAGES
        for table, key in pattern.findall(_without_figures(page.read_text()))
        if key not in ("toml", "log")
    }
    assert named - known == set()


def _without_figures(text: str) -> str:
    for block in blocks_of(text):
        text = text.replace(block.text, "") if block.language == FIGURE else text
    return text


# -- commands ---------------------------------------------------------------------------------------------------------


def command_lines(page: Path) -> Iterator[str]:
    """Every line with the command, in blocks and in the text."""
    text = page.read_text()
    for block in blocks_of(text):
        if block.language == "console":
            yield from (typed for typed, _ in entries(block.text, r"\$ ", "> "))
        elif block.language in ("sh", "bash"):
            yield from block.text.replace("\\\n", " ").splitlines()
        text = text.replace(block.text, "")
    # Commands in words may leave out their arguments; in tables a bar is escaped.
    yield from (code for code in re.findall(r"`([^`\n]+)`", text) if code.startswith("ipclusterz ") and "|" not in code)


def arguments_of(line: str) -> list[list[str]]:
    """The arguments of each `ipclusterz` in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = []
    current: list[str] | None = None
    for word in lexer:
        if word in _ENDS:
            current = None
        elif current is not None:
            current.append(word)
        elif word == "ipclusterz":
            found.append(current := [])
    return found


def test_arguments_are_found_in_lines_of_shell() -> None:
    assert arguments_of("ssh n1 ipclusterz -n 4 --daemonize  # there") == [["-n", "4", "--daemonize"]]
    assert arguments_of("ipclusterz gc && ipclusterz list | cat") == [["gc"], ["list"]]
    assert arguments_of("echo 'ipclusterz -n 4'") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.timeout(120)
def test_command_lines_are_understood(page: Path, place: Place) -> None:
    wrong = []
    for line in dict.fromkeys(command_lines(page)):
        for arguments in arguments_of(line):
            # With a request for help nothing is run; what is not understood is an error before that.
            end = arguments.index("--") if "--" in arguments else len(arguments)
            given = [word.replace("$SLURM_NTASKS", "4") for word in arguments[:end]]
            done = place.run(*given, "--help")
            if done.returncode != 0 or "Usage:" not in done.stdout:
                wrong.append(f"{line}\n{done.stderr}")
    assert not wrong, "\n".join(wrong)


def test_a_command_line_with_a_mistake_is_noticed(place: Place) -> None:
    for line in ("ipclusterz -m 4", "ipclusterz scael +4", "ipclusterz tunnel --bakcend openssh me@n1"):
        assert place.run(*arguments_of(line)[0], "--help").returncode == 2


@pytest.mark.parametrize(("page", "block"), _named(PAGES, "bash", "sh"))
def test_shell_is_well_formed(page: Path, block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, timeout=SECONDS)
    assert done.returncode == 0, f"{page}: {done.stderr}"


@pytest.mark.parametrize(("page", "block"), _named(PAGES, "py"))
def test_python_is_well_formed_and_its_names_exist(page: Path, block: Block) -> None:
    compile(block.text, f"{page}:{block.line}", "exec")
    names = re.findall(r"\b(?:ipz|ipclusterz)\.(\w+)", block.text)
    assert [name for name in names if not hasattr(ipz, name)] == []


# -- pages ------------------------------------------------------------------------------------------------------------


def test_the_index_leads_to_each_page() -> None:
    listed = set(re.findall(r"\]\((\w+\.md)[)#]", INDEX.read_text()))
    assert listed == {page.name for page in CLUSTERS if page != INDEX}


@pytest.mark.parametrize("page", CLUSTERS, ids=lambda page: page.name)
def test_each_link_leads_to_a_heading(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([\w/.-]*)#([\w-]+)\)", page.read_text()):
        text = ((page.parent / target) if target else page).read_text()
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
        assert heading in anchors, f"{target}#{heading}"
