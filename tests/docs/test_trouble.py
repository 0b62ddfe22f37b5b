"""The table of errors in docs/clusters/trouble.md: each message is one that a test has seen.

A message stands in backquotes; `...` in it is anything. Its parts are looked for in the code of the tests, so that a
message that is worded anew, or that no test provokes any more, is noticed here. That each cause has a row is looked at
where the causes are (`launcher/launchers/src/causes.rs`).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/clusters/trouble.md"
# A part that is shorter may be anywhere.
_SHORTEST = 5


def rows() -> list[list[str]]:
    """The cells of the table: what is said, why, and what to do."""
    section = PAGE.read_text().split("\n## Errors\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def messages() -> list[str]:
    """What is said, as it is written in the first cells."""
    return [message for row in rows() for message in re.findall("`([^`]+)`", row[0])]


@cache
def code_of_tests() -> dict[Path, str]:
    """The code of all tests, with the spaces of a text that is broken into several lines."""
    files = [path for path in REPOSITORY.glob("tests/**/*.py") if path != Path(__file__)]
    files += [path for path in REPOSITORY.glob("*/**/*.rs") if not {"target", "third-party"} & set(path.parts)]
    return {path: _code_of_tests(path) for path in files}


def _code_of_tests(path: Path) -> str:
    text = path.read_text()
    if path.suffix == ".rs" and not {"tests", "tests.rs"} & set(path.parts):
        text = text.partition("#[cfg(test)]\nmod tests {")[2]
    # A text over several lines: of Rust with a backslash, of Python as one literal behind another.
    text = re.sub(r'\\\n\s*|"\s*\n\s*f?"', "", text)
    return text.replace('\\"', '"').replace("\\n", "\n").replace("{{", "{").replace("}}", "}")


def parts(message: str) -> list[str]:
    """What a test has of a message."""
    return [part.strip() for part in message.split("...") if len(part.strip()) >= _SHORTEST]


def test_the_table_is_one() -> None:
    assert len(rows()) > 30
    assert all(len(row) == 3 and all(row) for row in rows()), [row for row in rows() if len(row) != 3]
    assert len(set(messages())) == len(messages())


@pytest.mark.parametrize("message", messages())
def test_a_message_is_one_that_a_test_provokes(message: str) -> None:
    wanted = parts(message)
    assert wanted, "a part of it has to be known"
    found = [path for path, text in code_of_tests().items() if all(part in text for part in wanted)]
    assert found, f"no test has {wanted}"
