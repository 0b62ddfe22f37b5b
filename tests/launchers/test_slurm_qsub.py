"""The commands of PBS that come with Slurm, by the profile that docs/clusters/queues.md has for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sites
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import CommandFailed, Site
from system import REPOSITORY, unpack

pytestmark = pytest.mark.timeout(120)

PACKAGES = ["slurm-wlm-torque", "libslurm-perl", "libslurmdb-perl", "libswitch-perl"]


def commands() -> dict[str, str]:
    """Variables with which the commands are found, and find what they need."""
    usr = unpack("slurm-wlm-torque", "usr/bin/qsub", PACKAGES) / "usr"
    # qsub looks for it beside itself.
    if not (usr / "bin/sbatch").is_symlink():
        (usr / "bin/sbatch").symlink_to("/usr/bin/sbatch")
    library = next(usr.glob("lib/*/perl5/*"))
    return {"PATH": str(usr / "bin"), "PERL5LIB": f"{library}:{usr / 'share/perl5'}"}


def documented(name: str) -> str:
    """A profile that the page shows."""
    page = (REPOSITORY / "docs/clusters/queues.md").read_text()
    found = re.search(rf"```toml\n# ~/\.config/ipclusterz/profiles/{name}\.toml\n(.*?)```", page, re.DOTALL)
    assert found, f"docs/clusters/queues.md shows no {name}.toml"
    return found[1]


@pytest.fixture
def site(hosts: VirtualHosts) -> Site:
    """The head, where PBS's commands are those of Slurm."""
    found = commands()
    site = sites.batch(hosts, extends="slurm-qsub")
    # A job is on one node.
    site.profile = sites.merged(site.profile, "[batch]\nengines_per_node = 0\n")
    site.rank = None
    site.env = found | {"PATH": f"{found['PATH']}:{hosts.environment()['PATH']}"}
    hosts.write(0, Path(hosts.home, ".config/ipclusterz/profiles/slurm-qsub.toml"), documented("slurm-qsub"))
    return site


def test_engines_in_a_job_of_qsub(site: Site, hosts: VirtualHosts) -> None:
    with site.stopped_at_the_end():
        site.start(4, profile='[batch]\npartition = "debug"\ntime_limit = "00:10:00"\nmemory = "400M"\n')
        (job,) = slurm.live_jobs(hosts)
        number, name, state = job.split()
        assert (name, state) == (f"ipclusterz-{site.cluster}", "RUNNING")
        about = hosts.exec(0, "scontrol", "show", "job", "--oneliner", number)
        for part in ("NumNodes=1", "NumCPUs=4", "TimeLimit=00:10:00", "Requeue=0", "job-0.log"):
            assert part in about, about
        until(lambda: f"job {number} runs on n1/4" in site.launcher_log(), 20, site.launcher_log)
        with site.prompt() as prompt:
            assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
        assert site.ipclusterz("scale", "+1")["engines"] == 5
        until(lambda: len(slurm.live_jobs(hosts)) == 2, 20, lambda: f"{slurm.live_jobs(hosts)}\n{site.launcher_log()}")
        site.stop()
        until(lambda: not slurm.live_jobs(hosts), 20, lambda: str(slurm.live_jobs(hosts)))


def test_how_a_job_of_qsub_ended_is_told(site: Site, hosts: VirtualHosts) -> None:
    with site.stopped_at_the_end():
        with pytest.raises(CommandFailed) as caught:
            site.start(2, profile='[engines]\nwrap = ["sh", "-c", "echo nothing works here; exit 3"]\n')
        assert "ended (C), exit code 3" in caught.value.stderr
        assert "nothing works here" in caught.value.stderr
        with pytest.raises(CommandFailed) as caught:
            site.start(2, profile='[batch]\npartition = "debugs"\n')
        said = caught.value.stderr
        assert 'refuses batch.partition = "debugs": `qsub ' in said, said
        assert 'hint: did you mean "debug"? batch.partition may be: brief, closed, debug' in said, said
        with pytest.raises(CommandFailed, match=r"no job arrays|has no form of arrays"):
            site.start(2, profile="[batch]\narray = true\n")
    assert slurm.live_jobs(hosts) == []
