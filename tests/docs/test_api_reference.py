"""The API reference: it has every public name, and every docstring says what it should.

The examples in the docstrings are run by `test_docstrings`.
"""

from __future__ import annotations

import builtins
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate
from pages import ROOT
from public import PUBLIC, Name

import ipclusterz

BUILD = ROOT / "scripts/docs/build.py"

# What numpydoc checks in every docstring, by its own codes.
ALWAYS = {
    "GL03": "no double blank lines",
    "GL06": "no unknown sections",
    "GL07": "sections in their order",
    "GL08": "there is a docstring",
    "PR02": "no unknown parameters",
    "PR03": "parameters in the order of the signature",
    "PR07": "parameters are described",
    "PR10": "a space before a parameter's colon",
    "SS01": "a summary",
    "SS02": "which begins with a capital letter",
    "SS03": "ends with a period",
    "SS04": "and is not indented",
    "YD01": "what a generator yields",
}
PARAMETERS, RETURNS = "PR01", "RT01"

# A docstring that says how something differs from what is described elsewhere: "Like `apply`, and never waits."
ELSEWHERE = re.compile(r"(?:Like|Same as|as|see) `([\w.]+)`")
BY_PATH = {name.path: name for name in PUBLIC}
MADE_BY = re.compile(r"\b[Mm]ade by\b")


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names that the reference has an entry for, or a link to where it is."""
    folder = tmp_path_factory.mktemp("reference")
    done = subprocess.run([sys.executable, str(BUILD), str(folder)], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "does not resolve" not in done.stderr
    pages = [page.read_text() for page in sorted(Path(folder).rglob("*.html"))]
    return {anchor for page in pages for anchor in re.findall(r'\bid="([\w.]+)"', page)}


def test_every_public_name_is_in_the_reference(anchors: set[str]) -> None:
    missing = [str(name) for name in PUBLIC if name.path not in anchors]
    assert not missing, "\n".join(missing)


def test_every_docstring_says_what_it_should() -> None:
    wrong = [
        f"{name}: {code}: {text}"
        for name in PUBLIC
        if name.is_code
        for code, text in validate(str(name))["errors"]
        if code in wanted(name)
    ]
    assert not wrong, "\n".join(wrong)


def wanted(name: Name) -> set[str]:
    """The checks that apply to a docstring."""
    text = inspect.getdoc(name.value) or ""
    checks = set(ALWAYS)
    if isinstance(name.value, type):
        # Constructors that users do not call are not described, and inherited ones are described where they are from.
        if "__init__" in vars(name.value) and not MADE_BY.search(text):
            checks.add(PARAMETERS)
    elif not isinstance(name.value, property) and not ELSEWHERE.search(text):
        checks.add(PARAMETERS)
        # What comes from a call without parameters is its summary: "Whether all answers are there."
        if len(inspect.signature(name.value).parameters) > 1:
            checks.add(RETURNS)
    return checks


def test_what_a_docstring_refers_to_is_complete() -> None:
    """Where a docstring says "like `apply`", that is public, and describes all parameters of this one."""
    wrong = []
    for name in PUBLIC:
        if inspect.isfunction(name.value) and ELSEWHERE.search(inspect.getdoc(name.value) or ""):
            missing = parameters(name) - documented(name)
            wrong.extend(f"{name}: {one} is described nowhere" for one in sorted(missing))
    assert not wrong, "\n".join(wrong)


def parameters(name: Name) -> set[str]:
    """Those of a signature, with their asterisks."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(name.value).parameters.values()
    return {stars.get(one.kind, "") + one.name for one in found} - {"self", "cls"}


def documented(name: Name) -> set[str]:
    """The parameters that a docstring describes, or another one to which it refers."""
    found = {one for entry in get_doc_object(name.value)["Parameters"] for one in re.split(r",\s*", entry.name)}
    for other in ELSEWHERE.findall(inspect.getdoc(name.value) or ""):
        there = BY_PATH.get(other) or BY_PATH.get(f"{name.path.partition('.')[0]}.{other}")
        assert there is not None, f"{name} refers to {other}, which is not public"
        found |= documented(there)
    return found


def test_every_attribute_is_described_by_its_class() -> None:
    missing = []
    for name in PUBLIC:
        if name.is_code or name.owner is None:
            continue
        classes = [owner for owner in name.owner.__mro__ if owner.__module__.startswith("ipclusterz")]
        described = {
            one
            for owner in classes
            for section in ("Attributes", "Parameters")
            for entry in get_doc_object(owner)[section]
            for one in re.split(r",\s*", entry.name)
        }
        if name.path.rpartition(".")[2] not in described:
            missing.append(str(name))
    assert not missing, "\n".join(missing)


def test_what_is_said_to_be_raised_exists() -> None:
    unknown = []
    for name in PUBLIC:
        for entry in get_doc_object(name.value)["Raises"] if name.is_code else ():
            for kind in re.split(r",\s*", entry.name or entry.type):
                if not hasattr(builtins, kind) and not hasattr(ipclusterz, kind.removeprefix("ipclusterz.")):
                    unknown.append(f"{name}: {kind}")
    assert not unknown, "\n".join(unknown)
