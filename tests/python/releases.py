"""Other releases of ipclusterz: a wheel of one is made of the installed one, and installed for a Python of its own.

What differs is what differs in a real one: the number in the names, in the Python files, and in the text of the
extension module and the program that has number and wire version, in as many bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import cloudpickle

import ipclusterz
from ipclusterz._core import VERSION, WIRE_VERSION
from ipclusterz.client.command import program

OWN = VERSION
INSTALL_SECONDS = 60


@dataclass(frozen=True)
class Release:
    """A release that is installed.

    Attributes
    ----------
    number : str
        Its number.
    python : Path
        The Python that it is installed for.
    program : Path
        Its command.
    """

    number: str
    python: Path
    program: Path

    def run(self, code: str, *arguments: str, timeout: float = 40) -> str:
        """What a program of this release prints on both streams; it ends in time and without a signal."""
        command = [self.python, "-P", "-c", code, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, text=True)
        assert done.returncode in (0, 1), done.stdout
        return done.stdout

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The end of its command."""
        command = [self.program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=40, env=os.environ | variables)


THIS = Release(OWN, Path(sys.executable), Path(program()))


def other(
    folder: Path, *, wire: int = WIRE_VERSION, number: str = "", of_python: str = "", whole: bool = True
) -> Release:
    """Make another release and install it.

    Parameters
    ----------
    folder : Path
        Where to; it is made.
    wire : int
        Its wire version.
    number : str
        Its number, as long as this release's; a later one when empty, which is another for another wire version.
    of_python : str
        The version of Python that it takes its own for.
    whole : bool
        Without, the extension module and the program remain of this release.
    """
    number = number or f"{9 if wire == WIRE_VERSION else 8}{OWN[1:]}"
    assert len(number) == len(OWN), number
    assert 0 <= wire <= 9, wire
    return _install(folder, Path(sys.executable), number, _Changes(number, wire, of_python, whole))


def for_python(folder: Path, interpreter: Path) -> Release:
    """Install this release for another Python."""
    return _install(folder, interpreter, OWN, _Changes(OWN, WIRE_VERSION, "", False))


@dataclass(frozen=True)
class _Changes:
    """See `other`."""

    number: str
    wire: int
    of_python: str
    whole: bool

    def in_binary(self, content: bytes) -> bytes:
        if not self.whole:
            return content
        before = f"@(#)ipclusterz {OWN} (wire {WIRE_VERSION})".encode()
        after = f"@(#)ipclusterz {self.number} (wire {self.wire})".encode()
        assert content.count(before) == 1, content.count(before)
        return content.replace(before, after)

    def in_file(self, inside: str, content: bytes) -> bytes:
        if inside == "ipclusterz/__init__.py":
            before, after = (f'__version__ = "{number}"\n'.encode() for number in (OWN, self.number))
            assert before in content, inside
            return content.replace(before, after)
        if inside == "ipclusterz/shared/bytecode.py" and self.of_python:
            lines = content.decode().splitlines()
            place = next(index for index, line in enumerate(lines) if line.startswith("PYTHON = "))
            lines[place] = f'PYTHON = "{self.of_python}"'
            return "\n".join(lines).encode()
        return content


def _install(folder: Path, interpreter: Path, number: str, changes: _Changes) -> Release:
    folder.mkdir(parents=True)
    wheel = _wheel(folder, number, changes)
    python = _environment(folder / "venv", interpreter)
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel]
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
    wheel.unlink()
    return Release(number, python, python.parent / "ipclusterz")


def _environment(folder: Path, interpreter: Path) -> Path:
    """An environment that finds what ipclusterz needs where the tests have it, behind what is installed in itself."""
    subprocess.run([interpreter, "-m", "venv", "--without-pip", folder], check=True, timeout=INSTALL_SECONDS)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    needed = Path(cloudpickle.__file__).parents[1]
    if interpreter != Path(sys.executable):
        # Much of what is there is compiled for one Python.
        (folder / "needed").mkdir()
        (folder / "needed" / "cloudpickle").symlink_to(needed / "cloudpickle")
        needed = folder / "needed"
    (site / "needed.pth").write_text(f"{needed}\n")
    return python


def _wheel(folder: Path, number: str, changes: _Changes) -> Path:
    name = f"ipclusterz-{number}"
    about = metadata.distribution("ipclusterz")
    told, kind = about.read_text("METADATA"), about.read_text("WHEEL")
    assert told is not None
    assert kind is not None
    tag = next(line for line in kind.splitlines() if line.startswith("Tag: ")).removeprefix("Tag: ")
    contents = {
        f"{name}.data/scripts/ipclusterz": changes.in_binary(Path(program()).read_bytes()),
        f"{name}.dist-info/METADATA": told.replace(f"\nVersion: {OWN}\n", f"\nVersion: {number}\n").encode(),
        f"{name}.dist-info/WHEEL": kind.encode(),
    }
    package = Path(ipclusterz.__file__).parent
    for path in package.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            inside, content = str(path.relative_to(package.parent)), path.read_bytes()
            contents[inside] = changes.in_binary(content) if path.suffix == ".so" else changes.in_file(inside, content)
    record = f"{name}.dist-info/RECORD"
    lines = [f"{inside},{_digest(content)},{len(content)}\n" for inside, content in contents.items()]
    contents[record] = "".join([*lines, f"{record},,\n"]).encode()
    path = folder / f"{name}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, content in contents.items():
            entry = zipfile.ZipInfo(inside)
            entry.external_attr = (0o100755 if "/scripts/" in inside else 0o100644) << 16
            archive.writestr(entry, content)
    return path


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def interpreters() -> list[Path]:
    """Pythons of other minor versions that the package supports, as pyenv or the system has them here."""
    kept = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [*kept.glob("versions/3.*/bin/python"), *Path("/usr/bin").glob("python3.[0-9]*")]
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    found: dict[tuple[int, ...], Path] = {}
    for path in sorted(candidates):
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if done.returncode == 0:
            found.setdefault(tuple(map(int, done.stdout.split())), path)
    own = sys.version_info[:2]
    return [path for version, path in sorted(found.items()) if version >= (3, 11) and version != own]
