"""The pages of the documentation: their blocks of code, and how what these print is compared.

A page is Markdown. Each of its fenced blocks has one of the `LANGUAGES` and is run by `run_page`; or it is one of the
`CHECKED`, which need other hosts or a queue, so that `test_clusters` checks them as far as that goes here; or it is a
`FIGURE`, in which there is nothing to run.
"""

from __future__ import annotations

import doctest
import platform
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CHECKED", "FIGURE", "FLAGS", "LANGUAGES", "PAGES", "ROOT", "Block", "blocks_of", "difference", "entries"]

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs/tutorial").glob("*.md")),
    *sorted((ROOT / "docs/clusters").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]
LANGUAGES = ("console", "ipython", "python")
# Profiles, and such as have to be refused; commands; scripts of jobs; Python.
CHECKED = ("toml", "toml wrong", "sh", "bash", "py")
FIGURE = "text"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

_FENCE = re.compile(r"^( *)(```+|~~~+)([^\n]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)

# What differs from run to run and from host to host, and what stands for it.
_VOLATILE = (
    (r"engine \d+ is ready on \S+ \(pid \d+\)", "an engine is ready"),
    (rf"{re.escape(str(Path.home()))}(?=/)", "/home/you"),
    (rf"\b{re.escape(platform.node())}\b", "n1"),
    # Process ids may have few digits.
    (r"\bpid \d+\b", "pid 0"),
    (r"\bn1 +\d+\b", "n1 0"),
    (r"\b\d+(\.\d+)? (s|ms|µs|KiB|MiB)\b", r"0 \2"),
    (r"\b\d{4,}\b", "0"),
)
_OF_ENGINES = re.compile(r"(^\[std(out|err):\d+\].*\n)+", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the number of its first line."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """The name of the file that this is; empty for what is run at once. A comment in its first line says so."""
        named = re.match(r"# ([\w~./-]+\.(py|toml))\n", self.text)
        return named[1] if named and self.language.split(" ")[0] in ("python", "toml") else ""

    def write(self, folder: Path, home: Path) -> Path:
        """Write the file, in the folder unless its name begins with a ``~``; where it is."""
        name = self.file
        path = home / name[2:] if name.startswith("~/") else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # In Python the comment with the name may stay; in a profile the first line says what it is for.
        path.write_text(self.text.partition("\n")[2] if path.suffix == ".toml" else self.text)
        return path


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(found[3].strip(), found[4], text.count("\n", 0, found.start()) + 2) for found in _FENCE.finditer(text)
    ]


def entries(text: str, prompt: str, continued: str) -> list[tuple[str, str]]:
    """What is typed at prompts, each with what is printed before the next one.

    Parameters
    ----------
    text : str
        A block, which begins with a prompt.
    prompt, continued : str
        Regular expressions of the prompt and of that of further lines.
    """
    first, further = re.compile(prompt), re.compile(continued)
    found: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        if start := first.match(line):
            found.append(([line[start.end() :]], []))
        elif not found:
            raise ValueError(f"a block begins with a prompt, not with {line!r}")
        elif (more := further.match(line)) and not found[-1][1]:
            found[-1][0].append(line[more.end() :])
        else:
            found[-1][1].append(line)
    return [("\n".join(typed), "\n".join(printed)) for typed, printed in found]


def difference(wanted: str, printed: str) -> str:
    """How a text differs from what a page shows; empty when it does not. ``...`` on the page is any text."""
    if doctest.OutputChecker().check_output(_plain(wanted), _plain(printed), FLAGS):
        return ""
    return f"the page shows:\n{wanted}\nprinted was:\n{printed}\n"


def _plain(text: str) -> str:
    for pattern, instead in _VOLATILE:
        text = re.sub(pattern, instead, text)
    return _OF_ENGINES.sub(_by_engine, text.strip() + "\n")


def _by_engine(lines: re.Match[str]) -> str:
    # Engines write when they like; what each of them has written stays in its order.
    return "".join(sorted(lines[0].splitlines(keepends=True), key=lambda line: line.split("]")[0]))
