"""What a build needs of the host, and what to do when it is missing: said before anything is compiled."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import MutableMapping
from importlib.util import find_spec
from pathlib import Path

__all__ = ["check", "find_libclang"]

Environment = MutableMapping[str, str]

# `rust-version` of Cargo.toml.
_RUST = re.compile(r'^rust-version = "(.+)"$', re.MULTILINE)
_PATIENCE = 60.0

_PREBUILT = "a wheel that was built beforehand needs none of this: `pip install WHEEL`"


def check(environment: Environment) -> None:
    """End the build when something is missing, and say all that is.

    Raises
    ------
    SystemExit
        With what is missing, and what to do about each.
    """
    problems = [found for look in (_rust, _compiler, _mpi, _libclang) if (found := look(environment))]
    if problems:
        raise SystemExit("\n".join(["error: ipclusterz-mpi cannot be built here", *problems, f"hint: {_PREBUILT}"]))


def find_libclang(environment: Environment) -> None:
    """Have bindgen use the libclang of PyPI, unless the variable LIBCLANG_PATH names another."""
    if "LIBCLANG_PATH" in environment or find_spec("clang") is None:
        return
    import clang  # type: ignore[import-untyped, unused-ignore]

    environment["LIBCLANG_PATH"] = str(Path(clang.__path__[0], "native"))
    headers = _run([*_command(environment, "CC", "cc"), "-print-file-name=include"])
    if headers is not None and headers.returncode == 0:
        environment.setdefault("BINDGEN_EXTRA_CLANG_ARGS", f"-isystem {headers.stdout.strip()}")


def _rust(environment: Environment) -> str | None:
    manifest = Path(__file__).parents[1] / "Cargo.toml"
    least = _RUST.search(manifest.read_text())
    needed = least.group(1) if least else ""
    advice = f"install Rust {needed} or newer (https://rustup.rs), or load its module"
    if shutil.which("cargo") is None:
        return _missing("there is no cargo on PATH", advice)
    answer = _run(["cargo", "--version"])
    found = re.search(r"^cargo (\d+)\.(\d+)", answer.stdout if answer else "")
    if found is None:
        return _missing(f"`cargo --version` says no version: {_output(answer)}", advice)
    if tuple(map(int, found.groups())) < tuple(map(int, needed.split("."))):
        return _missing(f"cargo is of Rust {'.'.join(found.groups())}, and {needed} is needed", advice)
    return None


def _compiler(environment: Environment) -> str | None:
    # Rust links with `cc`, whatever compiles.
    advice = "install gcc, or load its module"
    for command in {"cc": None, **dict.fromkeys(_command(environment, "CC", "cc")[:1])}:
        if shutil.which(command) is None:
            return _missing(f"there is no C compiler {command} on PATH", advice)
    return None


def _mpi(environment: Environment) -> str | None:
    """rsmpi knows MPI by a file of pkg-config as well, where a variable names one."""
    if "MPI_PKG_CONFIG" in environment or "CRAY_MPICH_DIR" in environment:
        return None
    named = environment.get("MPICC")
    command = named or "mpicc"
    advice = "load the module of the MPI that will start the engines, or name its compiler: MPICC=/path/to/mpicc"
    if shutil.which(command) is None:
        what = (
            f"the variable MPICC is {command}, and there is no such program" if named else "there is no mpicc on PATH"
        )
        return _missing(what, advice)
    answer = _run([command, "-show"])
    if answer is None or answer.returncode != 0 or not answer.stdout.strip():
        return _missing(f"`{command} -show` does not say how it compiles: {_output(answer)}", advice)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "try.c")
        source.write_text("#include <mpi.h>\nint version = MPI_VERSION;\n")
        made = source.with_suffix(".o")
        answer = _run([command, "-c", str(source), "-o", str(made)])
        compiles = answer is not None and answer.returncode == 0 and made.exists()
    if not compiles:
        return _missing(f"{command} does not compile a program with mpi.h: {_output(answer)}", advice)
    return None


def _libclang(environment: Environment) -> str | None:
    advice = "`pip install libclang`, or set LIBCLANG_PATH to the folder of the system's libclang.so"
    folder = environment.get("LIBCLANG_PATH")
    if folder is not None:
        if any(Path(folder).glob("libclang*.so*")) or Path(folder).is_file():
            return None
        return _missing(f"the variable LIBCLANG_PATH is {folder}, and there is no libclang.so", advice)
    # pip brings it, unless it was told not to. bindgen finds that of the system by itself.
    if find_spec("clang") is None and shutil.which("llvm-config") is None and shutil.which("clang") is None:
        return _missing("there is no libclang", advice)
    return None


def _missing(what: str, advice: str) -> str:
    return f"  {what}\n    {advice}"


def _command(environment: Environment, variable: str, default: str) -> list[str]:
    return shlex.split(environment.get(variable, "")) or [default]


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """What a program says; None where it cannot be run or takes too long."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _output(answer: subprocess.CompletedProcess[str] | None) -> str:
    """The last lines of what a program said."""
    if answer is None:
        return "it cannot be run"
    lines = (answer.stdout + answer.stderr).strip().splitlines()
    return " / ".join(line.strip() for line in lines[-3:]) or f"it ended with {answer.returncode} and said nothing"
