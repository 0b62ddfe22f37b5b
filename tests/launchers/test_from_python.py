"""`Cluster` with a profile, and clients in its tasks: on hosts of a queue, with one home, and of SSH, with many."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sites
import slurm
from helpers import until
from hosts import VirtualHosts
from sites import Site

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=[pytest.param("slurm", id="slurm"), pytest.param("ssh", id="ssh-libssh2")])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Hosts with no cluster on them; and none afterwards."""
    if request.param == "slurm":
        made = sites.batch(request.getfixturevalue("hosts"))
    else:
        made = sites.ssh(request.getfixturevalue("separate"), "libssh2")
    with made.stopped_at_the_end():
        yield made


def program(site: Site, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the programs below at the login place; it is given the cluster's name and what else it needs."""
    file = site.hosts.home / f"{name}.py"
    site.hosts.write(site.login, file, PROGRAMS[name])
    done: subprocess.CompletedProcess[str] = site.run(sys.executable, file, site.cluster, *arguments)
    return done


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


PROGRAMS = {
    # Starts, looks at what the engines have, and what clients in their tasks find.
    "start": """
import json, os, sys
import ipclusterz as ipz


def nested():
    try:
        with ipz.worker_client() as client:
            return client[None].map_sync(abs, range(-3, 0)), client.cluster.name
    except ipz.ConnectionFileError as error:
        return str(error)


if __name__ == "__main__":
    name, profile = sys.argv[1:]
    with ipz.Cluster(4, cluster=name, profile=profile, env={"SAID": "a b'c"}, engines={"lease": 30}) as rc:
        view = rc[:]
        print(json.dumps({
            "hosts": view.apply_sync(lambda: __import__("socket").gethostname()),
            "said": view.apply_sync(os.getenv, "SAID"),
            "nested": view.apply_sync(nested),
        }))
""",
    # Gives a start up, as with Ctrl-C, when it is shown why the job waits.
    "wait": """
import _thread, sys
import ipclusterz as ipz


class Shown:
    text = ""

    def write(self, text):
        self.text += text
        if "partition is down" in self.text:
            _thread.interrupt_main()

    def flush(self):
        pass


shown, sys.stderr = sys.stderr, Shown()
cluster = ipz.Cluster(4, cluster=sys.argv[1], profile=sys.argv[2], partition="closed")
try:
    cluster.start()
except KeyboardInterrupt:
    sys.stderr, text = shown, sys.stderr.text
    print(text, cluster)
""",
    # What is wrong with settings.
    "wrong": """
import json, sys
import ipclusterz as ipz

wrong = {}
for settings in ({"partition": "nonsense"}, {"time_limit": "1:x"}, {"batch": {"nodes": -1}}, {"partitoin": "debug"}):
    try:
        ipz.Cluster(4, cluster=sys.argv[1], profile=sys.argv[2], **settings).start()
    except ipz.ClusterError as error:
        wrong[str(settings)] = str(error)
print(json.dumps(wrong))
""",
}


def test_a_cluster_from_start_to_end(site: Site) -> None:
    found = told(program(site, "start", str(site.write_profile())))
    assert len(found["hosts"]) == 4
    if site.places:
        assert list(found["hosts"].values()) == site.places
    assert set(found["said"].values()) == {"a b'c"}
    for answer in found["nested"].values():
        if site.places:
            assert "has no key for clients of it on its host" in answer
            assert f"cluster '{site.cluster}'" in answer
        else:
            assert answer == [[3, 2, 1], site.cluster]
    assert site.remains() == []


def test_a_start_that_waits_is_shown_and_given_up(hosts: VirtualHosts) -> None:
    site = sites.batch(hosts)
    with site.stopped_at_the_end():
        done = program(site, "wait", str(site.write_profile()))
        assert done.returncode == 0, done.stderr
        assert "the partition is down" in done.stdout
        assert "not running" in done.stdout
        until(lambda: not slurm.live_jobs(hosts), 20, lambda: str(slurm.live_jobs(hosts)))


def test_settings_that_are_wrong(hosts: VirtualHosts) -> None:
    site = sites.batch(hosts)
    with site.stopped_at_the_end():
        wrong = list(told(program(site, "wrong", str(site.write_profile()))).values())
    assert "invalid partition" in wrong[0].lower()
    assert '`batch.time_limit`: "1:x" is not a time limit' in wrong[1]
    assert "`batch.nodes`: " in wrong[2]
    assert "unknown key `partitoin`" in wrong[3]
    assert slurm.live_jobs(hosts) == []
