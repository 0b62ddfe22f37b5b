"""Measures the bridge beside mpi4py and C: `make bench-mpi`. Prints a table for each library, and JSON to a file.

It asserts nothing. `ranks.py` says what a figure is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "mpi"))

import via  # noqa: E402
from mpi_library import environment, mpiexec  # noqa: E402

Figure = dict[str, Any]


def run(flavour: str, ranks: int, folder: Path, only: str, sizes: list[str]) -> list[Figure]:
    """All figures of one library on so many ranks."""
    library = folder / f"loops-{flavour}.so"
    compiler = [f"mpicc.{flavour}", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "loops.c")]
    subprocess.run(compiler, check=True)
    place = folder / f"{flavour}-{ranks}"
    place.mkdir()
    env = environment(flavour, place)
    program = [sys.executable, str(HERE / "ranks.py"), str(library), only, *sizes]
    with subprocess.Popen([*mpiexec(flavour, ranks), *program], env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        figures = []
        for line in running.stdout:
            figures.append({"library": flavour, "ranks": ranks, **json.loads(line)})
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if running.returncode:
        raise SystemExit(f"error: mpiexec.{flavour} ended with {running.returncode}")
    return figures


def length(nbytes: int) -> str:
    """8 B, 64 KiB."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if nbytes >= unit:
            return f"{nbytes // unit} {name}"
    return f"{nbytes} B"


def table(figures: list[Figure]) -> str:
    """Microseconds, the shortest of all rounds and in brackets the median."""
    systems = ["C", "mpi4py", "ipclusterz"]
    lines = ["| call | " + " | ".join(systems) + " | beside mpi4py |", "|---|" + "---:|" * (len(systems) + 1)]
    for figure in figures:
        name = figure["what"] + (f", {length(figure['bytes'])}" if figure["bytes"] else "")
        seconds = figure["seconds"]
        cells = [
            f"{seconds[system]['min'] * 1e6:.1f} ({seconds[system]['median'] * 1e6:.1f})" if system in seconds else ""
            for system in systems
        ]
        ours, theirs = (seconds[system]["min"] * 1e6 for system in ("ipclusterz", "mpi4py"))
        cells.append(f"{ours - theirs:+.1f} µs, {100 * (ours / theirs - 1):+.0f}%")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table_of_ways(figures: list[Figure]) -> str:
    """Milliseconds past MPI and through it."""
    lines = [
        "| hosts | links | call | bytes | direct | mpi | mpi beside direct |",
        "|---:|---|---|---:|---:|---:|---:|",
    ]
    for figure in figures:
        direct, through = (figure["seconds"][via] * 1e3 for via in ("direct", "mpi"))
        links = figure["rate"] or "not limited"
        where = f"{figure['hosts']} | {links}"
        lines.append(
            f"| {where} | {figure['call']} | {length(figure['bytes'])} | {direct:.1f} | {through:.1f} "
            f"| {100 * (through / direct - 1):+.0f}% |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-mpi", description=__doc__)
    parser.add_argument("--library", action="append", choices=["openmpi", "mpich"])
    parser.add_argument("--ranks", action="append", type=int)
    parser.add_argument("--only", default="", help="calls whose names contain this")
    parser.add_argument("--bytes", nargs="*", default=[], help="sizes of buffers; no objects then")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--via", action="store_true", help="only client data past MPI and through it")
    options = parser.parse_args()
    everything: list[Figure] = []
    if options.via:
        everything = via.measure()
        print(table_of_ways(everything))
        options.library = []
    with tempfile.TemporaryDirectory(prefix="ipclusterz-bench-") as folder:
        for flavour in ["openmpi", "mpich"] if options.library is None else options.library:
            for ranks in options.ranks or [2, 4]:
                sizes = [",".join(options.bytes)] if options.bytes else []
                figures = run(flavour, ranks, Path(folder), options.only, sizes)
                print(f"\n### {flavour}, {ranks} ranks\n\n{table(figures)}", flush=True)
                everything += figures
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
