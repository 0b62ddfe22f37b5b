"""What programs, C and Fortran code write: to the client of the task, live, in order, and to the log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cells import Run
from helpers import hold, until

from ipclusterz import AsyncResult, Client, Cluster, EngineError

SHELL = "while [ ! -e {gate} ]; do sleep 0.01; done; "


def log_of(cluster: Cluster, engine: int = 0) -> Path:
    return Path(cluster.report["log_directory"]) / f"engine-{engine}.log"


def quietly(rc: Client, engine: int, function: Callable[..., Any], *arguments: Any) -> AsyncResult:
    result = rc[engine].apply_async(function, *arguments)
    result.quiet = True
    result.wait()
    return result


def speak_in_all_ways(number: int) -> None:
    import ctypes
    import subprocess

    library = ctypes.CDLL(None)
    print("python", number)
    os.system(f"echo shell {number}; echo warned {number} >&2")
    print("again")
    subprocess.run(["echo", "child"], check=True)
    subprocess.run(["echo", "to stdout"], stdout=sys.stdout, check=True)
    os.write(1, b"descriptor\n")
    library.printf(b"in C\n")
    print("done")
    library.printf(b"no end of line")


def test_everything_comes_in_order(cluster: Cluster, rc: Client) -> None:
    log = log_of(cluster)
    for number in range(3):
        result = quietly(rc, 0, speak_in_all_ways, number)
        said = f"python {number}|shell {number}|again|child|to stdout|descriptor|in C|done|no end of line"
        assert result.stdout.split("\n") == said.split("|")
        assert result.stderr == f"warned {number}\n"
        until(lambda number=number: log.read_text().count(f"shell {number}\nwarned {number}\nchild\nto stdout") == 1)
    assert "again" not in log.read_text()


def run_shell(script: str) -> None:
    os.system(script)


def run_shell_and_hold_the_interpreter(script: str) -> None:
    import ctypes

    ctypes.PyDLL(None).system(script.encode())


@pytest.mark.parametrize("run_script", [run_shell, run_shell_and_hold_the_interpreter])
def test_it_is_seen_while_the_task_runs(rc: Client, gate: Path, run_script: Callable[[str], None]) -> None:
    result = rc[1].apply_async(run_script, f"echo begun; {SHELL.format(gate=gate)} seq 20000; echo ended")
    result.quiet = True
    until(lambda: result.stdout == "begun\n")
    gate.touch()
    result.get()
    assert result.stdout == "begun\n" + "".join(f"{number}\n" for number in range(1, 20001)) + "ended\n"


def test_it_is_shown_as_what_python_prints(rc: Client, capsys: pytest.CaptureFixture[str]) -> None:
    rc[:2].apply_sync(os.system, "echo out; echo err >&2")
    shown = capsys.readouterr()
    assert sorted(shown.out.splitlines()) == ["[stdout:0] out", "[stdout:1] out"]
    assert sorted(shown.err.splitlines()) == ["[stderr:0] err", "[stderr:1] err"]
    reply = rc[0].execute("import os; done = os.system('echo in a cell')", block=True)
    assert reply.stdout == "in a cell\n"


def test_cells_show_it(run: Run, dv: Any) -> None:
    assert run("%%px --targets 0\nimport os\nprint('one')\nif os.system('echo two'): pass").stdout.endswith(
        "[stdout:0] one\n[stdout:0] two\n"
    )


def test_characters_that_come_in_pieces(own_cluster: Callable[..., Cluster]) -> None:
    def speak() -> None:
        for byte in "a€😀".encode():
            os.write(1, bytes([byte]))
        os.write(1, b"\xff")
        os.write(2, "€".encode()[:2])

    with own_cluster(1).connect_client() as rc:
        result = quietly(rc, 0, speak)
        assert (result.stdout, result.stderr) == ("a€😀\ufffd", "\ufffd")
        assert quietly(rc, 0, os.system, "printf next >&2").stderr == "next"


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="there is no gfortran here")
def test_fortran(rc: Client, tmp_path: Path) -> None:
    source = "subroutine speak() bind(c)\n  print '(a)', 'in Fortran'\n  write(0, '(a)') 'warned'\nend subroutine\n"
    (tmp_path / "speak.f90").write_text(source)
    command = ["gfortran", "-shared", "-fPIC", "-o", "libspeak.so", "speak.f90"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=50)

    def speak(library: str) -> None:
        import ctypes

        ctypes.CDLL(library).speak()

    for _ in range(2):
        result = quietly(rc, 2, speak, str(tmp_path / "libspeak.so"))
        assert (result.stdout, result.stderr) == ("in Fortran\n", "warned\n")


def test_children_that_are_forked(rc: Client) -> None:
    def speak() -> None:
        from multiprocessing import get_context

        with get_context("fork").Pool(4) as pool:
            pool.map(print, ["a line"] * 40, chunksize=1)
        if os.fork() == 0:
            print("no end", end="", flush=True)
            os._exit(0)
        os.wait()

    result = quietly(rc, 1, speak)
    assert (result.stdout, result.stderr) == ("a line\n" * 40 + "no end", "")


def leave_program(script: str) -> None:
    import subprocess

    vars(sys)["left"] = subprocess.Popen(["sh", "-c", f"echo early; touch {os.environ['EARLY']}; {script}"])


def leave_daemon(script: str) -> None:
    os.system(f"(setsid sh -c 'echo early; touch $EARLY; {script}' &)")


def leave_fork(script: str) -> None:
    if os.fork() == 0:
        print("early", flush=True)
        os.system(f"touch $EARLY; {script}")
        os._exit(0)


def leave(how: Callable[[str], None], early: str, script: str) -> None:
    os.environ["EARLY"] = early
    how(script)
    hold(early)


def waited(seconds: float) -> bool:
    threading.Event().wait(seconds)
    return True


@pytest.mark.parametrize("how", [leave_program, leave_daemon, leave_fork])
def test_what_a_task_leaves_behind_holds_nothing_up_and_speaks_to_no_other_task(
    cluster: Cluster, rc: Client, gate: Path, how: Callable[[str], None]
) -> None:
    log, last = log_of(cluster, 3), f"last of {how.__name__}"
    script = f"{SHELL.format(gate=gate)} echo late; seq 30000; echo {last}"
    first = quietly(rc, 3, leave, how, str(gate.with_name("early")), script)
    assert first.stdout == "early\n"
    said = [quietly(rc, 3, os.system, f"echo {number}").stdout for number in range(20)]
    assert said == [f"{number}\n" for number in range(20)]
    second = rc[3].apply_async(say_until_log_has, str(log), f"{last}\n")
    second.quiet = True
    until(lambda: second.stdout == "next\n")
    gate.touch()
    second.get()
    assert (first.stdout, second.stdout) == ("early\n", "next\ndone\n")
    rc[3].apply_sync(reap)


def say_until_log_has(log: str, text: str) -> None:
    os.system("echo next")
    while not Path(log).read_text().endswith((text, f"{text}next\n")):
        waited(0.01)
    os.system("echo done")


def reap() -> None:
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def test_between_tasks_it_goes_to_the_log_alone(cluster: Cluster, rc: Client) -> None:
    def later() -> None:
        threading.Timer(0.05, os.system, ["echo between tasks"]).start()

    log = log_of(cluster, 2)
    first = quietly(rc, 2, later)
    until(lambda: "between tasks\n" in log.read_text())
    second = quietly(rc, 2, os.system, "echo mine")
    assert (first.stdout, second.stdout) == ("", "mine\n")


def test_descriptors_that_user_code_changes(rc: Client, tmp_path: Path) -> None:
    def redirected(path: str, keep: bool) -> None:
        before = os.dup(1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.system("echo to a file")
        if keep:
            vars(sys)["before"] = before
            return
        os.dup2(before, 1)
        os.close(before)
        os.system("echo here")

    def restored() -> None:
        os.dup2(vars(sys)["before"], 1)
        os.close(vars(sys).pop("before"))

    path = tmp_path / "file"
    assert quietly(rc, 1, redirected, str(path), False).stdout == "here\n"
    assert quietly(rc, 1, redirected, str(path), True).stdout == ""
    assert quietly(rc, 1, os.system, "echo still").stdout == ""
    assert path.read_text() == "to a file\nto a file\nstill\n"
    assert quietly(rc, 1, print, "python").stdout == "python\n"
    quietly(rc, 1, restored)
    quietly(rc, 1, os.system, "true")
    assert quietly(rc, 1, os.system, "echo back").stdout == "back\n"


def test_a_descriptor_that_user_code_closes(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        rc[0].apply_sync(os.close, 1)
        result = quietly(rc, 0, speak_to_errors)
        assert (result.stdout, result.stderr) == ("python\n", "error\n")


def speak_to_errors() -> None:
    print("python")
    os.system("echo error >&2")


def test_a_flood_is_cut_and_the_log_stays_within_its_bound(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1, **{"logs.max_size": "1 MiB", "logs.files": 1})
    with cluster.connect_client() as rc:
        result = quietly(rc, 0, os.system, "head -c 160000000 /dev/zero | tr '\\0' x")
        assert len(result.stdout) < 140e6
        assert "bytes of output were left out: it came too fast]\n" in result.stdout[-100:]
        assert quietly(rc, 0, os.system, "echo on").stdout == "on\n"
        files = list(log_of(cluster).parent.glob("engine-0.log*"))
        until(lambda: sum(file.stat().st_size for file in files) < 4e6)


def end(how: str) -> None:
    import ctypes
    import signal

    os.write(1, b"out of a dying engine\n")
    os.write(2, f"last words before {how}\n".encode())
    if how == "abort":
        ctypes.CDLL(None).abort()
    elif how == "fault":
        ctypes.string_at(1)
    elif how == "exit":
        ctypes.CDLL(None).exit(3)
    os.kill(os.getpid(), signal.SIGTERM)
    waited(20)


@pytest.mark.parametrize("how", ["abort", "fault", "exit", "terminate"])
def test_last_words_are_in_the_log(own_cluster: Callable[..., Cluster], how: str) -> None:
    cluster = own_cluster(1)
    with cluster.connect_client() as rc, pytest.raises(EngineError):
        rc[0].apply_async(end, how).get()
    text = log_of(cluster).read_text()
    assert f"out of a dying engine\nlast words before {how}\n" in text
    if how in ("abort", "fault"):
        assert 'File "' in text.split("Fatal Python error: ")[1]


def test_few_descriptors(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)

    def take_all() -> int:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = vars(sys).setdefault("taken", [])
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                return len(taken)

    def give_back() -> None:
        for descriptor in vars(sys).pop("taken"):
            os.close(descriptor)

    with cluster.connect_client() as rc:
        assert rc[0].apply_sync(take_all) > 0
        for _ in range(5):
            assert quietly(rc, 0, fork_and_wait).get() == 0
        assert quietly(rc, 0, print, "python").stdout == "python\n"
        rc[0].apply_sync(give_back)
        rc[0].apply_sync(abs, 1)
        assert quietly(rc, 0, os.system, "echo again").stdout == "again\n"


def fork_and_wait() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_an_engine_works_however_few_descriptors_it_may_open(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    command = [sys.executable, "-P", "-m", "ipclusterz.engine", "--timeout", "5"]
    command += ["--connection-file", cluster.report["engine_file"]]
    seen = set()
    with cluster.connect_client() as rc:
        for limit in range(32, 20, -1):
            script = f'ulimit -n {limit}; exec "$@"'
            process = subprocess.Popen(["bash", "-c", script, "_", *command], stdout=subprocess.PIPE, stderr=-2)
            until(lambda process=process: len(rc.ids) == 2 or process.poll() is not None, 20)
            if len(rc.ids) < 2:
                process.communicate(timeout=20)
                break
            engine = max(rc.ids)
            result = quietly(rc, engine, os.system, "echo here && echo err >&2")
            assert result.get() == 0
            rc.shutdown([engine])
            log = process.communicate(timeout=20)[0].decode()
            assert "\nhere\nerr\n" in log
            assert bool(result.stdout) != ("(engines.capture_output)" in log)
            seen.add(result.stdout)
            until(lambda: len(rc.ids) == 1)
    assert "here\n" in seen


@pytest.mark.parametrize("fork", [True, False])
def test_it_can_be_switched_off(own_cluster: Callable[..., Cluster], fork: bool) -> None:
    cluster = own_cluster(1, **{"engines.capture_output": False, "engines.fork": fork})
    with cluster.connect_client() as rc:
        assert quietly(rc, 0, os.system, "echo to the log").stdout == ""
        until(lambda: "to the log\n" in log_of(cluster).read_text())


def test_engines_that_are_no_forks(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1, **{"engines.fork": False})
    with cluster.connect_client() as rc:
        assert quietly(rc, 0, os.system, "echo here").stdout == "here\n"


@pytest.mark.timeout(90)
@pytest.mark.parametrize("flavour", ["openmpi", "mpich"])
def test_ranks(own_cluster: Callable[..., Cluster], flavour: str) -> None:
    if shutil.which(f"mpiexec.{flavour}") is None:
        pytest.skip(f"there is no mpiexec.{flavour} here")
    settings = {"mpiexec.program": f"mpiexec.{flavour}", "mpiexec.allow_root": True, "mpiexec.oversubscribe": True}
    cluster = own_cluster(2, engines="mpiexec", timeout=60, **settings, **{"mpiexec.check_world": False})
    log = Path(cluster.report["log_directory"]) / "set-0.log"
    with cluster.connect_client() as rc:
        result = rc[:].apply_async(os.system, "echo rank $OMPI_COMM_WORLD_RANK$PMI_RANK; echo warned >&2")
        result.quiet = True
        result.get()
        assert result.stdout == ["rank 0\n", "rank 1\n"]
        assert result.stderr == ["warned\n"] * 2
        until(lambda: "rank 0" in log.read_text() and "rank 1" in log.read_text())
