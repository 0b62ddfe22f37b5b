"""Frontends of Jupyter, for tests of kernels: a real client, which connects by a connection file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KERNEL = "ours"
SECONDS = 30


class Frontend:
    """One that is connected to a kernel.

    Attributes
    ----------
    client : jupyter_client.BlockingKernelClient
        What it is connected with.
    """

    def __init__(self, file: str) -> None:
        from jupyter_client.blocking.client import BlockingKernelClient

        self.client: Any = BlockingKernelClient(connection_file=file)
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    def run(self, code: str, **options: Any) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
        """Execute a cell: the reply, and the types and contents of its messages, without what all cells have."""
        said: list[tuple[str, Any]] = []

        def hear(message: dict[str, Any]) -> None:
            if message["header"]["msg_type"] not in ("status", "execute_input"):
                said.append((message["header"]["msg_type"], message["content"]))

        reply = self.client.execute_interactive(code, output_hook=hear, timeout=SECONDS, **options)
        return reply["content"], said

    def texts(self, code: str) -> dict[str, str]:
        """Execute a cell that must succeed: what it wrote to each stream, and its value as ``value``."""
        reply, said = self.run(code)
        assert reply["status"] == "ok", reply
        found: dict[str, str] = {}
        for kind, content in said:
            if kind == "stream":
                found[content["name"]] = found.get(content["name"], "") + content["text"]
            elif kind == "execute_result":
                found["value"] = content["data"]["text/plain"]
        return found

    def answer(self, message_id: str) -> dict[str, Any]:
        """The reply on the channel shell to what was asked."""
        reply = self.client.get_shell_msg(timeout=SECONDS)
        while reply["parent_header"].get("msg_id") != message_id:
            reply = self.client.get_shell_msg(timeout=SECONDS)
        content: dict[str, Any] = reply["content"]
        return content

    def control(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Ask something on the channel control."""
        message = self.client.session.msg(kind, content)
        self.client.control_channel.send(message)
        reply: dict[str, Any] = self.client.get_control_msg(timeout=SECONDS)
        assert reply["parent_header"]["msg_id"] == message["header"]["msg_id"]
        return reply["content"]  # type: ignore[no-any-return]


@contextmanager
def connected(file: str) -> Iterator[Frontend]:
    """A frontend, until the block ends."""
    frontend = Frontend(file)
    try:
        yield frontend
    finally:
        frontend.client.stop_channels()
