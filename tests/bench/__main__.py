"""`make bench`: ipclusterz and its peers in turn, on the same work, as one table.

This file runs them and prints; measure.py says what the figures are; systems/ holds one file for each system.
Nothing here passes or fails by a time. The exit status is 1 when a system that is installed could not be measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from report import machine, table

HERE = Path(__file__).resolve().parent
DEFAULT_JSON = HERE.parents[1] / "target" / "bench" / "results.json"
# System, and the module without which it cannot be measured.
SYSTEMS = {
    "ipclusterz": "ipclusterz",
    "ipclusterz_no_journal": "ipclusterz",
    "ipyparallel": "ipyparallel",
    "process_pool": "concurrent.futures",
    "ray": "ray",
    "dask": "distributed",
}
SECONDS_FOR_ONE_SYSTEM = 300


def measure_in_subprocess(system: str) -> dict[str, Any]:
    """Measure one system in a fresh process. The answer has an `error` in place of figures when that fails."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            # Engines inherit this, and find the functions that they are to run.
            "PYTHONPATH": str(HERE),
            # What a system keeps on disk goes with the scratch folder.
            "DASK_TEMPORARY_DIRECTORY": scratch,
            "IPCLUSTERZ_HOME": str(Path(scratch, "ipclusterz")),
            "IPYTHONDIR": str(Path(scratch, "ipython")),
            "RAY_TMPDIR": scratch,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        output, log = Path(scratch, "figures.json"), Path(scratch, "log")
        with open(log, "wb") as talk:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "measure.py"), system, str(output)],
                stdout=talk,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            try:
                status: int | str = process.wait(SECONDS_FOR_ONE_SYSTEM)
            except subprocess.TimeoutExpired:
                status = f"no end after {SECONDS_FOR_ONE_SYSTEM} s"
            finally:
                end_session(process)
        if status == 0:
            return dict(json.loads(output.read_text()))
        return {"error": str(status), "log": log.read_text(errors="replace")[-3000:]}


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End whatever the measurement has left running, so that the next one has the machine for itself."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def median_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure over several runs; what is no number is taken from the last one."""
    return {
        key: statistics.median(run[key] for run in runs) if isinstance(value, int | float) else value
        for key, value in runs[-1].items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=SYSTEMS, help="measure this one (may be repeated)")
    parser.add_argument("--repeat", type=int, default=1, help="complete runs of each, of which the median counts")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="where to write the figures (%(default)s)")
    arguments = parser.parse_args()

    results: dict[str, dict[str, Any]] = {}
    for system in arguments.only or SYSTEMS:
        if importlib.util.find_spec(SYSTEMS[system]) is None:
            print(f"{system}: not installed, left out", file=sys.stderr)
            continue
        runs = []
        for number in range(arguments.repeat):
            print(f"measuring {system} ({number + 1}/{arguments.repeat})", file=sys.stderr, flush=True)
            runs.append(measure_in_subprocess(system))
            if "error" in runs[-1]:
                print(f"{system}: {runs[-1]['error']}\n{runs[-1]['log']}", file=sys.stderr)
                break
        results[system] = runs[-1] if "error" in runs[-1] else median_of(runs)

    about = machine()
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"version": 1, "machine": about, "results": results}, indent=2) + "\n")
    print(table(results, about))
    print(f"written to {arguments.json}", file=sys.stderr)
    return int(any("error" in result for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
