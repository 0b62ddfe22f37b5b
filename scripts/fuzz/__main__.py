"""Fuzzes what reads the words of others, by libFuzzer on stable Rust: `python scripts/fuzz`.

Each target of `tests/fuzz` starts from its kept corpus, two of them at a time. At the end a line for each says how many
inputs were tried, how much of the code was reached, and how many new inputs reach more. What a target does not take is
a finding: it is kept in `target/fuzz`, and the exit code is 1.

With `--keep` the new inputs that reach more are added to the corpus, which stays small.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
CORPUS = ROOT / "tests/fuzz/corpus"
# The longest input, in bytes.
LENGTH = 4096
# One input takes microseconds; a target that takes so many seconds hangs.
HANG = 10
MEBIBYTES = 2048
# Of each target's inputs, at most so many files and bytes are kept.
KEPT = 250
KEPT_BYTES = 96 << 10
# What libFuzzer calls the files that it writes.
HASH = re.compile(r"[0-9a-f]{40}")


@dataclass
class Run:
    """What came of one target."""

    target: str
    executions: int
    reached_before: int
    reached: int
    new: int
    findings: list[Path]
    said: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=30, help="for each target (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="add what reaches more to the corpus")
    parser.add_argument("target", nargs="*", help="these alone (default: all)")
    options = parser.parse_args()
    known = sorted(folder.name for folder in CORPUS.iterdir())
    unknown = [name for name in options.target if name not in known]
    if unknown:
        parser.error(f"no target is called {unknown[0]!r}; there are {', '.join(known)}")
    programs = build()
    findings = TARGET / "fuzz"
    shutil.rmtree(findings, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder, ThreadPoolExecutor(2) as pool:

        def one(target: str) -> Run:
            program, inputs = programs / f"fuzz-{target.replace('_', '-')}", Path(folder) / target
            inputs.mkdir()
            result = fuzz(target, program, inputs, findings / target, options.seconds)
            if options.keep:
                keep(program, inputs, CORPUS / target)
            return result

        runs = list(pool.map(one, options.target or known))
    report(runs)
    return 1 if any(run.findings for run in runs) else 0


def build() -> Path:
    """Build all targets; returns the folder of their programs."""
    command = ["cargo", "build", "--release", "--locked", "--package", "ipclusterz-fuzz", "--features", "libfuzzer"]
    quickly = [f"--config=profile.release.package.ipclusterz-{name}.opt-level=1" for name in ("base", "runtime")]
    wrapper = {"RUSTC_WORKSPACE_WRAPPER": str(Path(__file__).with_name("rustc"))}
    subprocess.run([*command, *quickly], cwd=ROOT, check=True, env={**os.environ, **wrapper})
    return TARGET / "release"


def fuzz(target: str, program: Path, inputs: Path, findings: Path, seconds: int) -> Run:
    """Run one target from its kept corpus; what is new goes to `inputs`."""
    findings.mkdir(parents=True)
    limits = [f"-max_total_time={seconds}", f"-timeout={HANG}", f"-rss_limit_mb={MEBIBYTES}", f"-max_len={LENGTH}"]
    command = [program, *limits, "-print_final_stats=1", f"-artifact_prefix={findings}/", inputs, CORPUS / target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    said = done.stderr
    reached = [int(count) for count in re.findall(r"\bcov: (\d+)", said)]
    executed = re.search(r"stat::number_of_executed_units: (\d+)", said)
    found = sorted(findings.iterdir())
    if done.returncode != 0 and not found:
        raise SystemExit(f"{program.name} ended with {done.returncode}:\n{said[-4000:]}")
    return Run(
        target=target,
        executions=int(executed[1]) if executed else 0,
        reached_before=min(reached, default=0),
        reached=max(reached, default=0),
        new=len(list(inputs.iterdir())),
        findings=found,
        said=said,
    )


def keep(program: Path, inputs: Path, corpus: Path) -> None:
    """Have the corpus reach what the new inputs reach; files with names of their own stay."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        # How often a branch is taken does not count here: the corpus would be ten times as large.
        command = [program, "-set_cover_merge=1", "-use_counters=0", f"-max_len={LENGTH}", folder, corpus, inputs]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        for file in corpus.iterdir():
            if HASH.fullmatch(file.name):
                file.unlink()
        left = KEPT_BYTES
        for file in some(Path(folder)):
            left -= file.stat().st_size
            if left > 0:
                shutil.copyfile(file, corpus / file.name)


def some(folder: Path) -> list[Path]:
    """As many files as are kept, by chance: a run finds the others again within seconds."""
    files = sorted(folder.iterdir())
    return random.Random(len(files)).sample(files, min(KEPT, len(files)))


def report(runs: list[Run]) -> None:
    row = "{:<16} {:>14} {:>17} {:>14} {:>11} {:>9}"
    print(row.format("target", "inputs tried", "branches reached", "by the corpus", "new inputs", "findings"))
    for run in runs:
        counts = (run.executions, run.reached, run.reached_before, run.new, len(run.findings))
        print(row.format(run.target, *(f"{count:,}" for count in counts)))
    for run in runs:
        for finding in run.findings:
            print(f"\n{run.target} does not take {finding}:\n{run.said[-3000:]}", file=sys.stderr)
            print("Mend it, and keep the file in tests/fuzz/corpus under a name that says what it is.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
