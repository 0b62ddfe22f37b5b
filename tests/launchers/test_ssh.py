"""What is special about SSH: clients that come through it, tunnels that drop, hosts' keys, ways that are closed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sites
import user
from helpers import until
from hosts import VirtualHosts
from prompt import PromptError
from sites import IPCLUSTERZ, CommandFailed, Site

from ipclusterz._core import cores

pytestmark = pytest.mark.timeout(120)

# Signs of life every second, so that a cut is noticed after three.
ALERT = "[ssh]\nkeep_alive = 1\nconnect_timeout = 2\n"
# What is said of it then.
SILENT = {"libssh2": "s without a sign of life", "openssh": "not responding"}


@pytest.fixture(params=["libssh2", "openssh"])
def backend(request: pytest.FixtureRequest) -> str:
    """What speaks SSH: for the launcher, for clients and for tunnels."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def site(backend: str, separate: VirtualHosts) -> Iterator[Site]:
    """Hosts that share nothing."""
    made = sites.ssh(separate, backend)
    with made.stopped_at_the_end():
        yield made


def afar(backend: str, **more: Any) -> dict[str, Any]:
    """Arguments of a client on n3, which has never heard of the cluster."""
    return {"login": 3, "sshserver": "root@head", "sshbackend": backend, **more}


def masters(hosts: VirtualHosts, index: int) -> list[str]:
    """Connections from a host that the system's ssh keeps."""
    return [line for line in hosts.processes(index).values() if line.startswith("ssh -F") and " -M " in line]


# -- clients through SSH ----------------------------------------------------------------------------------------


def test_a_client_on_another_host(site: Site, backend: str, separate: VirtualHosts) -> None:
    site.start(4)
    # Its key comes through SSH, with one forward.
    with site.prompt(**afar(backend)) as prompt:
        assert len(masters(separate, 3)) == (1 if backend == "openssh" else 0)
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
        assert prompt.do(user.scatter_and_gather) == (True, True)


def test_a_client_of_a_cluster_that_is_not_there(site: Site, backend: str) -> None:
    with pytest.raises(PromptError, match="there is no cluster"), site.prompt(**afar(backend)):
        pass


def test_a_dropped_tunnel_comes_back_with_the_result(site: Site, backend: str, separate: VirtualHosts) -> None:
    site.start(4)
    with site.prompt(**afar(backend)) as prompt:
        prompt.do(user.begin_to_sleep, 1, 6)
        sessions = [pid for pid, line in separate.processes(0).items() if line.startswith("sshd: root")]
        assert sessions
        for pid in sessions:
            os.kill(pid, signal.SIGKILL)
        assert prompt.do(user.how_it_ended, 60) == 17
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)


def test_a_cut_cable_is_survived(site: Site, backend: str, separate: VirtualHosts) -> None:
    site.start(4, profile="[engines]\nlease = 60\n")
    with site.prompt(**afar(backend)) as prompt:
        # The result is there while nobody can reach the client.
        prompt.do(user.begin_to_sleep, 1, 2)
        separate.cut(3)
        until(lambda: site.engines()[1]["state"] == "idle", 20)
        separate.mend(3)
        assert prompt.do(user.how_it_ended, 60) == 17


@contextlib.contextmanager
def tunnel_on_n3(site: Site, backend: str, *options: str | Path) -> Iterator[Path]:
    """`ipclusterz tunnel` in a terminal of n3, where the cluster is called `there`; the file has what it says."""
    command = [IPCLUSTERZ, "tunnel", "root@head", "--cluster", site.cluster, "--as", "there", "--json"]
    command += ["--backend", backend, *options]
    said = site.hosts.folder / "tunnel-said"
    with said.open("w") as stderr, site.hosts.popen(3, command, stdout=subprocess.PIPE, stderr=stderr) as tunnel:
        assert tunnel.stdout is not None
        try:
            assert json.loads(tunnel.stdout.readline())["version"] == 1, said.read_text()
            assert len(masters(site.hosts, 3)) == (1 if backend == "openssh" else 0)
            yield said
        finally:
            # The tunnel itself, not what entered the host: it is to end in order.
            for pid, line in site.hosts.processes(3).items():
                if line.startswith(str(IPCLUSTERZ)):
                    os.kill(pid, signal.SIGTERM)
    until(lambda: not site.hosts.processes(3), 10, lambda: str(site.hosts.processes(3)))


def test_a_tunnel_for_other_programs(site: Site, backend: str) -> None:
    site.start(2)
    with tunnel_on_n3(site, backend), site.prompt(login=3, cluster="there") as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(2), 42)


# -- signs of life ----------------------------------------------------------------------------------------------


def test_a_tunnel_that_falls_silent_is_noticed_and_comes_back(site: Site, backend: str, separate: VirtualHosts) -> None:
    site.start(2)
    # The cut closes no connection: that there is nobody is noticed by the signs of life that are not answered.
    quick = ["--set", "ssh.keep_alive=1", "--set", "ssh.connect_timeout=2"]
    with tunnel_on_n3(site, backend, *quick) as said, site.prompt(login=3, cluster="there") as prompt:
        prompt.do(user.begin_to_sleep, 1, 2)
        separate.cut(3)
        until(lambda: "the connection to root@head is lost: " in said.read_text(), 20, said.read_text)
        lost = said.read_text()
        assert SILENT[backend] in lost, lost
        assert len(lost.splitlines()[0]) < 160, lost
        until(lambda: site.engines()[1]["state"] == "idle", 20)
        separate.mend(3)
        assert prompt.do(user.how_it_ended, 60) == 17
        until(lambda: "connected to root@head again" in said.read_text(), 20, said.read_text)
        assert prompt.do(user.answers) == dict.fromkeys(range(2), 42)


def test_a_host_of_engines_that_falls_silent_is_noticed_and_comes_back(
    site: Site, backend: str, separate: VirtualHosts
) -> None:
    def sessions() -> set[int]:
        return {pid for pid, line in separate.processes(2).items() if line.startswith("sshd: root")}

    site.start(4, profile=ALERT)
    separate.cut(2)
    # One that was about to end may still do so.
    before = sessions()
    until(lambda: "the connection to n2 is lost: " in site.launcher_log(), 30, site.launcher_log)
    said = next(line for line in site.launcher_log().splitlines() if "the connection to n2 is lost: " in line)
    assert SILENT[backend] in said, said
    assert len(said) < 200, said
    assert before & sessions()
    separate.mend(2)
    until(lambda: sessions() - before, 30, site.launcher_log)
    # The other host has noticed nothing.
    assert "the connection to n1 is lost" not in site.launcher_log()
    assert {0, 1} <= set(site.engines())


@pytest.mark.parametrize("backend", ["libssh2"], indirect=True)
def test_engines_behind_a_dead_network_have_lost_nothing_when_it_is_back(site: Site, separate: VirtualHosts) -> None:
    site.start(4, profile="[controller]\nengine_grace = 1\n")
    with site.prompt() as prompt:
        pids = {engine: pid for engine, (pid, _, _) in prompt.do(user.describe).items()}
        prompt.do(user.leave_something)
        separate.cut(2)
        until(lambda: {engine["state"] for engine in site.engines().values()} >= {"away"}, 20)
        # Much longer than one is waited for whose process has ended.
        until(lambda: site.engines()[3].get("absence", {"seconds": 0})["seconds"] > 4, 20)
        shown = site.hosts.exec(0, IPCLUSTERZ, "status", site.cluster)
        assert "engine 3 has had no connection for" in shown, shown
        said, other = prompt.do(user.what_waits)
        assert "engine 3" in said, said
        assert "nothing is heard of it; it is waited for" in said, said
        assert other == 1
        separate.mend(2)
        assert prompt.do(user.what_came) == (pids[3], [0, 10, 20, 30], "x", [0, 1, 2, 3])
        # Its kernel says that a process has ended, and that is known at once.
        separate.exec(2, "kill", "-KILL", str(pids[3]))
        assert prompt.do(user.wait_for_ids, [0, 1, 2], 6) == [0, 1, 2]


# -- hosts that share a home --------------------------------------------------------------------------------------


@pytest.fixture
def at_home(backend: str, hosts: VirtualHosts) -> Iterator[Site]:
    """Hosts with one home folder."""
    made = sites.ssh(hosts, backend)
    with made.stopped_at_the_end():
        yield made


def runs(hosts: VirtualHosts) -> list[str]:
    """What runs of clusters have in the home folder."""
    return sorted(path.name for path in (hosts.home / ".local/state/ipclusterz/hosts").glob("*/*"))


def test_a_host_that_is_cut_ends_its_session_whatever_others_do(at_home: Site, hosts: VirtualHosts) -> None:
    def of(host: int, name: str) -> list[int]:
        return [pid for pid, line in hosts.processes(host).items() if name in line]

    at_home.start(4, profile="[engines]\nlease = 4\n")
    assert runs(hosts) == ["0-n1", "1-n2"]
    assert of(2, "sshd: root")
    hosts.cut(2)
    until(lambda: not of(2, "ipclusterz.engine"), 45, lambda: str(hosts.processes(2)))
    until(lambda: not of(2, "sshd: root"), 10, lambda: str(hosts.processes(2)))
    # The others have noticed nothing, and their session goes on.
    assert len(of(1, "ipclusterz.engine")) >= 2
    assert of(1, "sshd: root")
    assert {0, 1} <= set(at_home.engines())
    hosts.mend(2)
    at_home.stop()
    assert not runs(hosts)


def test_each_host_has_the_way_back_of_its_own_connection(at_home: Site, hosts: VirtualHosts) -> None:
    hosts.wall(1)
    hosts.wall(2)
    at_home.start(4, profile="[ssh]\nreverse = true\n")
    with at_home.prompt() as prompt:
        assert [host for _, host, _ in prompt.do(user.describe).values()] == ["n1", "n1", "n2", "n2"]
        assert prompt.do(user.scatter_and_gather) == (True, True)


# -- hosts' keys ------------------------------------------------------------------------------------------------


def test_an_unknown_host_is_refused_with_its_fingerprint(site: Site, separate: VirtualHosts) -> None:
    separate.write(0, separate.home / "known_hosts", "")
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile=f'[ssh]\nknown_hosts = ["{separate.home}/known_hosts"]\n')
    shown = separate.exec(0, "ssh-keygen", "-l", "-f", separate.folder / "etc/hostkey.n1.pub").split()[1]
    assert shown in caught.value.stderr
    assert "n1" in caught.value.stderr


def test_a_host_with_another_key_is_refused(site: Site, separate: VirtualHosts) -> None:
    wrong = separate.exec(0, "cat", separate.folder / "etc/hostkey.n2.pub")
    separate.write(0, separate.home / "known_hosts", f"n1,{separate.address(1)} {wrong}")
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile=f'[ssh]\nknown_hosts = ["{separate.home}/known_hosts"]\n')
    assert "n1" in caught.value.stderr
    assert "has changed" in caught.value.stderr.lower()


def test_a_host_that_does_not_answer(site: Site, separate: VirtualHosts) -> None:
    separate.cut(2)
    with pytest.raises(CommandFailed) as caught:
        site.start(4, profile="[ssh]\nconnect_timeout = 3\n")
    assert "n2" in caught.value.stderr
    # With fewer the start is good, and the others join when their host answers.
    started = site.start(4, "--min", "2", profile="[ssh]\nconnect_timeout = 3\n")
    assert [engine["host"] for engine in started["engines"]] == ["n1", "n1"]
    until(lambda: "n2" in str([found["said"] for found in site.status()["progress"]["sets"]]), 20, site.launcher_log)
    shown = site.run(IPCLUSTERZ, "status", "--cluster", site.cluster).stdout
    assert "2 of 4 wanted engines are not there yet" in shown
    separate.mend(2)
    assert len(site.ipclusterz("wait", "-n", "4", "--timeout", "60")["engines"]) == 4


# -- what checks find --------------------------------------------------------------------------------------------


def test_a_profile_is_checked_on_its_hosts(site: Site) -> None:
    status, found = site.checks("profile", "check", site.write_profile())
    assert status == 0, found
    assert {name for name, it in found.items() if it["level"] == "ok"} == {
        "resolve", "host n1", "host n2", "host n3", "python on n1", "python on n2", "python on n3",
    }  # fmt: skip


def test_a_python_that_a_host_does_not_have_is_named(site: Site) -> None:
    hosts = '[{ host = "n1", engines = 2 }, { host = "n2", engines = 2, python = "/no/such/python" }]'
    profile = site.write_profile(f"[ssh]\nhosts = {hosts}\n")
    for command in (["profile", "check", profile], ["doctor", "--profile", profile]):
        status, found = site.checks(*command)
        assert status == 1, found
        assert found["host n2"]["level"] == "ok"
        assert found["python on n1"]["level"] == "ok"
        assert found["python on n2"]["level"] == "failed"
        assert "/no/such/python" in found["python on n2"]["message"]


def test_a_cluster_elsewhere_is_checked_there(site: Site, separate: VirtualHosts) -> None:
    before = separate.run(3, ["find", separate.home]).stdout
    # Not there on this host, where nothing of it would be run.
    only_there = f"{separate.home}/python"
    separate.write(3, Path(only_there), f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    separate.exec(3, "chmod", "+x", only_there)
    profile = site.write_profile('[engines]\nlauncher = "local"\n[ssh]\nhosts = []\ncontroller = "n3"\n')
    status, found = site.checks("profile", "check", profile)
    assert status == 0, found
    assert {name for name, it in found.items() if it["level"] == "ok"} == {
        "resolve", "host n3", "ipclusterz on n3", "n3: resolve", "n3: python",
    }  # fmt: skip
    status, found = site.checks("profile", "check", profile, "--set", f"engines.python={only_there}")
    assert (status, only_there in found["n3: python"]["message"]) == (0, True), found
    status, found = site.checks("doctor", "--profile", profile, "--set", "engines.python=/no/such/python")
    assert status == 1, found
    assert found["n3: python"]["level"] == "failed"
    assert "n3: /dev/shm" in found
    assert not any("python" in name for name in found if not name.startswith("n3: "))
    separate.exec(3, "rm", only_there)
    left = set(separate.run(3, ["find", separate.home]).stdout.splitlines()) - set(before.splitlines())
    assert not [path for path in left if "profile.toml" in path or "lease" in path], left


def test_a_cluster_elsewhere_without_the_program(site: Site, separate: VirtualHosts) -> None:
    separate.cut(3)
    profile = site.write_profile('[ssh]\ncontroller = "n3"\nconnect_timeout = 3\n')
    status, found = site.checks("profile", "check", profile)
    separate.mend(3)
    assert status == 1, found
    assert found["host n3"]["level"] == "failed"
    assert found["n3: python"]["level"] == "skipped"


# -- more engines than there is room for -------------------------------------------------------------------------


def test_scaling_beyond_the_room_of_the_hosts_is_refused_at_once(site: Site) -> None:
    site.start(2, profile='[ssh]\nhosts = [{ host = "n1", engines = 2 }]\n')
    with pytest.raises(CommandFailed) as caught:
        site.ipclusterz("scale", "+1")
    assert caught.value.status == 2
    assert "3 engines, and there is room for 2: n1 (2)" in caught.value.stderr
    assert "hint: add a host to ssh.hosts" in caught.value.stderr
    status = site.status()
    assert (status["engines_wanted"], len(status["controller"]["engines"])) == (2, 2)


def test_scaling_ends_when_the_new_engine_has_died(site: Site) -> None:
    hosts = '[{ host = "n1", engines = 1 }, { host = "n2", engines = 1, python = "/no/such/python" }]'
    site.start(1, profile=f"[ssh]\nhosts = {hosts}\n")
    with pytest.raises(CommandFailed) as caught:
        site.ipclusterz("scale", "+1")
    assert caught.value.status == 5
    assert "has 1 engines, and is to have 1, not 2 any more: engine 1 could not be started: " in caught.value.stderr
    assert "engine 1 could not be started: /no/such/python on n2 has ended at once" in site.status()["progress"]["lost"]


def test_engines_of_a_host_are_forked(site: Site, separate: VirtualHosts) -> None:
    site.start(4, profile='[engines]\npreload = ["wave"]\nrestart = true\n')
    engines = site.engines()
    parents = {}
    for engine, about in engines.items():
        where = separate.names.index(about["host"])
        [parent, *line] = separate.exec(where, "ps", "-o", "ppid=", "-o", "args=", "-p", str(about["pid"])).split()
        assert f"--engine-id {engine}" in " ".join(line)
        assert "--fork-ids" in separate.exec(where, "ps", "-o", "args=", "-p", parent)
        parents[engine] = (about["host"], parent)
    assert len(set(parents.values())) <= 4
    separate.exec(separate.names.index(engines[0]["host"]), "kill", "-SEGV", str(engines[0]["pid"]))
    until(lambda: "engine 0 has died: signal: 11 (SIGSEGV) on n1" in site.launcher_log(), 20, site.launcher_log)
    until(lambda: site.engines().get(0, engines[0])["pid"] != engines[0]["pid"], 30, site.launcher_log)
    assert site.engines()[1]["pid"] == engines[1]["pid"]


def agents(hosts: VirtualHosts, index: int) -> list[int]:
    """The agents that run on a host."""
    return [pid for pid, line in hosts.processes(index).items() if line.startswith("ipclusterz agent")]


def test_engines_of_a_host_share_its_agent(site: Site, separate: VirtualHosts) -> None:
    places = ", ".join(f'{{ host = "{name}", engines = 2 }}' for name in ("n1", "n2"))
    site.start(4, profile=f"[engines]\nrestart = true\n[ssh]\nhosts = [{places}]\n")
    assert [len(agents(separate, index)) for index in range(4)] == [0, 1, 1, 0]
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
        before = {engine: about["pid"] for engine, about in site.engines().items()}
        # Engines that are started later join it.
        separate.exec(1, "kill", "-SEGV", str(before[0]))
        until(lambda: site.engines().get(0, {"pid": before[0]})["pid"] != before[0], 30, site.launcher_log)
        assert len(agents(separate, 1)) == 1
        # Without it they go on, and what is started later has another one.
        [agent] = agents(separate, 2)
        os.kill(agent, signal.SIGKILL)
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
        assert site.engines()[2]["pid"] == before[2]
        separate.exec(2, "kill", "-SEGV", str(before[3]))
        until(lambda: len(agents(separate, 2)) == 1 and agents(separate, 2) != [agent], 30, site.launcher_log)
        until(lambda: site.engines().get(3, {"pid": before[3]})["pid"] != before[3], 30, site.launcher_log)
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
    site.stop()
    until(lambda: not [agents(separate, index) for index in (1, 2) if agents(separate, index)], 20)
    left = separate.exec(2, "sh", "-c", "ls -d /dev/shm/ipclusterz-* /tmp/ipclusterz-*/agent-* 2>/dev/null; true")
    assert left == "", left


def test_a_module_that_a_host_does_not_have_is_named(site: Site) -> None:
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile='[engines]\npreload = ["wave", "nosuchmodule"]\n')
    said = caught.value.stderr
    assert "engines.preload: nosuchmodule cannot be imported: ModuleNotFoundError: No module" in said, said
    assert "(on n1)" in said, said
    assert "Traceback (most recent call last):" in said, said


# -- ways that are closed ---------------------------------------------------------------------------------------


def test_engines_that_cannot_reach_the_controller_say_what_they_tried(site: Site, separate: VirtualHosts) -> None:
    separate.wall(1)
    advertised = f'[controller]\nadvertise = ["{separate.address(0)}", "127.0.0.1"]\n'
    with pytest.raises(CommandFailed) as caught:
        site.start(2, "--timeout", "10", profile=advertised)
    # Each address, with what happened there: nothing at the one, and at the other nobody.
    said = caught.value.stderr
    assert "none of 2 addresses answers: " in said, said
    reasons = {separate.address(0): "timed out", "127.0.0.1": "connection refused: nobody listens there"}
    for address, reason in reasons.items():
        assert re.search(rf"tcp://{re.escape(address)}:\d+:? [^;]*{reason}", said), said


def test_a_reverse_forward_is_one_line_of_the_profile(site: Site, separate: VirtualHosts) -> None:
    separate.wall(1)
    separate.wall(2)
    site.start(4, profile="[ssh]\nreverse = true\n")
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
        assert prompt.do(user.scatter_and_gather) == (True, True)


@contextlib.contextmanager
def overheard(hosts: VirtualHosts, index: int, marker: bytes) -> Iterator[dict[str, list[int]]]:
    """What passes a host's devices meanwhile: bytes of packets, and how often the marker is in them."""
    heard: dict[str, list[int]] = {}
    script = str(Path(__file__).with_name("sniffer.py"))
    with hosts.popen(
        index, [sys.executable, script, marker.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as sniffer:
        assert sniffer.stdout is not None
        assert sniffer.stdout.readline() == "ready\n"
        yield heard
        heard.update(json.loads(sniffer.communicate(timeout=30)[0]))


@pytest.mark.parametrize("twice", [False, True])
def test_what_goes_back_through_ssh_is_encrypted_once_unless_it_is_to_be_twice(
    site: Site, separate: VirtualHosts, twice: bool
) -> None:
    # What is compressed has no words in it.
    wish = f"[controller]\ncompress = false\nencrypt_tunnels = {str(twice).lower()}\n"
    site.start(2, profile=f"[ssh]\nreverse = true\n{wish}")
    marker = b"these words are for both ends alone"
    with site.prompt() as prompt, overheard(separate, 0, marker) as on_head, overheard(separate, 1, marker) as on_n1:
        assert prompt.do(user.echoes, marker * 100_000) == 2
    for heard in (on_head, on_n1):
        bytes_within, marks_within = heard.pop("lo")
        assert bytes_within > 4 * len(marker) * 100_000 if twice else marks_within > 100_000, heard
        assert not twice or marks_within == 0
        assert max((count for count, _ in heard.values()), default=0) > 4 * len(marker) * 100_000, heard
        assert all(marks == 0 for _, marks in heard.values()), "on the network all is encrypted"


def test_a_tunnel_that_ends_on_a_third_host_is_encrypted_from_end_to_end(
    at_home: Site, backend: str, hosts: VirtualHosts
) -> None:
    at_home.start(2, profile="[controller]\ncompress = false\n")
    marker = b"these words are for both ends alone"
    # n2 knows of the cluster by the home folder. SSH ends there, and bytes go on to the controller's host.
    with (
        at_home.prompt(login=3, sshserver="root@n2", sshbackend=backend) as prompt,
        overheard(hosts, 2, marker) as on_n2,
    ):
        assert prompt.do(user.echoes, marker * 100_000) == 2
    assert sum(count for count, _ in on_n2.values()) > 4 * len(marker) * 100_000, on_n2
    assert all(marks == 0 for _, marks in on_n2.values()), on_n2


def test_a_reverse_forward_goes_through_a_login_host(site: Site, separate: VirtualHosts) -> None:
    # n2 is reached by way of n1 alone, and reaches nobody.
    separate.wall(2)
    separate.write(0, separate.home / ".ssh/config", f"Host far\n HostName {separate.address(2)}\n ProxyJump n1\n")
    try:
        site.start(2, profile='[ssh]\nhosts = [{ host = "far", engines = 2 }]\nreverse = true\n')
        with site.prompt() as prompt:
            assert [host for _, host, _ in prompt.do(user.describe).values()] == ["n2", "n2"]
            assert prompt.do(user.scatter_and_gather) == (True, True)
    finally:
        separate.exec(0, "rm", separate.home / ".ssh/config")


def test_a_host_behind_another(site: Site, separate: VirtualHosts) -> None:
    separate.write(0, separate.home / ".ssh/config", f"Host far\n HostName {separate.address(2)}\n ProxyJump n1\n")
    try:
        site.start(2, profile='[ssh]\nhosts = [{ host = "far", engines = 2 }]\n')
        with site.prompt() as prompt:
            assert [host for _, host, _ in prompt.do(user.describe).values()] == ["n2", "n2"]
    finally:
        separate.exec(0, "rm", separate.home / ".ssh/config")


# -- the whole cluster elsewhere --------------------------------------------------------------------------------


def left_on(hosts: VirtualHosts) -> dict[str, dict[int, str]]:
    """Processes of each host that has any."""
    found = {name: hosts.processes(index) for index, name in enumerate(hosts.names)}
    return {name: processes for name, processes in found.items() if processes}


def gc_succeeds(site: Site) -> bool:
    try:
        site.ipclusterz("gc")
    except CommandFailed:
        return False
    return True


def test_a_controller_on_another_host(site: Site, separate: VirtualHosts) -> None:
    report = site.start(4, profile='[ssh]\ncontroller = "n3"\n')
    assert any("ipclusterz controller" in line for line in separate.processes(3).values())
    assert not any("ipclusterz controller" in line for line in separate.processes(0).values())
    assert report["host"] == "n3"
    # Here it is a cluster like any other; on its host too.
    with site.prompt() as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
    with site.prompt(sshserver="root@n3") as prompt:
        assert prompt.do(user.answers) == dict.fromkeys(range(4), 42)
    assert set(site.engines()) == {0, 1, 2, 3}
    assert [found["state"] for found in site.ipclusterz("list")["clusters"]] == ["running"]
    progress = site.status()["progress"]
    assert (progress["wanted"], {found["state"] for found in progress["sets"]}) == (4, {"running"})
    scaled = site.ipclusterz("scale", "+1")
    assert (scaled["before"], scaled["wanted"], scaled["engines"]) == (4, 5, 5)
    before = site.engines()
    assert site.ipclusterz("restart", "--engine", "1", "--engine", "3")["engines"] == [1, 3]
    assert [engine for engine, about in site.engines().items() if about["pid"] != before[engine]["pid"]] == [1, 3]
    assert site.ipclusterz("restart")["engines"] == [0, 1, 2, 3, 4]
    with pytest.raises(CommandFailed, match="engine 9: not started by this cluster's launcher"):
        site.ipclusterz("restart", "--engine", "9")
    assert site.stop()["stopped"][0]["forced"] is False
    until(lambda: not left_on(separate), 20, lambda: str(left_on(separate)))


def test_a_host_with_the_whole_cluster_finds_out_how_many_engines(site: Site) -> None:
    profile = site.write_profile('[engines]\nlauncher = "local"\n[ssh]\nhosts = []\ncontroller = "n3"\n')
    report = site.ipclusterz("start", "--profile", profile, "--daemonize")
    assert [engine["host"] for engine in report["engines"]] == ["n3"] * cores()
    assert site.status()["engines_wanted"] == cores()


def test_a_controller_elsewhere_that_is_killed_is_started_again(site: Site, separate: VirtualHosts) -> None:
    site.start(2, profile='[ssh]\ncontroller = "n3"\n')
    before = site.controller_pid()
    with site.prompt() as prompt:
        separate.exec(3, "kill", "-KILL", str(before))
        until(lambda: site.controller_pid() != before, 30)
        until(lambda: list(site.engines()) == [0, 1], 30)
        assert prompt.do(user.answers) == {0: 42, 1: 42}
    assert site.ipclusterz("scale", "+1")["engines"] == 3
    assert site.status()["state"] == "running"
    site.stop()


def test_a_controller_elsewhere_that_a_client_shuts_down(site: Site, separate: VirtualHosts) -> None:
    site.start(2, profile='[ssh]\ncontroller = "n3"\n')
    with site.prompt() as prompt:
        prompt.do(user.shut_down)
    until(lambda: not left_on(separate), 20, lambda: str(left_on(separate)))
    assert site.ipclusterz("list")["clusters"] == []


def test_a_controller_elsewhere_fails_as_one_here(site: Site, separate: VirtualHosts) -> None:
    profile = '[ssh]\ncontroller = "n3"\n[engines]\nsetup = ["exit 7"]\n'
    with pytest.raises(CommandFailed) as caught:
        site.start(2, profile=profile)
    assert "on n3: " in caught.value.stderr
    assert caught.value.status == 5


@pytest.mark.parametrize("cut", [False, True], ids=["killed", "killed-and-cut-off"])
def test_a_cluster_elsewhere_is_no_orphan(site: Site, separate: VirtualHosts, cut: bool) -> None:
    report = site.start(2, profile='[ssh]\ncontroller = "n3"\n[engines]\nlease = 3\n')
    if cut:
        # Not even the guard comes through.
        separate.cut(0)
    site.hosts.exec(site.login, "kill", "-KILL", str(report["launcher_pid"]))
    elsewhere = [1, 2, 3]
    until(lambda: not any(map(separate.processes, elsewhere)), 40, lambda: str(left_on(separate)))
    separate.mend(0)
    # The way is there again after a moment, and until then gc says that something is left.
    until(lambda: gc_succeeds(site), 40, lambda: str(left_on(separate)))
    until(lambda: not left_on(separate), 40, lambda: str(left_on(separate)))
    assert site.ipclusterz("list")["clusters"] == []


def test_large_data_over_a_slow_way(site: Site, separate: VirtualHosts) -> None:
    site.start(4)
    with site.prompt() as prompt:
        before = prompt.do(user.describe)
        separate.limit(0, "50mbit")
        # Longer than a silence that ends a connection.
        sent, came_back, seconds = prompt.do(user.large_data, 20 << 20, timeout=100)
        assert (sent, came_back) == (True, True)
        assert seconds > 10, "the way was not slow"
        assert prompt.do(user.describe) == before


def test_a_lossy_and_slow_way(site: Site, separate: VirtualHosts) -> None:
    separate.limit(1, "20mbit")
    separate.lossy(2, 5)
    site.start(4)
    with site.prompt() as prompt:
        assert prompt.do(user.scatter_and_gather, timeout=60) == (True, True)
