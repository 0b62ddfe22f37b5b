"""A way to a cluster on another host, for one client: the `ipclusterz tunnel` command as a child process.

All of SSH is the command's. It asks through this process when it needs a password, so that the question appears where
the user is; what is answered goes through a pipe.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
import weakref

from ..compat import OWN_PROCESS_GROUP
from ..error import ClusterError, ConnectionFileError, ControllerUnreachable, IpclusterzError
from .command import answer_to, program, send_answer, terminate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Tunnel"]

# To connect and to find the cluster; each step has a shorter deadline of its own in the command, which says more.
_OPEN_SECONDS = 90.0
_STOP_SECONDS = 15.0
# What speaks SSH, as `ipclusterz tunnel --backend` knows it.
_BACKENDS = ("libssh2", "openssh")
_KINDS: dict[str, type[IpclusterzError]] = {
    "no_cluster": ConnectionFileError,
    "unreachable": ControllerUnreachable,
    "timeout": ControllerUnreachable,
}


class Tunnel:
    """A tunnel that is open until `close`, or until this process ends.

    Parameters
    ----------
    sshserver : str
        ``user@host``, ``user@host:port``, or a ``Host`` of ``~/.ssh/config``.
    cluster : str, optional
        Name of the cluster there.
    profile : str, optional
        Name or file of the profile of this host whose ``[ssh]`` is used.
    backend : str, optional
        ``"libssh2"`` or ``"openssh"``; left out, the profile's.
    sshkey : path-like, optional
        A private key.
    password : str, optional
        Password of the user, or passphrase of the key.

    Attributes
    ----------
    file : str
        The connection file that leads through it.

    Raises
    ------
    TypeError
        When a host, name or backend is no text.
    ValueError
        When there is no such backend.
    """

    def __init__(
        self,
        sshserver: str,
        *,
        cluster: str | None = None,
        profile: str | None = None,
        backend: str | None = None,
        sshkey: str | os.PathLike[str] | None = None,
        password: str | None = None,
    ) -> None:
        command = [program(), "tunnel", "--json", "--ask-on-stdio", "--exit-with-parent"]
        named = (("sshserver", sshserver), ("cluster", cluster), ("profile", profile), ("sshbackend", backend))
        for name, value in named:
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name}= is text, not {type(value).__name__}")
        if backend is not None and backend not in _BACKENDS:
            raise ValueError(f"sshbackend is {' or '.join(map(repr, _BACKENDS))}, not {backend!r:.80}")
        for option, value in (("--cluster", cluster), ("--profile", profile), ("--backend", backend)):
            if value is not None:
                command.append(f"{option}={value}")
        if sshkey is not None:
            command += ["--identity", os.path.expanduser(os.fspath(sshkey))]
        command += ["--", sshserver]
        self._password = password
        with tempfile.TemporaryFile() as errors:
            # A group of its own: Ctrl-C at the prompt is for the prompt, not for the tunnel.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, **OWN_PROCESS_GROUP
            )
            self.close = weakref.finalize(self, _end, self._process, os.getpid())
            try:
                report = self._open(sshserver)
            except BaseException:
                self.close()
                raise
            finally:
                self._password = None
            if "error" in report:
                self.close()
                raise _error(report["error"])
            if "file" not in report:
                self.close()
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()
                status = self._process.returncode
                raise ClusterError(f"the tunnel to {sshserver} ended with status {status}\n{said}")
        self.file: str = report["file"]

    @property
    def is_open(self) -> bool:
        """Whether the command runs; it connects again by itself when the connection breaks."""
        return self._process.poll() is None

    def _open(self, sshserver: str) -> dict[str, Any]:
        """Answer questions until the command says that it is ready, or why not."""
        deadline = time.monotonic() + _OPEN_SECONDS
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        output = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                line, newline, rest = output.partition(b"\n")
                if newline:
                    output = rest
                    told: dict[str, Any] = json.loads(line)
                    if "question" not in told:
                        return told
                    asked = time.monotonic()
                    self._answer(str(told["question"]), int(told["attempt"]))
                    deadline += time.monotonic() - asked
                    continue
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ControllerUnreachable(f"the tunnel to {sshserver} was not open within {_OPEN_SECONDS:g} s")
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    self._process.wait(_STOP_SECONDS)
                    return {}
                output += chunk

    def _answer(self, question: str, attempt: int) -> None:
        given = self._password if attempt == 0 else None
        send_answer(self._process, answer_to(question) if self._password is None else given)


def _error(told: dict[str, Any]) -> IpclusterzError:
    message = str(told.get("message", ""))
    kind = _KINDS.get(str(told.get("kind")), ClusterError)
    return kind(message, hint=str(told.get("hint") or ""))


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """End the command, which removes its files."""
    if not terminate(process, owner):
        return
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
