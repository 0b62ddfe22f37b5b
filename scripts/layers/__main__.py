"""Checks the layers of the Rust crates, for `make check`: `python scripts/layers`.

Fails when

- a crate of a workspace depends on one that stands on its own layer or above: `[workspace.metadata.layers]` of the
  workspace's Cargo.toml lists them from the top down;
- a top-level module of a crate uses one that stands on its own layer or above, where the crate's
  `[package.metadata.layers]` lists them;
- files of a crate use each other in a circle.

With `--report` it prints for each crate its files, their median length, its floors and its circles.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import circles
import rust_files

Layers = list[list[str]]


def main() -> int:
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    report = "--report" in sys.argv[1:]
    problems: list[str] = []
    for folder in folders or [Path(), Path("mpi-bridge")]:
        metadata = metadata_of(folder)
        problems += crate_problems(metadata)
        for package in metadata["packages"]:
            problems += file_problems(package, report)
    for problem in problems:
        print(f"layers: {problem}", file=sys.stderr)
    return 1 if problems else 0


def metadata_of(folder: Path) -> dict:
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)


def crate_problems(metadata: dict) -> list[str]:
    """Crates that depend on what is not below them."""
    layers = (metadata["metadata"] or {}).get("layers", {}).get("crates")
    names = [package["name"] for package in metadata["packages"]]
    if layers is None:
        return [] if len(names) == 1 else ["the workspace lists no layers: [workspace.metadata.layers]"]
    arrows = {
        package["name"]: {dependency["name"] for dependency in package["dependencies"]} & set(names)
        for package in metadata["packages"]
    }
    return layer_problems("crate", layers, arrows)


def file_problems(package: dict, report: bool) -> list[str]:
    """Modules of a crate that use what is not below them, and circles of files."""
    target = next((target for target in package["targets"] if {"lib", "cdylib", "rlib"} & set(target["kind"])), None)
    if target is None:
        return []
    name = package["name"]
    modules = rust_files.read_crate(Path(target["src_path"]))
    graph = rust_files.uses(modules)
    problems = []
    layers = (package["metadata"] or {}).get("layers", {}).get("modules")
    if layers is not None:
        arrows: dict[str, set[str]] = {module[0]: set() for module in graph if module}
        for module, others in graph.items():
            for other in others:
                if module and other and other[0] != module[0]:
                    arrows[module[0]].add(other[0])
        problems += [f"{name}: {problem}" for problem in layer_problems("module", layers, arrows)]
    found = circles.circles(graph)
    for circle in found:
        problems.append(f"{name}: files use each other in a circle:")
        for module in sorted(circle):
            for other in sorted(circle & set(graph[module])):
                taken = ", ".join(sorted(graph[module][other]))
                problems.append(f"  {label(modules, module)} uses {label(modules, other)}: {taken}")
    if report:
        lengths = [len(module.path.read_text().splitlines()) for module in modules.values()]
        height = "-" if found else str(circles.floors(graph))
        largest = max((len(circle) for circle in found), default=0)
        print(
            f"{name}: {len(lengths)} files, {sum(lengths)} lines, median {statistics.median(lengths):.0f}, "
            f"longest {max(lengths)}, floors {height}, circles {len(found)} (largest {largest})"
        )
    return problems


def label(modules: dict[rust_files.Name, rust_files.Module], name: rust_files.Name) -> str:
    return str(modules[name].path.relative_to(modules[()].path.parent))


def layer_problems(kind: str, layers: Layers, arrows: dict[str, set[str]]) -> list[str]:
    """What stands on no layer, or uses what is not below it. `layers` are from the top down."""
    height = {name: len(layers) - index for index, layer in enumerate(layers) for name in layer}
    problems = [f"{kind} {name} stands on no layer: place it in the list" for name in arrows if name not in height]
    problems += [f"{kind} {name} is listed, but there is none" for name in height if name not in arrows]
    for name, others in sorted(arrows.items()):
        for other in sorted(others):
            if name in height and other in height and height[other] >= height[name]:
                problems.append(f"{kind} {name} uses {other}, which does not stand below it")
    return problems


if __name__ == "__main__":
    sys.exit(main())
