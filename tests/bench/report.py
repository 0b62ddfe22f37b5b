"""The table of a benchmark: one row for each system, each figure with its ratio to ipyparallel's."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BASELINE = "ipyparallel"
# Heading, key of the figure, format, and whether more is better.
COLUMNS = [
    ("start s", "start_s", "{:.2f}", False),
    ("round trip p50 µs", "round_trip_p50_us", "{:.0f}", False),
    ("p99 µs", "round_trip_p99_us", "{:.0f}", False),
    ("tasks/s one by one", "tasks_per_s", "{:.0f}", True),
    ("controller µs/task", "controller_us_per_task", "{:.0f}", False),
    ("push 64 MiB to 4, GB/s", "push_gb_s", "{:.2f}", True),
    ("pull 64 MiB from 4, GB/s", "pull_gb_s", "{:.2f}", True),
    ("controller RSS MiB (processes)", "controller_rss_mib", "{:.0f}", False),
]


def machine() -> dict[str, Any]:
    """What the figures were measured on, and when."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def table(results: dict[str, dict[str, Any]], about: dict[str, Any]) -> str:
    """The results as a Markdown table, with a line about the machine above it."""
    head = (
        f"{about['date']}, {about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, "
        f"{about['kernel']}, Python {about['python']}; 4 engines; (x: times better than {BASELINE})"
    )
    rows = [["system", *(heading for heading, *_ in COLUMNS)]]
    for system, figures in results.items():
        name = " ".join([system, *list(figures.get("versions", {}).values())[:1]])
        if "error" in figures:
            rows.append([name, f"failed: {figures['error']}", *[""] * (len(COLUMNS) - 1)])
        else:
            rows.append([name, *(cell(figures, results.get(BASELINE, {}), column) for column in COLUMNS)])
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return "\n".join([head, "", *lines])


def cell(figures: dict[str, Any], baseline: dict[str, Any], column: tuple[str, str, str, bool]) -> str:
    """One figure, with the number of processes or the ratio to the baseline where there is one."""
    _, key, form, more_is_better = column
    if figures[key] is None:
        return "in the client"
    text = form.format(figures[key])
    if key == "controller_rss_mib":
        if not figures["controller_processes"]:
            return "in the client"
        text += f" in {figures['controller_processes']}"
    if baseline.get(key) and figures is not baseline:
        ratio = figures[key] / baseline[key] if more_is_better else baseline[key] / figures[key]
        text += f" (x{ratio:.2g})" if ratio < 10 else f" (x{ratio:.0f})"
    return text
