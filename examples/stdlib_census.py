"""A census of Python's own standard library, taken by all engines of a cluster.

Start engines, then run this; `make run` does both:

    ipclusterz -n 4 --daemonize
    python examples/stdlib_census.py
"""

import ast
import heapq
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import ipclusterz as ipz


def census(path):
    """The lines, functions and classes of one file, and its longest functions. None: it is not valid Python."""
    source = path.read_bytes()
    try:
        with warnings.catch_warnings(action="ignore"):
            nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return None  # the library's tests hold files that are wrong on purpose
    functions = [
        (node.end_lineno - node.lineno + 1, f"{node.name}  {path}:{node.lineno}")
        for node in nodes
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    classes = sum(isinstance(node, ast.ClassDef) for node in nodes)
    return len(source.splitlines()), len(functions), classes, heapq.nlargest(10, functions)


def total(results):
    """Sum up what `census` found in many files, in whatever order they come."""
    good = [result for result in results if result is not None]
    lines, functions, classes = (sum(result[column] for result in good) for column in range(3))
    longest = heapq.nlargest(10, (function for result in good for function in result[3]))
    return {"lines": lines, "functions": functions, "classes": classes, "not valid": len(results) - len(good)}, longest


def main():
    library = Path(os.__file__).parent
    files = [path for path in library.rglob("*.py") if not {"site-packages", "dist-packages"} & set(path.parts)]

    rc = ipz.Client()
    print(f"{len(files)} files of {library} on engines {sorted(rc.ids)}")
    begin = time.perf_counter()
    results = []
    # Answers come in the order in which files are done, so that the progress is what it says.
    for result in rc.load_balanced_view().map(census, files, chunksize=8, ordered=False):
        results.append(result)
        if len(results) % 100 == 0 or len(results) == len(files):
            print(f"  {len(results):5} files, {time.perf_counter() - begin:5.1f} s", flush=True)
    parallel = time.perf_counter() - begin
    totals, longest = total(results)
    print(*(f"{count:9,} {what}" for what, count in totals.items()), "the ten longest functions:", sep="\n")
    print(*(f"{length:6} lines  {name}" for length, name in longest), sep="\n")

    begin = time.perf_counter()
    same = (totals, longest) == total([census(path) for path in files])
    serial = time.perf_counter() - begin
    print(f"serially: {'the same' if same else 'NOT the same'}, in {serial:.1f} s: speed-up {serial / parallel:.2f}")

    x = np.arange(1_000_000.0)
    dview = rc[:]
    dview.scatter("x", x, block=True)
    dview.execute("x = x**2", block=True)
    squared = np.array_equal(dview.gather("x", block=True), x**2)
    print(f"scattered, squared and gathered {x.size:,} numbers: {'right' if squared else 'WRONG'}")
    return 0 if same and squared else 1


if __name__ == "__main__":
    sys.exit(main())
