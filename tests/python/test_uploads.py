"""`Client.upload`: files and packages are on each host once, first on the path of engines, whenever these come."""

from __future__ import annotations

import os
import socket
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import engine_pid, until

import ipclusterz as ipz
from ipclusterz import Client, Cluster, CompositeError
from ipclusterz.client import uploads

HOST = os.uname().nodename


@pytest.fixture(scope="module")
def engines() -> Iterator[Cluster]:
    """Two engines."""
    cluster = Cluster(n=2, cluster=f"uploads-{os.getpid()}")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def client(engines: Cluster) -> Iterator[Client]:
    with engines.connect_client() as client:
        client.wait_for_engines(2)
        yield client
        client[:].clear(block=True)


def run(client: Client, code: str, name: str) -> Any:
    """What a name stands for on all engines, once code has run there."""
    client[:].execute(code, block=True)
    values = list(client[:].pull(name, block=True).values())
    assert all(value == values[0] for value in values)
    return values[0]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__in__", "/").replace("__dot__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_module_is_first_on_the_path_and_can_be_replaced(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "edited_upload.py"
    file.write_text("x = 1\n")
    put = client.upload(file)
    assert (put.name, put.files, put.bytes, put.modules) == (file.name, 1, 6, ("edited_upload",))
    place = run(client, "import edited_upload, sys\nfile, first = edited_upload.__file__, sys.path[0]", "file")
    assert put.places == {HOST: place}
    assert run(client, "", "first") == os.path.dirname(place)
    assert stat.S_IMODE(os.stat(os.path.dirname(place)).st_mode) == 0o700
    # The same again changes nothing, not even what is imported.
    run(client, "edited_upload.seen = True", "first")
    assert client.upload(str(file)) == put
    assert run(client, "seen = edited_upload.seen", "seen") is True
    # What engines have bound is the new one, and what they had of the old one is gone.
    file.write_text("x = 2\nfrom edited_upload import x as y\n")
    assert client.upload(file).places != put.places
    assert run(client, "value = edited_upload.x, edited_upload.y", "value") == (2, 2)
    assert run(client, "count = sum('uploads' in each for each in sys.path)", "count") == 1
    until(lambda: not os.path.exists(place))


def test_what_is_on_the_path_is_what_python_would_look_for(client: Client, tmp_path: Path) -> None:
    package, folder, project = tmp_path / "package_up", tmp_path / "folder_up", tmp_path / "project_up"
    write(package, __init____dot__py="from .inner import x\n", inner__dot__py="x = 'package'\n")
    write(folder, one_up__dot__py="x = 'folder'\n", two_up__in__deep__dot__py="x = 'below'\n", text__dot__txt="")
    write(project, setup__dot__cfg="", src__in__three_up__in____init____dot__py="x = 'src'\n")
    assert client.upload(package).modules == ("package_up",)
    assert client.upload(folder).modules == ("one_up", "two_up")
    assert client.upload(project).modules == ("three_up",)
    code = "import package_up, one_up, two_up.deep, three_up\nx = package_up.x, one_up.x, two_up.deep.x, three_up.x"
    assert run(client, code, "x") == ("package", "folder", "below", "src")


def test_data_is_found_by_its_name(client: Client, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("1,2")
    large = os.urandom(40 << 20)
    write(tmp_path / "tables", a__dot__bin="")
    (tmp_path / "tables" / "a.bin").write_bytes(large)
    client.upload(tmp_path / "table.csv")
    assert client.upload(tmp_path / "tables").bytes == len(large)
    assert client[1].apply_sync(lambda: ipz.uploaded("table.csv").read_text()) == "1,2"
    assert client[0].apply_sync(lambda: (ipz.uploaded("tables") / "a.bin").read_bytes()) == large
    with pytest.raises(ipz.RemoteError, match=r"nothing was uploaded as 'other.csv'; there is: .*'table.csv'"):
        client[0].apply_sync(lambda: ipz.uploaded("other.csv"))
    with pytest.raises(FileNotFoundError, match="for code that runs on an engine"):
        ipz.uploaded("table.csv")


def wheel(folder: Path, version: str, tags: str = "py3-none-any") -> Path:
    path = folder / f"wheel_up-{version}-{tags}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("wheel_up/__init__.py", f"version = {version!r}\nfrom wheel_more import more\n")
        archive.writestr(f"wheel_up-{version}.data/purelib/wheel_more.py", "more = 'more'\n")
        archive.writestr(f"wheel_up-{version}.dist-info/METADATA", f"Name: wheel-up\nVersion: {version}\n")
    return path


def test_wheels_and_zip_files_are_unpacked(client: Client, tmp_path: Path) -> None:
    put = client.upload(wheel(tmp_path, "1.0"))
    assert (put.name, put.modules) == ("wheel_up", ("wheel_up", "wheel_more"))
    code = "import wheel_up, importlib.metadata as m\nx = wheel_up.version, wheel_up.more, m.version('wheel-up')"
    assert run(client, code, "x") == ("1.0", "more", "1.0")
    # Another version takes its place.
    client.upload(wheel(tmp_path, "1.1"))
    assert run(client, code, "x") == ("1.1", "more", "1.1")
    with zipfile.ZipFile(tmp_path / "modules.zip", "w") as archive:
        archive.writestr("zipped_up.py", "import os\nx = os.path.isfile(__file__)\n")
    client.upload(tmp_path / "modules.zip")
    assert run(client, "import zipped_up\nx = zipped_up.x", "x") is True
    with pytest.raises(CompositeError, match=r"this wheel is for cp27-cp27m-win32, and the engine is Python 3\."):
        client.upload(wheel(tmp_path, "2.0", "cp27-cp27m-win32"))
    (tmp_path / "damaged-1-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="cannot be read as a whl file"):
        client.upload(tmp_path / "damaged-1-py3-none-any.whl")
    with pytest.raises(ValueError, match=r"NAME-VERSION-PYTHON-ABI-PLATFORM\.whl"):
        client.upload((tmp_path / "modules.zip").rename(tmp_path / "modules.whl"))


def test_engines_that_come_later_have_it_first(
    own_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPCLUSTERZ_RESTART", "true")
    cluster = own_cluster(2)
    with cluster.connect_client() as client:
        for version in (1, 2):
            (tmp_path / "later_up.py").write_text(f"x = {version}\n")
            client.upload(tmp_path / "later_up.py")
        pid = engine_pid(client, 1)
    # Nobody has to be there who has uploaded it.
    with cluster.connect_client() as other:
        os.kill(pid, 9)
        until(lambda: any(each["id"] == 1 and each["pid"] != pid for each in other.status()["engines"]), 30)
        assert other[1].apply_sync(lambda: __import__("later_up").x) == 2
    with pytest.raises(ipz.NoEnginesRegistered, match="was not sent"):
        uploads.upload(Empty(), tmp_path / "later_up.py")  # type: ignore[arg-type]


class Empty:
    """A client of a cluster that has no engines."""

    def _live(self) -> list[int]:
        return []


def test_what_a_folder_has_beside_files(client: Client, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "mixed", tmp_path / "elsewhere"
    write(folder, a__in__b__dot__txt="b", __pycache____in__x__dot__pyc="", run__dot__sh="", c__dot__pyc="")
    write(folder, __dot__git__in__config="", venv__in__pyvenv__dot__cfg="", venv__in__lib__dot__py="")
    write(elsewhere, data__dot__txt="data", more__in__text__dot__txt="more")
    (folder / "run.sh").chmod(0o750)
    (folder / "inner").symlink_to("a/b.txt")
    (folder / "outer").symlink_to(elsewhere / "data.txt")
    (folder / "all").symlink_to(elsewhere)
    place = Path(client.upload(folder).places[HOST])
    found = sorted(str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir())
    assert found == ["a/b.txt", "all/data.txt", "all/more/text.txt", "inner", "outer", "run.sh"]
    assert os.readlink(place / "inner") == "a/b.txt"
    assert not (place / "outer").is_symlink()
    assert os.access(place / "run.sh", os.X_OK)
    assert not os.access(place / "a/b.txt", os.X_OK)
    # The folder itself may be a link.
    (tmp_path / "by_link").symlink_to(folder)
    assert client.upload(tmp_path / "by_link").files == 6


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: (path / "gone").symlink_to("nowhere"), "gone is a link to nothing: nowhere"),
        (lambda path: (path / "up").symlink_to(path.parent), "is a link to a folder that it is in"),
        (lambda path: os.mkfifo(path / "pipe"), "pipe is neither a file nor a folder"),
        (lambda path: (path / "token.py").write_text(""), "would hide 'token' of Python"),
        (lambda path: (path / "ipclusterz").mkdir() or (path / "ipclusterz/a.py").write_text(""), "hide 'ipclusterz'"),
        (lambda path: (path / "x").unlink(), "has no files that can be uploaded"),
        (
            lambda path: os.truncate(path / "x", uploads.LARGEST + 1),
            "larger than an upload may be, which is 1024 MiB",
        ),
    ],
)
def test_what_cannot_be_uploaded(client: Client, tmp_path: Path, make: Callable[[Path], object], text: str) -> None:
    folder = tmp_path / "bad"
    write(folder, x="1")
    make(folder)
    with pytest.raises(ValueError, match=text):
        client.upload(folder)


def test_a_socket_cannot_be_uploaded(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(ValueError, match="s is neither a file nor a folder"):
            client.upload("s")


def test_it_is_gone_with_the_cluster(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = own_cluster(2)
    (tmp_path / "data.txt").write_text("1")
    with cluster.connect_client() as client:
        place = Path(client.upload(tmp_path / "data.txt").places[HOST])
    folder = place.parents[2]
    assert (folder.name, stat.S_IMODE(folder.stat().st_mode)) == ("uploads", 0o700)
    cluster.stop()
    assert not folder.exists()
