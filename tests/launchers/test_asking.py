"""Passwords and passphrases: asked for on a real terminal, in the foreground and by a start in the background."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from sites import IPCLUSTERZ
from sshd import ALIAS, Sshd
from system import run

PASSWORD = "correct horse 7"
SECONDS = 40

pytestmark = pytest.mark.timeout(120)

Spawn = Callable[..., pexpect.spawn]


@pytest.fixture(params=["libssh2", "openssh"])
def backend(request: pytest.FixtureRequest) -> str:
    """What speaks SSH."""
    name: str = request.param
    return name


@pytest.fixture(params=["password", "passphrase"])
def server(request: pytest.FixtureRequest) -> Iterator[Sshd]:
    """A server that a password opens, or a key with a passphrase."""
    with Sshd(PASSWORD if request.param == "password" else None) as made:
        if request.param == "passphrase":
            run("ssh-keygen", "-q", "-p", "-P", "", "-N", PASSWORD, "-f", str(made.identity))
        yield made


@pytest.fixture
def cluster() -> str:
    """A name of this process's own."""
    return f"asking-{os.getpid()}"


@pytest.fixture
def start(server: Sshd, backend: str, cluster: str, tmp_path: Path) -> Iterator[Spawn]:
    """Types `ipclusterz ...` for one engine at the server into a terminal."""
    profile = tmp_path / "profile.toml"
    profile.write_text(
        f"""
[engines]
launcher = "ssh"
python = "{sys.executable}"
[ssh]
backend = "{backend}"
hosts = [{{ host = "{ALIAS}", engines = 1 }}]
config = "{server.config}"
known_hosts = ["{server.known_hosts}"]
agent = false
"""
    )
    started = []

    def start(*arguments: str, program: str = "") -> pexpect.spawn:
        command = [str(IPCLUSTERZ), "start", "-n", "1", "--profile", str(profile), "--cluster", cluster, *arguments]
        if program:
            command = [sys.executable, "-c", program, cluster, str(profile)]
        process = pexpect.spawn(command[0], command[1:], timeout=SECONDS, encoding="utf-8")
        started.append(process)
        return process

    yield start
    run(str(IPCLUSTERZ), "stop", "--cluster", cluster, check=False)
    for process in started:
        process.close(force=True)


def answered(process: pexpect.spawn) -> None:
    """A wrong answer, then the right one; neither is shown."""
    for answer in ("wrong", PASSWORD):
        process.expect("(?i)pass(word|phrase)[^:]*: ?")
        process.sendline(answer)


def left_in_files(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_in_the_foreground(start: Spawn, cluster: str) -> None:
    process = start()
    shown = process.logfile_read = io.StringIO()
    answered(process)
    process.expect("1 engine ready")
    process.sendintr()
    process.expect(pexpect.EOF)
    process.wait()
    assert process.exitstatus == 130
    assert PASSWORD not in shown.getvalue()


def test_by_a_start_in_the_background(start: Spawn, cluster: str) -> None:
    process = start("--daemonize")
    answered(process)
    process.expect("goes on in the background")
    process.expect(pexpect.EOF)
    process.wait()
    assert process.exitstatus == 0
    said = run(str(IPCLUSTERZ), "status", "--cluster", cluster)
    assert "running" in said
    assert not left_in_files(Path(os.environ["IPCLUSTERZ_HOME"]), PASSWORD)


@pytest.mark.parametrize("arguments", [(), ("--daemonize",)], ids=["foreground", "daemonize"])
def test_ctrl_c_at_the_question(start: Spawn, arguments: tuple[str, ...]) -> None:
    process = start(*arguments)
    process.expect("(?i)pass(word|phrase)[^:]*: ?")
    process.send("half an answ\x03")
    process.expect(pexpect.EOF)
    process.wait()
    assert process.exitstatus == 130, process.before


@pytest.mark.parametrize("arguments", [(), ("--daemonize",)], ids=["foreground", "daemonize"])
def test_a_signal_at_the_question(start: Spawn, arguments: tuple[str, ...]) -> None:
    process = start(*arguments)
    process.expect("(?i)pass(word|phrase)[^:]*: ?")
    process.kill(signal.SIGTERM)
    process.expect(pexpect.EOF, timeout=10)
    process.wait()
    assert process.exitstatus == 130, process.before


def test_wrong_answers_are_refused_in_the_end(start: Spawn) -> None:
    process = start()
    for _ in range(3):
        process.expect("(?i)pass(word|phrase)[^:]*: ?")
        process.sendline("wrong")
    process.expect('does not let user "root" in')
    process.expect(pexpect.EOF)
    process.wait()
    assert process.exitstatus not in (0, 130)


PROGRAM = """
import sys
import ipclusterz as ipz

with ipz.Cluster(1, cluster=sys.argv[1], profile=sys.argv[2]) as rc:
    print("ready", rc.ids)
"""


def test_in_a_program_of_the_user(start: Spawn) -> None:
    process = start(program=PROGRAM)
    shown = process.logfile_read = io.StringIO()
    answered(process)
    process.expect("ready {0}")
    process.expect(pexpect.EOF)
    process.wait()
    assert process.exitstatus == 0
    assert PASSWORD not in shown.getvalue()


def test_ctrl_c_at_the_question_of_a_program(start: Spawn) -> None:
    process = start(program=PROGRAM)
    process.expect("(?i)pass(word|phrase)[^:]*: ?")
    process.sendintr()
    process.expect("KeyboardInterrupt")
    process.expect(pexpect.EOF)
