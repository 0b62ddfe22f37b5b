"""What another local user can do in places that are shared: /tmp, /dev/shm, folders and files with the wrong mode.

Nothing of his may be run, believed or removed as the user's own. Each attack is made on a stage (`stage.py`), by a user
against another one.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import until
from stage import ANNA, BIN, MALLORY, Stage

IPCLUSTERZ = str(BIN / "ipclusterz")
BASE = f"/tmp/ipclusterz-{ANNA}"

# Listens where a controller and a launcher would, and prints how many bytes each connection sent.
LISTENER = """
import os, select, socket, sys
def listener(path):
    made = socket.socket(socket.AF_UNIX)
    made.bind(path)
    os.chmod(path, 0o777)
    made.listen()
    return made
listeners = [listener(path) for path in sys.argv[1:]]
print("ready", flush=True)
count = 0
while sys.stdin not in (ready := select.select([sys.stdin, *listeners], [], [])[0]):
    for one in ready:
        peer, _ = one.accept()
        peer.settimeout(0.5)
        try:
            count += len(peer.recv(1000))
        except OSError:
            pass
        peer.close()
print(count)
"""
CLIENT = """
import sys, ipclusterz
try:
    ipclusterz.Client(sys.argv[1], timeout=5)
except ipclusterz.IpclusterzError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as stage:
        yield stage


@pytest.fixture
def cluster(stage: Stage) -> Iterator[dict[str, Any]]:
    """What `cluster.json` says of a cluster of Anna's."""
    words = ("prlimit", "--core=4096:4096", IPCLUSTERZ, "-n", "1", "--daemonize", "--timeout", "40")
    started = stage.run(ANNA, *words)
    assert started.returncode == 0, started.stderr
    yield json.loads(stage.shell(ANNA, "cat .local/state/ipclusterz/clusters/default/cluster.json"))
    stage.run(ANNA, IPCLUSTERZ, "stop")


CONNECTION_FILE = "/home/anna/.local/state/ipclusterz/clusters/default/client.json"
ENGINE_FILE = CONNECTION_FILE.replace("client", "engine")


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It failed with these words."""
    assert done.returncode not in (0, -9), done
    assert all(word in done.stderr for word in words), (words, done)


MADE_BEFORE = {
    "mode 777": f"mkdir -m 777 {BASE}",
    "mode 755": f"mkdir -m 755 {BASE}",
    "link to a folder of his": f"mkdir -m 777 /tmp/his && ln -s his {BASE}",
    "link to a folder of hers": f"ln -s /home/anna {BASE}",
    "file": f"touch {BASE}",
}


@pytest.mark.parametrize("kind", MADE_BEFORE)
def test_a_base_of_sockets_that_another_user_has_made_is_refused(stage: Stage, kind: str, faults: Any) -> None:
    stage.shell(MALLORY, MADE_BEFORE[kind])
    start = stage.run(ANNA, IPCLUSTERZ, "-n", "1", "--timeout", "30")
    refused(start, BASE, "set XDG_RUNTIME_DIR to a folder of yours")
    doctor = json.loads(stage.run(ANNA, IPCLUSTERZ, "doctor", "--json").stdout)
    found = next(check for check in doctor["checks"] if check["check"] == "runtime folder")
    assert found["level"] == "failed", found
    assert BASE in found["message"], found
    assert stage.shell(ANNA, "ls .local/state/ipclusterz/clusters").split() in ([], ["default"])
    faults.survived("strangers", f"/tmp/ipclusterz-UID made before: {kind}", 1, "start refused with the fix")


def test_nobody_is_believed_at_a_base_that_was_replaced(stage: Stage, cluster: dict[str, Any], faults: Any) -> None:
    """As when a cleaner of /tmp has removed the folder of an old cluster, and another user makes it anew."""
    assert stage.python(ANNA, CLIENT, CONNECTION_FILE).returncode == 0
    tried = stage.run(MALLORY, "mv", BASE, "/tmp/moved")
    assert tried.returncode != 0, "/tmp is not sticky"
    stage.shell(0, f"mv {BASE} /tmp/kept")
    sockets = [f"{cluster['socket_dir']}/{name}.sock" for name in ("controller", "launcher")]
    for mode in ("777", "700"):
        stage.shell(MALLORY, f"mkdir -m 777 {BASE}; mkdir -m {mode} {cluster['socket_dir']}")
        listener = stage.start(MALLORY, str(BIN / "python"), "-c", LISTENER, *sockets)
        engine = (str(BIN / "python"), "-P", "-m", "ipclusterz.engine", "--connection-file", ENGINE_FILE)
        attempts = {
            "client": stage.python(ANNA, CLIENT, CONNECTION_FILE),
            "engine": stage.run(ANNA, *engine),
            "scale": stage.run(ANNA, IPCLUSTERZ, "scale", "+1"),
            "abort": stage.run(ANNA, IPCLUSTERZ, "abort"),
        }
        count, _ = listener.communicate("\n")
        for done in attempts.values():
            refused(done, BASE, "belongs to user nobody (65534)")
        assert count == "0\n", "he was told something"
        faults.survived("strangers", f"sockets of another user, folder of mode {mode}", len(attempts), "not believed")
        stage.shell(MALLORY, f"rm -r {BASE}")
    stage.shell(0, f"mv /tmp/kept {BASE}")
    assert stage.python(ANNA, CLIENT, CONNECTION_FILE).returncode == 0
    assert stage.run(ANNA, IPCLUSTERZ, "stop").returncode == 0


def test_nothing_of_hers_is_removed_through_what_another_user_made(
    stage: Stage, cluster: dict[str, Any], faults: Any
) -> None:
    processes = [psutil.Process(cluster[name]["pid"]) for name in ("launcher", "controller")]
    for process in processes:
        process.kill()
    stage.shell(ANNA, "mkdir precious; touch precious/file")
    stage.shell(0, f"rm -r {BASE} {cluster['shared_memory_dir']}")
    places = (cluster["socket_dir"], cluster["shared_memory_dir"])
    links = "; ".join(f"ln -s /home/anna/precious {place}" for place in places)
    stage.shell(MALLORY, f"mkdir -m 777 {BASE}; {links}; ln -s /home/anna/precious {BASE}/x; touch {BASE}/x.owner")
    gone = until(lambda: stage.run(ANNA, IPCLUSTERZ, "gc"), 30)
    assert gone.returncode == 0, gone.stderr
    assert stage.shell(ANNA, "ls precious") == "file\n"
    # The guard may have been at it already.
    until(lambda: json.loads(stage.run(ANNA, IPCLUSTERZ, "list", "--json").stdout)["clusters"] == [], 30)
    assert stage.shell(ANNA, "ls precious") == "file\n"
    faults.survived("strangers", "links where a dead cluster had its folders", 3, "gc follows none")


def test_segments_of_another_user_are_not_mapped(stage: Stage, cluster: dict[str, Any], faults: Any) -> None:
    place = cluster["shared_memory_dir"]
    stage.shell(0, f"mv {place} /dev/shm/kept")
    for mode in ("777", "700"):
        stage.shell(MALLORY, f"mkdir -m {mode} {place}")
        refused(stage.python(ANNA, CLIENT, CONNECTION_FILE), place, "belongs to user nobody")
        stage.shell(MALLORY, f"rmdir {place}")
    stage.shell(MALLORY, f"ln -s /dev/shm/kept {place}")
    refused(stage.python(ANNA, CLIENT, CONNECTION_FILE), place)
    stage.shell(0, f"rm {place}; mv /dev/shm/kept {place}")
    faults.survived("strangers", "folder of segments replaced in /dev/shm", 3, "client refuses")


# Run by root: a socket in a folder of Anna's at which another user listens.
HANDED_OVER = """
import os, socket, sys
made = socket.socket(socket.AF_UNIX)
made.bind(sys.argv[1])
os.chown(sys.argv[1], 4242, 4242)
os.setgid(65534)
os.setuid(65534)
made.listen()
print("ready", flush=True)
made.settimeout(20)
peer, _ = made.accept()
peer.settimeout(20)
try:
    print(len(peer.recv(1000)))
except OSError:
    print(0)
sys.stdin.read()
"""
SILENT = """
import socket, sys
made = socket.socket(socket.AF_UNIX)
made.connect(sys.argv[1])
made.settimeout(20)
try:
    made.sendall(b'{"version": 2, "request": "progress"}\\n')
    print(made.recv(1000))
except OSError as error:
    print(error)
"""


def test_both_ends_of_a_socket_have_to_be_the_same_users(stage: Stage, cluster: dict[str, Any], faults: Any) -> None:
    folder = cluster["socket_dir"]
    socket = f"{folder}/launcher.sock"
    # A stranger comes in, although both folders have let him in since.
    stage.shell(0, f"chmod 711 {BASE} {folder}; chmod 666 {socket}")
    answer = stage.python(MALLORY, SILENT, socket)
    assert answer.stdout in ("b''\n", "[Errno 32] Broken pipe\n", "[Errno 104] Connection reset by peer\n"), answer
    stage.shell(0, f"chmod 700 {BASE} {folder}; mv {socket} {socket}.kept")
    listener = stage.start(0, str(BIN / "python"), "-c", HANDED_OVER, socket)
    scale = stage.run(ANNA, IPCLUSTERZ, "scale", "+1")
    refused(scale, "the process at the other end of the socket belongs to user nobody (65534)")
    count, _ = listener.communicate("")
    assert count == "0\n", "he was told something"
    stage.shell(0, f"mv {socket}.kept {socket}")
    faults.survived("strangers", "another user at one end of launcher.sock", 2, "no byte is exchanged")


OPEN = {
    "mode 666": ("chmod 666 {file}", "its mode is 666"),
    "folder of mode 777": ("chmod 777 {folder}", "its mode is 777"),
    "group of others": ("chgrp 2000 {file}; chmod 664 {file}", "its mode is 664"),
    "another user's": ("chown 65534 {file}", "belongs to user nobody"),
}


@pytest.mark.parametrize("kind", OPEN)
def test_what_others_can_change_says_nothing(stage: Stage, kind: str, faults: Any) -> None:
    """Project file, the user's profiles, and connection files."""
    command, words = OPEN[kind]
    files = {
        "work/ipclusterz.toml": ("profile", "show", "default"),
        ".config/ipclusterz/profiles/lab.toml": ("profile", "show", "lab"),
    }
    for name, arguments in files.items():
        file = Path("/home/anna") / name
        stage.shell(ANNA, f"mkdir -p {file.parent}; touch {file}")
        assert stage.run(ANNA, IPCLUSTERZ, *arguments, folder=str(file.parent)).returncode == 0
        stage.shell(0, command.format(file=file, folder=file.parent))
        refused(stage.run(ANNA, IPCLUSTERZ, *arguments, folder=str(file.parent)), words, str(file))
        stage.shell(0, f"rm -r {file.parent}")
    faults.survived("strangers", f"profile or project file: {kind}", len(files), "refused with the chmod")


def test_a_connection_file_that_others_can_change_admits_nobody(
    stage: Stage, cluster: dict[str, Any], faults: Any
) -> None:
    for kind, (command, words) in OPEN.items():
        copy = "/home/anna/copy/client.json"
        stage.shell(ANNA, f"mkdir -m 700 copy; cp {CONNECTION_FILE} {copy}; chmod 600 {copy}")
        assert stage.python(ANNA, CLIENT, copy).returncode == 0
        stage.shell(0, command.format(file=copy, folder=Path(copy).parent))
        refused(stage.python(ANNA, CLIENT, copy), "ConnectionFileError", words)
        stage.shell(0, f"rm -r {Path(copy).parent}")
        faults.survived("strangers", f"connection file: {kind}", 1, "refused with words")


def test_ssh_is_not_told_by_others_whom_to_trust(stage: Stage, faults: Any) -> None:
    stage.shell(ANNA, "mkdir -m 700 .ssh; touch .ssh/known_hosts .ssh/config .ssh/more; echo Include more >.ssh/config")
    tried = {("known_hosts", "libssh2"), ("known_hosts", "openssh"), ("config", "libssh2"), ("more", "libssh2")}
    for name, backend in tried:
        stage.shell(ANNA, f"chmod 666 .ssh/{name}")
        tunnel = stage.run(ANNA, IPCLUSTERZ, "tunnel", "--backend", backend, "127.0.0.1")
        refused(tunnel, f"run: chmod o-w /home/anna/.ssh/{name}")
        stage.shell(ANNA, f"chmod 600 .ssh/{name}")
    faults.survived("strangers", "known_hosts, ssh_config and what it includes, of mode 666", len(tried), "refused")


OPEN_FOLDERS = {
    "XDG_RUNTIME_DIR": "/home/anna/open",
    "IPCLUSTERZ_HOME": "/home/anna/open/state",
    "XDG_STATE_HOME": "/home/anna/open",
}


@pytest.mark.parametrize("variable", OPEN_FOLDERS)
def test_a_folder_that_all_can_change_holds_nothing(stage: Stage, variable: str, faults: Any) -> None:
    stage.shell(ANNA, "mkdir -m 777 open")
    setting = f"{variable}={OPEN_FOLDERS[variable]}"
    refused(stage.run(ANNA, "env", setting, IPCLUSTERZ, "-n", "1"), "run: chmod o-w /home/anna/open")
    stage.shell(ANNA, "chmod 1777 open")
    assert stage.run(ANNA, "env", setting, IPCLUSTERZ, "run", "-n", "1", "--", "true").returncode == 0
    faults.survived("strangers", f"{variable} in a folder of mode 777", 1, "start refused with the chmod")


def test_a_group_of_ones_own_may_write(stage: Stage, faults: Any) -> None:
    """An umask of 002 is common where each user has a group; a group with others in it is not trusted."""
    state = "/home/anna/.local/state"
    stage.shell(ANNA, f"mkdir -p {state}; chmod -R 775 .local; touch ipclusterz.toml; chmod 664 ipclusterz.toml")
    assert stage.run(ANNA, IPCLUSTERZ, "profile", "show", "default").returncode == 0
    started = stage.run(ANNA, IPCLUSTERZ, "-n", "1", "--daemonize", "--timeout", "40")
    assert started.returncode == 0, started.stderr
    assert stage.run(ANNA, IPCLUSTERZ, "stop").returncode == 0
    stage.shell(0, f"chgrp 2000 {state}")
    refused(stage.run(ANNA, IPCLUSTERZ, "-n", "1"), f"run: chmod g-w {state}")
    faults.survived("strangers", "state folder in one that a group can write to", 1, "refused with the chmod")


@pytest.mark.parametrize("shown_as", ["current", "root"])
def test_in_a_container_of_ones_own_the_host_is_no_stranger(stage: Stage, shown_as: str, faults: Any) -> None:
    """There root's folders are shown as those of an unknown user."""
    container = ("unshare", "--user", f"--map-{shown_as}-user")
    program = "import ipclusterz; print(ipclusterz.Client()[:].apply_sync(len, 'four'))"
    done = stage.run(ANNA, *container, IPCLUSTERZ, "run", "-n", "1", "--", str(BIN / "python"), "-c", program)
    assert (done.returncode, done.stdout) == (0, "{0: 4}\n"), done
    stage.shell(0, f"rm -rf {BASE} /tmp/ipclusterz-0")
    stage.shell(MALLORY, f"mkdir -m 777 {BASE} /tmp/ipclusterz-0")
    refused(stage.run(ANNA, *container, IPCLUSTERZ, "-n", "1"), "belongs to user nobody (65534)")
    faults.survived("strangers", "base made before, seen from a user namespace", 1, "start refused with the fix")


READ = "import sys\nfor pid in sys.argv[1:]:\n open(f'/proc/{pid}/environ').read()"


def core_limit(pid: int) -> list[str]:
    """Soft and hard limit on the size of a dump of memory."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max core file size")).split()[4:6]


def test_memory_with_keys_is_closed_to_other_processes(stage: Stage, cluster: dict[str, Any], faults: Any) -> None:
    """The engines' and clients' stay open to debuggers: they run the user's own code."""
    holders = [cluster["launcher"]["pid"], cluster["controller"]["pid"]]
    engine = cluster["sets"][0]["job"]["process"]["pid"]
    for pid in holders:
        assert "PermissionError" in stage.python(ANNA, READ, str(pid)).stderr
        assert core_limit(pid)[0] == "0"
    assert stage.python(ANNA, READ, str(engine)).returncode == 0
    assert core_limit(engine) == ["4096", "4096"]
    status = json.loads(stage.run(ANNA, IPCLUSTERZ, "status", "--json").stdout)
    assert status["engines"][0]["pid"] == engine if "engines" in status else status
    faults.survived("strangers", "reading the memory of a process with keys", len(holders), "refused by the kernel")
