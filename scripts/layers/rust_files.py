"""Which file of a Rust crate uses which other one, read from its `use` items and paths.

A path counts as a use of the file that defines what it names: what a `mod.rs` re-exports is looked up where it comes
from. Neither `mod name;` nor a re-export is a use. Macros, and methods that another file adds to a type, are not seen.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

Name = tuple[str, ...]
"""A module's name, segment by segment; that of the crate's root is empty."""

# Comments, and literals that could hold what looks like code.
NOT_CODE = re.compile(
    r"""
    //[^\n]*
    | /\*.*?\*/
    | b?r(?P<hashes>\#*)".*?"(?P=hashes)
    | b?"(?:\\.|[^"\\])*"
    | b?'(?:\\[^']+|[^'\\])'
    """,
    re.VERBOSE | re.DOTALL,
)
MODULE = re.compile(r"\bmod\s+(?P<name>\w+)\s*;")
INNER_MODULE = re.compile(r"\bmod\s+\w+\s*\{")
USE = re.compile(r"(?P<public>\bpub(?:\([^)]*\))?\s+)?\buse\s+(?P<tree>[^;]+);")
PATH = re.compile(r"(?<![\w:.])(?:crate|super|self|[a-z_]\w*)(?:\s*::\s*\w+)+")
ITEM = r"\b(?:fn|struct|enum|trait|type|const|static|mod|union)\s+{}\b"


@dataclass
class Module:
    """One file of a crate."""

    path: Path
    name: Name
    text: str
    children: dict[str, "Module"] = field(default_factory=dict)
    uses: list[list[str]] = field(default_factory=list)
    """Every path that the file names, segment by segment."""
    brought_in: dict[str, list[str]] = field(default_factory=dict)
    """What a `use` brings in, under which name."""
    globs: list[list[str]] = field(default_factory=list)
    """What a `use ...::*` brings in the contents of."""

    def defines(self, item: str) -> bool:
        known = item in self.children or item in self.brought_in
        return known or re.search(ITEM.format(re.escape(item)), self.text) is not None


def read_crate(root: Path) -> dict[Name, Module]:
    """All files of the crate with the root file `root`, `lib.rs` or `main.rs`, by their names."""
    modules: dict[Name, Module] = {}
    waiting: list[tuple[Path, Name]] = [(root, ())]
    while waiting:
        path, name = waiting.pop()
        module = Module(path, name, NOT_CODE.sub(_blank, path.read_text()))
        _read_uses(module, module.text)
        modules[name] = module
        if name:
            modules[name[:-1]].children[name[-1]] = module
        folder = path.parent if path.name in ("mod.rs", "lib.rs", "main.rs") else path.with_suffix("")
        for found in MODULE.finditer(module.text):
            candidates = (folder / f"{found['name']}.rs", folder / found["name"] / "mod.rs")
            waiting += [(candidate, (*name, found["name"])) for candidate in candidates if candidate.exists()]
    return modules


def uses(modules: dict[Name, Module]) -> dict[Name, dict[Name, set[str]]]:
    """For each file the others that it uses, each with what it takes from it."""
    graph: dict[Name, dict[Name, set[str]]] = {}
    for module in modules.values():
        arrows = graph.setdefault(module.name, {})
        for path in module.uses:
            target = _definition(modules, module, path, frozenset())
            if target is not None and target[0] is not module:
                arrows.setdefault(target[0].name, set()).add(target[1])
    return graph


def _blank(found: re.Match[str]) -> str:
    return '""' if found[0][0] in "br\"'" else " "


def _read_uses(module: Module, text: str, inside: int = 0) -> None:
    """Notes what `text` names. It stands in `inside` modules within the file, so that many `super` lead to the file."""
    while opening := INNER_MODULE.search(text):
        end = _closing_brace(text, opening.end())
        _read_uses(module, text[opening.end() : end], inside + 1)
        text = text[: opening.start()] + text[end + 1 :]
    for found in USE.finditer(text):
        for path, name in _branches(found["tree"]):
            path = _seen_from_the_file(path, inside)
            if path[-1] == "*":
                module.globs.append(path[:-1])
            elif not inside:
                module.brought_in[name] = path
            if not found["public"]:
                module.uses.append(path)
    for found in PATH.finditer(USE.sub(" ", text)):
        path = [segment.strip() for segment in found[0].split("::")]
        module.uses.append(_seen_from_the_file(path, inside))


def _closing_brace(text: str, position: int) -> int:
    depth = 1
    while depth and position < len(text):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
    return position - 1


def _seen_from_the_file(path: list[str], inside: int) -> list[str]:
    if inside and path[:inside] == ["super"] * inside:
        return ["self", *path[inside:]]
    return path


def _branches(tree: str) -> list[tuple[list[str], str]]:
    """The paths of a `use` tree, each with the name it brings in: `a::{b, c as d}` has `a::b` as b and `a::c` as d."""
    tree = tree.strip()
    opening = tree.find("{")
    if opening < 0:
        path, _, alias = tree.partition(" as ")
        segments = [segment.strip() for segment in path.split("::") if segment.strip()]
        return [(segments, alias.strip() or segments[-1])]
    prefix = [segment.strip() for segment in tree[:opening].split("::") if segment.strip()]
    branches = []
    for branch in _parts(tree[opening + 1 : tree.rindex("}")]):
        if branch.strip() == "self":
            branches.append((prefix, prefix[-1]))
        else:
            branches += [(prefix + path, name) for path, name in _branches(branch)]
    return branches


def _parts(inner: str) -> list[str]:
    """The parts between commas that are in no inner braces."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(inner):
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            parts.append(inner[start:position])
            start = position + 1
    return [part for part in [*parts, inner[start:]] if part.strip()]


def _definition(
    modules: dict[Name, Module], module: Module, path: list[str], seen: frozenset[tuple[Name, str]]
) -> tuple[Module, str] | None:
    """The file that defines what `path` names in `module`, and its name there; None for what is in another crate."""
    here, rest = module, [segment for segment in path if segment != "*"]
    while rest and rest[0] in ("crate", "self", "super"):
        step = rest.pop(0)
        if step == "crate":
            here = modules[()]
        elif step == "super" and here.name:
            here = modules[here.name[:-1]]
    is_here = path[0] in ("crate", "self", "super") or path[0] in here.children or path[0] in here.brought_in
    if not is_here:
        return None
    while rest:
        name = rest[0]
        if name in here.children:
            here, rest = here.children[name], rest[1:]
            continue
        if (here.name, name) in seen:
            return here, name
        seen = seen | {(here.name, name)}
        brought_in = here.brought_in.get(name)
        if brought_in and (found := _definition(modules, here, [*brought_in, *rest[1:]], seen)):
            return found
        for glob in here.globs:
            source = _definition(modules, here, glob, seen)
            if source and source[0] is not here and source[0].defines(name):
                return _definition(modules, source[0], ["self", *rest], seen)
        return here, name
    return here, "itself"
