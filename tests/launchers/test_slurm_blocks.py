"""Elastic blocks in Slurm: jobs that come and go with the work."""

from __future__ import annotations

import pytest
import sites
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import Site

pytestmark = pytest.mark.timeout(120)

BLOCKS = """
[batch]
blocks = { min = 1, max = 3, nodes = 1 }
engines_per_node = 2
idle_time = 3
poll = 1
"""


def test_blocks_come_and_go_with_the_work(site: Site, hosts: VirtualHosts) -> None:
    site.start(2, profile=BLOCKS)
    assert len(slurm.live_jobs(hosts)) == 1
    with site.prompt() as prompt:
        prompt.do(user.submit_balanced, 60, 0.5)
        until(lambda: len(slurm.live_jobs(hosts)) == 3, 30, lambda: str(slurm.live_jobs(hosts)))
        until(lambda: len(site.engines()) == 6, 30)
        until(lambda: prompt.do(user.balanced_done) == 60, 40)
        until(lambda: len(slurm.live_jobs(hosts)) == 1, 40, lambda: str(slurm.live_jobs(hosts)))
        until(lambda: len(site.engines()) == 2, 20)
        assert len(prompt.do(user.answers)) == 2


def test_without_work_there_need_be_no_job(site: Site, hosts: VirtualHosts) -> None:
    # How many engines are asked for plays no part.
    report = site.start(2, profile=BLOCKS.replace("min = 1", "min = 0"))
    assert report["engines"] == []
    assert slurm.live_jobs(hosts) == []
    with site.prompt() as prompt:
        # Calls that find no engine wait for one; a block has two.
        prompt.do(user.submit_balanced, 2)
        until(lambda: len(slurm.live_jobs(hosts)) == 1, 30, lambda: str(slurm.live_jobs(hosts)))
        until(lambda: prompt.do(user.balanced_done) == 2, 40, site.launcher_log)
        # The block goes when it is idle, and comes back for the next calls.
        until(lambda: not slurm.live_jobs(hosts), 40, lambda: str(slurm.live_jobs(hosts)))
        assert prompt.do(user.wait_for_ids, []) == []
        prompt.do(user.submit_balanced, 2)
        until(lambda: prompt.do(user.balanced_done) == 2, 40, site.launcher_log)


def test_blocks_that_cannot_work_do_not_flood_the_queue(site: Site, hosts: VirtualHosts) -> None:
    before = slurm.submit_times(hosts)
    broken = '[engines]\nsetup = ["echo nothing works here", "exit 3"]\n'
    site.start(2, profile=sites.merged(BLOCKS.replace("min = 1", "min = 0"), broken))
    with site.prompt() as prompt:
        prompt.do(user.submit_balanced, 20)

        def submitted() -> list[float]:
            return sorted(time for job, time in slurm.submit_times(hosts).items() if job not in before)

        # Three at first, for nothing is known then, and one after the other from there on.
        until(lambda: len(submitted()) == 8, 80, site.launcher_log)
        times = submitted()
    assert times[-1] - times[-2] >= 3, times
    said = site.launcher_log()
    assert said.count("a job ended before its engines had registered") == 1, said
    assert "ended with status 3" in said
    assert "  nothing works here" in said
