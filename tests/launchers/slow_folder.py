"""A folder as hosts see it that share a slow file system: a FUSE file system, read-only, that waits before each open.

It shows the files of another folder, and writes each path that is opened to a log, so that a test can count what was
read, and by how many. Nothing is kept from one open to the next, as with NFS, whose clients ask at each open; names and
attributes are kept for a minute. Speaks the kernel's protocol (`linux/fuse.h`, version 7.31) itself, in threads: so
many opens wait at the same time.

Run as root: `slow_folder.py SOURCE FOLDER OPENS`, where so many opens are answered at once at most. It mounts FOLDER,
prints a line, and unmounts at the end of its standard input. FOLDER.delay has the seconds, and FOLDER.log gets the
paths.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, DESTROY, INTERRUPT, BATCH_FORGET = 25, 26, 27, 28, 29, 38, 36, 42
NO_ANSWER = {FORGET, INTERRUPT, BATCH_FORGET}
ASYNC_READ, PARALLEL_DIROPS, MAX_PAGES = 1, 1 << 18, 1 << 22
KEPT_SECONDS = 60
THREADS = 64
REQUEST_MOST = 1 << 20
MS_RDONLY, MS_NOSUID, MS_NODEV, MNT_DETACH = 1, 2, 4, 2
libc = ctypes.CDLL(None, use_errno=True)


class SlowFolder:
    """The file system, from the moment at which it is mounted."""

    def __init__(self, source: Path, folder: Path, at_once: int) -> None:
        self.at_once = threading.Semaphore(at_once)
        self.delay = folder.with_name(folder.name + ".delay")
        self.log = os.open(folder.with_name(folder.name + ".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.device = os.open("/dev/fuse", os.O_RDWR)
        self.paths = {1: source}
        self.numbers = {source: 1}
        self.lists: dict[int, list[os.DirEntry[str]]] = {}
        self.lock = threading.Lock()
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other"
        flags = MS_RDONLY | MS_NOSUID | MS_NODEV
        if libc.mount(b"slow", os.fsencode(folder), b"fuse", flags, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"mounting {folder}")
        for _ in range(THREADS):
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self.device, REQUEST_MOST + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return
            _, kind, unique, node, *_ = struct.unpack_from("<IIQQIIII", request)
            if kind in NO_ANSWER:
                continue
            try:
                answer, code = self._answer(kind, node, request[40:]), 0
            except OSError as error:
                answer, code = b"", error.errno or errno.EIO
            try:
                os.write(self.device, struct.pack("<IiQ", 16 + len(answer), -code, unique) + answer)
            except OSError:
                # Whoever asked was interrupted, or the folder has been unmounted.
                continue

    def _answer(self, kind: int, node: int, body: bytes) -> bytes:
        if kind == INIT:
            major, _, readahead, _ = struct.unpack_from("<IIII", body)
            flags = ASYNC_READ | PARALLEL_DIROPS | MAX_PAGES
            return struct.pack("<IIIIHHIIHHI28x", major, 31, readahead, flags, 64, 48, 1 << 17, 1, 256, 0, 0)
        path = self.paths[node]
        if kind == LOOKUP:
            return self._entry(path / os.fsdecode(body.rstrip(b"\0")))
        if kind == GETATTR:
            return struct.pack("<QII", KEPT_SECONDS, 0, 0) + self._attributes(path)
        if kind == READLINK:
            return os.fsencode(os.readlink(path))
        if kind == OPEN:
            self._wait_and_note(path)
            return struct.pack("<QII", os.open(path, os.O_RDONLY), 0, 0)
        if kind == OPENDIR:
            self._wait_and_note(path)
            with self.lock, os.scandir(path) as entries:
                handle = len(self.lists)
                self.lists[handle] = sorted(entries, key=lambda entry: entry.name)
            return struct.pack("<QII", handle, 0, 0)
        if kind in (READ, READDIR):
            handle, offset, size = struct.unpack_from("<QQI", body)
            return os.pread(handle, size, offset) if kind == READ else self._names(handle, offset, size)
        if kind == RELEASE:
            os.close(struct.unpack_from("<Q", body)[0])
            return b""
        if kind == STATFS:
            found = os.statvfs(path)
            counts = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
            return struct.pack("<QQQQQIIII24x", *counts, found.f_bsize, 255, found.f_frsize, 0)
        if kind in (FLUSH, RELEASEDIR, DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "not needed for reading")

    def _wait_and_note(self, path: Path) -> None:
        os.write(self.log, os.fsencode(path.relative_to(self.paths[1])) + b"\n")
        with self.at_once:
            time.sleep(float(self.delay.read_text()))

    def _entry(self, path: Path) -> bytes:
        attributes = self._attributes(path)
        return struct.pack("<QQQQII", self._number(path), 0, KEPT_SECONDS, KEPT_SECONDS, 0, 0) + attributes

    def _number(self, path: Path) -> int:
        with self.lock:
            number = self.numbers.setdefault(path, len(self.numbers) + 1)
            self.paths[number] = path
            return number

    @staticmethod
    def _attributes(path: Path) -> bytes:
        found = path.lstat()
        times = [found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns]
        seconds, rests = [time // 10**9 for time in times], [time % 10**9 for time in times]
        owner = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0)
        return struct.pack("<QQQQQQIIIIIIIIII", found.st_ino, found.st_size, found.st_blocks, *seconds, *rests, *owner)

    def _names(self, handle: int, offset: int, size: int) -> bytes:
        answer = b""
        for index, entry in enumerate(self.lists[handle][offset:], start=offset + 1):
            name = os.fsencode(entry.name)
            kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) >> 12
            one = struct.pack("<QQII", entry.inode(), index, len(name), kind) + name
            one += b"\0" * (-len(one) % 8)
            if len(answer) + len(one) > size:
                break
            answer += one
        return answer


class Slow:
    """A slow folder that is served by a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._delay = folder.with_name(folder.name + ".delay")
        self._log = folder.with_name(folder.name + ".log")
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """From now on an open takes so long."""
        whole = self._delay.with_name(self._delay.name + ".new")
        whole.write_text(str(seconds))
        whole.rename(self._delay)

    def opened(self) -> Counter[str]:
        """How often each path was opened, relative to the folder; `.` is the folder itself."""
        return Counter(self._log.read_text().splitlines())

    def forget(self) -> None:
        """Count from 0 again."""
        self._log.write_text("")

    def remove(self) -> None:
        """Leave nothing of it."""
        self.folder.rmdir()
        for file in (self._delay, self._log):
            file.unlink(missing_ok=True)


@contextmanager
def slow_folder(source: Path, folder: Path, at_once: int = THREADS) -> Iterator[Slow]:
    """The files of `source` at `folder`."""
    folder.mkdir()
    slow = Slow(folder)
    command = [sys.executable, __file__, str(source), str(folder), str(at_once)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "ready\n"
            yield slow
        finally:
            server.stdin.close()
            server.wait(20)
            slow.remove()


def main() -> None:
    """Serve until the end of standard input."""
    source, folder, at_once = sys.argv[1:]
    SlowFolder(Path(source), Path(folder), int(at_once))
    try:
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        libc.umount2(os.fsencode(folder), MNT_DETACH)


if __name__ == "__main__":
    main()
