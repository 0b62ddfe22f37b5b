"""The wheel of `ipclusterz-mpi`: one for all MPI libraries, which has to find the right one."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from mpi_library import BUILT, HERE, OPENMPI5, SECONDS, mpiexec, starter
from sites import IPCLUSTERZ

pytestmark = pytest.mark.timeout(SECONDS + 30)

ROOT = HERE.parents[1]
ABOUT = "import ipclusterz_mpi; print(ipclusterz_mpi.about())"
FLAVOURS = {
    "openmpi": ("openmpi", "Open MPI v4.1", "/usr/lib/"),
    "openmpi5": ("openmpi", "Open MPI v5.", str(OPENMPI5)),
    "mpich": ("mpich", "MPICH Version", "/usr/lib/"),
}
# What would lead to an MPI beside what starts a process.
_OTHER_WAYS = ("OMPI_", "OPAL_", "PMI", "MPI", "LD_LIBRARY_PATH", "IPCLUSTERZ_MPI", "PYTHONPATH")


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel."""
    (found,) = (ROOT / "target/dist-mpi/wheel").glob("ipclusterz_mpi-*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in which nothing of MPI is installed but the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder)
    found = folder / "bin/python"
    install = [sys.executable, "-m", "pip", "--python", found, "install", "--quiet", "--no-index", "--no-deps", wheel]
    subprocess.run(install, check=True, timeout=120)
    (site,) = folder.glob("lib/python3*/site-packages")
    # ipclusterz itself, and numpy.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return found


def environment(**variables: str) -> dict[str, str]:
    """Variables of somebody who has loaded no module of an MPI."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHER_WAYS)}
    # Unbuffered, a line and its end are two writes, and those of two ranks get mixed.
    # MPICH's UCX looks at all network cards, and cannot stand that those of other tests' virtual hosts come and go.
    own = {"PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "", "UCX_TLS": "self,sm"}
    return {**kept, **own, **variables}


def ask(python: Path, code: str = ABOUT, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a process says that no mpiexec has started."""
    command = [python, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(**variables))


def ranks(python: Path, flavour: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """What two ranks say."""
    command = [*mpiexec(flavour, 2), str(python), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment(**variables))


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Which MPI."""
    name: str = request.param
    return name


def test_each_mpi_is_found_by_its_own_mpiexec(python: Path, flavour: str) -> None:
    done = ranks(python, flavour, HERE / "programs/which.py")
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    family, says, folder = FLAVOURS[flavour]
    assert sorted(one["rank"] for one in told) == [0, 1]
    for one in told:
        assert (one["size"], one["family"], one["serves"]) == (2, family, ["openmpi", "mpich"])
        assert one["says"].startswith(says)
        assert one["path"].startswith(folder)
        assert "started this process" in one["why"]


def test_extensions_name_no_mpi(wheel: Path) -> None:
    assert re.search(r"-cp3\d+-abi3-[\w.]*manylinux_2_17_x86_64[\w.]*\.whl$", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        extensions = {name for name in archive.namelist() if ".so" in name}
        assert extensions == {f"ipclusterz_mpi/{family}/_native.abi3.so" for family in ("openmpi", "mpich")}
        for name in extensions:
            assert not re.search(rb"libmpi\w*\.so", archive.read(name)), name


def test_importing_it_loads_no_mpi(python: Path) -> None:
    code = "import ipclusterz_mpi as m; print(m.__version__, m.serves(), m.process.loaded_libraries())"
    done = ask(python, code)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S* \('openmpi', 'mpich'\) \[\]\n", done.stdout), done.stderr


@pytest.mark.parametrize("family", ["openmpi", "mpich"])
def test_the_variable_says_which_family(python: Path, family: str) -> None:
    done = ask(python, IPCLUSTERZ_MPI=family)
    assert f"family='{family}'" in done.stdout, done.stderr
    assert f"the variable IPCLUSTERZ_MPI is {family}" in done.stdout


def test_the_variable_names_a_library(python: Path) -> None:
    library = str(OPENMPI5 / "lib/libmpi.so.40")
    done = ask(python, IPCLUSTERZ_MPI=library)
    assert f"path='{library}', says='Open MPI v5." in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("lam", "'lam': it is neither a family nor the path of a file"),
        ("/nowhere/libmpi.so.40", "'/nowhere/libmpi.so.40': there is no such file"),
        (str(Path(__file__)), "invalid ELF header"),
        ("/proc/self/exe", "cannot dynamically load"),
    ],
)
def test_a_variable_that_cannot_be_used(python: Path, value: str, said: str) -> None:
    done = ask(python, IPCLUSTERZ_MPI=value)
    assert done.returncode == 1
    assert said in done.stderr
    assert "IPCLUSTERZ_MPI" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("hint: ")


def test_a_library_that_is_no_mpi(python: Path, tmp_path: Path) -> None:
    library = tmp_path / "libmpi.so.40"
    library.symlink_to(next(Path("/lib").glob("*/libm.so.6")))
    done = ask(python, IPCLUSTERZ_MPI=str(library))
    assert "it is no MPI library" in done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "int MPI_Abi_get_version(int *major, int *minor) { *major = 1; *minor = 0; return 0; }",
            "it has the standard binary interface of MPI 5.0",
        ),
        ("", "it is 'LAM/MPI 7.1', and there are extensions for Open MPI 4 and 5 and for MPICH"),
    ],
)
def test_a_library_of_no_family(python: Path, tmp_path: Path, code: str, said: str) -> None:
    source, library = tmp_path / "other.c", tmp_path / "libmpi.so.40"
    version = 'int MPI_Get_library_version(char *t, int *n) { *n = 11; __builtin_strcpy(t, "LAM/MPI 7.1"); return 0; }'
    source.write_text(f"{version}\n{code}\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    done = ask(python, IPCLUSTERZ_MPI=str(library))
    assert f"{library}: {said}" in done.stderr


@pytest.fixture
def hydra(tmp_path: Path) -> Path:
    """A program that is called like one of MPICH's, in a folder of its own, and runs what it is given."""
    program = tmp_path / "bin/hydra_pmi_proxy"
    program.parent.mkdir()
    (tmp_path / "lib").mkdir()
    shutil.copy2("/bin/bash", program)
    return program


def run_below(program: Path, python: Path, code: str = ABOUT, **variables: str) -> subprocess.CompletedProcess[str]:
    # With a second command the shell does not become the program, but waits for it.
    command = [program, "-c", '"$@"; exit $?', "bash", python, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(**variables))


def test_a_broken_library_beside_the_starter_is_passed_over(python: Path, hydra: Path) -> None:
    (hydra.parents[1] / "lib/libmpi.so.12").write_text("no library")
    done = run_below(hydra, python)
    assert "family='mpich'" in done.stdout, done.stderr
    assert f"{hydra} started this process" in done.stdout


def test_what_was_looked_at_is_said(python: Path, hydra: Path, wheel: Path, tmp_path: Path) -> None:
    broken = hydra.parents[1] / "lib/libmpi.so.12"
    broken.write_text("no library")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "part")
    shutil.rmtree(tmp_path / "part/ipclusterz_mpi/mpich")
    done = run_below(hydra, python, PYTHONPATH=str(tmp_path / "part"))
    said = done.stderr.partition("no MPI library can be loaded")[2]
    assert f"({hydra} started this process)" in said
    assert f"looked beside {hydra}" in said
    assert "looked in LD_LIBRARY_PATH" in said
    assert "looked by `mpicc -show`" in said
    assert f"{broken}: " in said
    assert "it is 'MPICH Version: " in said
    assert "there are extensions for Open MPI 4 and 5 alone" in said
    assert "hint: load the module of the MPI that starts the ranks" in said


def test_no_second_mpi_beside_that_of_another_module(python: Path) -> None:
    code = f"import ctypes; ctypes.CDLL('libmpi.so.40'); {ABOUT}"
    done = ask(python, code)
    assert "mpi4py or another module has loaded it" in done.stdout, done.stderr
    done = ask(python, code, IPCLUSTERZ_MPI="mpich")
    assert "it is 'Open MPI v4.1" in done.stderr
    assert "the variable IPCLUSTERZ_MPI is mpich" in done.stderr
    done = ask(python, code, IPCLUSTERZ_MPI=str(OPENMPI5 / "lib/libmpi.so.40"))
    assert "this process has loaded /usr/lib/" in done.stderr


@pytest.mark.parametrize(("flavour", "other"), [("mpich", "openmpi"), ("openmpi", "mpich"), ("openmpi5", "mpich")])
def test_a_wrong_choice_is_refused_in_words(python: Path, flavour: str, other: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text(
        f'[engines]\nlauncher = "mpiexec"\npython = "{python}"\ntimeout = 60\n'
        f'[mpiexec]\nprogram = "{starter(flavour)}"\noversubscribe = true\nallow_root = true\n'
        f'[engines.env]\nIPCLUSTERZ_MPI = "{other}"\n'
    )
    start = [IPCLUSTERZ, "start", "-n", "2", "--profile", profile, "--cluster", f"wrong-{flavour}-{os.getpid()}"]
    done = subprocess.run(start, capture_output=True, text=True, timeout=SECONDS, env=environment())
    assert done.returncode == 5, done.stderr
    assert "2 engines that each believe to be rank 0 of 1" in done.stderr
    assert f"the variable IPCLUSTERZ_MPI is {other}" in done.stderr


@pytest.mark.parametrize("order", ["mpi4py first", "mpi4py later", "mpi4py does not initialise"])
def test_beside_mpi4py(python: Path, flavour: str, order: str, tmp_path: Path) -> None:
    variables = {"TMPDIR": str(tmp_path)}
    # Two processes of Open MPI that know nothing of each other, as they are with another one's mpiexec, both make this.
    (tmp_path / f"ompi.{socket.gethostname().partition('.')[0]}.{os.getuid()}").mkdir(mode=0o700)
    if flavour == "mpich":
        # It looks for libmpi.so.12, and Debian's MPICH is called otherwise.
        (tmp_path / "libmpi.so.12").symlink_to(next(Path("/usr/lib").glob("*/libmpich.so.12")))
        variables["LD_LIBRARY_PATH"] = str(tmp_path)
    if flavour == "openmpi5" and order == "mpi4py first":
        variables["LD_LIBRARY_PATH"] = str(OPENMPI5 / "lib")
    done = ranks(python, flavour, HERE / "programs/beside_mpi4py.py", order, **variables)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_build_of_a_site_knows_what_it_is_for(python: Path) -> None:
    site = {"PYTHONPATH": str(BUILT / "openmpi")}
    done = ask(python, **site)
    assert "serves=('openmpi',), family='openmpi'" in done.stdout, done.stderr
    assert "this build is linked to it" in done.stdout
    done = ask(python, IPCLUSTERZ_MPI="mpich", **site)
    assert "'mpich': this build has no extension for it" in done.stderr
    done = ask(python, IPCLUSTERZ_MPI=str(OPENMPI5 / "lib/libmpi.so.40"), **site)
    assert "says='Open MPI v5." in done.stdout, done.stderr
    done = ask(python, f"import ctypes; ctypes.CDLL('libmpich.so.12'); {ABOUT}", **site)
    assert "this process has loaded more than one MPI: " in done.stderr
