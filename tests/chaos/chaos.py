"""Faults of all kinds to a cluster under a mixed load: is any answer lost, wrong or doubled, is anything left?

`python tests/chaos/chaos.py --minutes 60 --seed 7` prints a report, and exits with 1 if there are `problems`. Faults
and load are drawn from the seed. Needs root, for virtual hosts. What was submitted, executed and answered is judged in
`chaos_verdict.py`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("python", "launchers", "mpi")]

from chaos_cluster import ChaosCluster  # noqa: E402
from chaos_faults import Chaos, plan  # noqa: E402
from chaos_verdict import Judge  # noqa: E402
from system import HostsError  # noqa: E402

SHOWN = 10
_PR_SET_CHILD_SUBREAPER = 36


def settle(cluster: ChaosCluster) -> list[str]:
    """End everything in order; what should not be."""
    left = [f"client {name} does not end" for name in cluster.finish_clients()]
    if said := cluster.unfinished():
        left.append(said)
    if said := cluster.stop():
        left.append(said)
    left += cluster.left()
    cluster.keep_logs()
    return left


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The whole run, and its report."""
    settle_seconds = options.lease + 40

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", file=sys.stderr, flush=True)

    began = time.monotonic()
    with ChaosCluster(options.seed, options.lease, settle_seconds) as cluster:
        chaos = Chaos(cluster, say)
        try:
            chaos.run(plan(options.seed, options.longest), options.minutes * 60)
            left = chaos.left + settle(cluster)
            found = report(options, cluster, chaos, left)
        except BaseException:
            say(f"logs are in {keep(cluster, chaos)}")
            raise
        if found["problems"]:
            found["logs"] = str(keep(cluster, chaos))
    found["seconds"] = round(time.monotonic() - began, 1)
    return found


def report(options: argparse.Namespace, cluster: ChaosCluster, chaos: Chaos, left: list[str]) -> dict[str, Any]:
    """What happened, and what should not have."""
    verdict = Judge(cluster.folder, chaos.record, cluster.runs).verdict()
    bad = {"lost": verdict.lost, "wrong": verdict.wrong, "doubled": verdict.doubled, "left": left}
    return {
        "version": 1,
        "seed": options.seed,
        "operations": dict(sorted(verdict.operations.items())),
        "outcomes": dict(sorted(verdict.outcomes.items())),
        "faults": dict(sorted(chaos.counts().items())),
        **{what: len(lines) for what, lines in bad.items()},
        "problems": [f"{what}: {line}" for what, lines in bad.items() for line in lines[:SHOWN]],
        "last_faults": chaos.record[-SHOWN:] if any(bad.values()) else [],
    }


def keep(cluster: ChaosCluster, chaos: Chaos) -> Path:
    """Copy what tells of a failure to a place that stays."""
    kept = Path(tempfile.mkdtemp(prefix="ipclusterz-chaos-"))
    (kept / "faults.json").write_text(json.dumps(chaos.record, indent=1))
    (kept / "runs.json").write_text(json.dumps([asdict(run) for run in cluster.runs], indent=1))
    shutil.copytree(cluster.folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.json"))
    shutil.copytree(
        cluster.disk / "clusters", kept / "disk", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.json")
    )
    return kept


def table(found: dict[str, Any]) -> str:
    """The report for people."""
    lines = []
    for what in ("operations", "outcomes", "faults"):
        lines.append(f"{what}: {sum(found[what].values()):,}")
        lines += [f"  {count:>8,}  {name}" for name, count in found[what].items()]
    lines += [f"{what}: {found[what]}" for what in ("lost", "wrong", "doubled", "left")]
    return "\n".join([*lines, *found["problems"]])


def main() -> int:
    parser = argparse.ArgumentParser(description="Make faults of all kinds to a cluster under load.")
    parser.add_argument("--minutes", type=float, default=10, help="how long faults are made (10)")
    parser.add_argument("--seed", type=int, default=1, help="decides which, and what the load is (1)")
    parser.add_argument("--lease", type=float, default=45, help="engines.lease of the cluster, in seconds (45)")
    parser.add_argument("--longest", type=float, default=20, help="seconds that a link is cut at most (20)")
    options = parser.parse_args()
    # What hosts leave when they end becomes a child of this process, which waits for it.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        found = run(options)
    except HostsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    print(table(found), file=sys.stderr)
    print(json.dumps(found, indent=1))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
