"""What others show of a package: its page on PyPI, where neither a relative link nor one to a heading leads anywhere,
its addresses, extras, and how it is cited.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT

PACKAGES = [ROOT, ROOT / "mpi-bridge"]
_LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)|\b(?:href|src)=\"([^\"]+)\"|^\[[^\]]+\]: *(\S+)", re.MULTILINE)
_CODE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$|`[^`\n]+`", re.MULTILINE | re.DOTALL)

each_package = pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)


def project(folder: Path) -> dict[str, Any]:
    """The table [project] of a package."""
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return table


def repository() -> str:
    """Where the project is: Cargo.toml says it."""
    url: str = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["repository"]
    return url


def links(text: str) -> list[str]:
    """Where the links, images and references of Markdown lead."""
    return ["".join(found) for found in _LINK.findall(_CODE.sub("", text))]


def lost(text: str) -> list[str]:
    """Links that are not whole addresses, and addresses of files that the repository does not have."""
    own = re.compile(rf"{re.escape(repository())}/(?:blob|tree)/main/([^#]+)")
    return [
        link
        for link in links(text)
        if not link.startswith("https://") or ((inside := own.match(link)) and not (ROOT / inside[1]).exists())
    ]


@each_package
def test_each_link_of_the_description_leads_somewhere(folder: Path) -> None:
    readme = project(folder).get("readme")
    assert readme is not None or folder != ROOT
    if readme is not None:
        text = (folder / readme).read_text()
        assert lost(text) == []


@each_package
def test_each_address_of_the_project_leads_somewhere(folder: Path) -> None:
    urls = project(folder).get("urls", {})
    assert urls or folder != ROOT
    assert all(url.startswith(repository()) for url in urls.values())
    assert lost("\n".join(f"[{name}]({url})" for name, url in urls.items())) == []


@pytest.mark.parametrize(
    "text",
    [
        "[a page](docs/README.md)",
        "![a figure](figure.png)",
        '<img src="figure.png">',
        "[a]: docs/README.md",
        "# One\n[one](#one)",
        f"[gone]({repository()}/blob/main/docs/nowhere.md)",
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(text: str) -> None:
    assert len(lost(text)) == 1


def test_the_extra_for_mpi_has_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    extras = project(ROOT)["optional-dependencies"]
    assert f"ipclusterz-mpi=={version}" in extras["mpi"]
    # What cannot be had from an index is asked for by its own name alone.
    assert not [extra for extra in extras if extra != "mpi" and "mpi" in str(extras[extra])]


def test_what_is_cited_is_this_version() -> None:
    citation = dict(re.findall(r"^([a-z-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    assert (citation["version"], citation["license"]) == (workspace["version"], workspace["license"])
    assert citation["repository-code"] == workspace["repository"]
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", citation["date-released"])
