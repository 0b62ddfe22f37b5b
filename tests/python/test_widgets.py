"""Widgets that engines display, in a real kernel of Jupyter whose frontend is played."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cells import Run
from frontends import KERNEL, SECONDS
from helpers import until

from ipclusterz import Client, Cluster, DirectView

VIEW = "application/vnd.jupyter.widget-view+json"
SLIDER = (
    "import ipywidgets\nfrom IPython.display import display\nmoves = []\nslider = ipywidgets.IntSlider(value=3)\n"
    "def moved(change):\n    moves.append(change['new'])\n    other.value = str(change['new'])\n"
    "other = ipywidgets.Label('none')\nslider.observe(moved, 'value')\ndisplay(slider)\nprint('shown')"
)


class Page:
    """A notebook in a browser, as far as these tests need it.

    Attributes
    ----------
    heard : list
        Type and content of each message of the kernel, with ``buffers``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def run(self, code: str) -> list[tuple[str, dict[str, Any]]]:
        """Run a cell that must succeed: what came with it, or while it ran."""
        before = len(self.heard)
        reply = self._client.execute_interactive(code, timeout=SECONDS, output_hook=self._hear)
        assert reply["content"]["status"] == "ok", self.heard[before:]
        return self.heard[before:]

    def send(self, kind: str, comm_id: str, data: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Send a message of a comm."""
        session = self._client.session
        message = session.msg(kind, {"comm_id": comm_id, "data": data})
        session.send(self._client.shell_channel.socket, message, buffers=buffers)

    def wait(self, kind: str, comm_id: str, wanted: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """Wait for a message of a comm."""
        position = 0

        def found() -> dict[str, Any] | None:
            nonlocal position
            if position == len(self.heard):
                self._hear(self._client.get_iopub_msg(timeout=SECONDS))
            heard, content = self.heard[position]
            position += 1
            return content if heard == kind and content.get("comm_id") == comm_id and wanted(content) else None

        content: dict[str, Any] = until(found, SECONDS, lambda: f"{kind} of {comm_id}, but {self.heard}")
        return content

    def _hear(self, message: dict[str, Any]) -> None:
        self.heard.append((message["header"]["msg_type"], {**message["content"], "buffers": message["buffers"]}))


@pytest.fixture
def engines(own_cluster: Callable[..., Cluster]) -> Cluster:
    """A cluster of two."""
    return own_cluster(2)


@pytest.fixture
def own(engines: Cluster) -> Iterator[Client]:
    """Another client of the cluster."""
    with engines.connect_client() as client:
        yield client


@pytest.fixture
def page(jupyter: object, engines: Cluster) -> Iterator[Page]:
    """A notebook whose client is one of the cluster."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name=KERNEL)
    page = Page(client)
    page.run(f"import ipclusterz\nrc = ipclusterz.Client({engines.report['client_file']!r})")
    yield page
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def shown(heard: list[tuple[str, dict[str, Any]]]) -> str:
    """The model that was displayed."""
    (data,) = [content["data"] for kind, content in heard if kind == "display_data"]
    return str(data[VIEW]["model_id"])


def value(number: Any) -> Callable[[dict[str, Any]], bool]:
    """A message that gives a widget this value."""
    return lambda content: content["data"].get("method") == "update" and content["data"]["state"].get("value") == number


def test_a_widget_is_shown_and_works_both_ways(page: Page, own: Client) -> None:
    heard = page.run(f"%%px --targets 1\n{SLIDER}")
    model = shown(heard)
    kinds = [kind for kind, _ in heard]
    opened = {content["comm_id"]: content for kind, content in heard if kind == "comm_open"}
    assert opened[model]["target_name"] == "jupyter.widget"
    assert opened[model]["data"]["state"]["value"] == 3
    # Its layout, its style and another widget with these, all before it is shown.
    assert len(opened) == 6
    assert max(number for number, kind in enumerate(kinds) if kind == "comm_open") < kinds.index("display_data")
    page.send("comm_msg", model, {"method": "update", "state": {"value": 7}, "buffer_paths": []})
    until(lambda: own[1].pull("moves", block=True) == [7])
    (label,) = [key for key, open in opened.items() if open["data"]["state"].get("_model_name") == "LabelModel"]
    page.wait("comm_msg", label, value("7"))
    page.run("%px --targets 1 slider.value = 9")
    page.wait("comm_msg", model, value(9))
    assert own[1].pull("moves", block=True) == [7, 9]
    # Also where nothing is shown.
    page.run("result = rc[1].apply_bound(lambda: setattr(__import__('__main__').slider, 'value', 11))")
    page.wait("comm_msg", model, value(11))
    # Another engine knows nothing of it.
    page.run("%px --targets 0 import ipywidgets")
    page.run("%px --targets 1 slider.close()")
    page.wait("comm_close", model)


def test_buffers_travel(page: Page, own: Client) -> None:
    heard = page.run(
        "%%px --targets 0\nimport ipywidgets\nfrom IPython.display import display\n"
        "image = ipywidgets.Image(value=b'\\x00\\xffpicture')\ndisplay(image)"
    )
    model = shown(heard)
    (opened,) = [content for kind, content in heard if kind == "comm_open" and content["comm_id"] == model]
    assert [bytes(buffer) for buffer in opened["buffers"]] == [b"\x00\xffpicture"]
    update = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    page.send("comm_msg", model, update, [b"\x00another"])
    until(lambda: own[0].apply_sync(lambda: bytes(__import__("__main__").image.value)) == b"\x00another")


def test_it_is_closed_from_the_page_and_with_its_engine(page: Page, own: Client) -> None:
    first = shown(page.run(f"%%px --targets 0\n{SLIDER}"))
    second = shown(page.run(f"%%px --targets 1\n{SLIDER}"))
    page.send("comm_close", first, {})
    until(lambda: own[0].apply_sync(lambda model: model not in __import__("comm").get_comm_manager().comms, first))
    own.shutdown(1)
    page.wait("comm_close", second)
    third = shown(page.run(f"%%px --targets 0\n{SLIDER}"))
    page.run("rc.close()")
    page.wait("comm_close", third)


def test_a_widget_that_is_another_notebooks_is_text(page: Page, own: Client) -> None:
    own[0].execute(SLIDER, block=True)
    heard = page.run("%px --targets 0 display(slider)")
    (data,) = [content["data"] for kind, content in heard if kind == "display_data"]
    assert VIEW not in data
    assert re.fullmatch(r"IntSlider\(value=3\)\n\[a widget of an engine: .*\]", data["text/plain"])


def test_at_a_prompt_it_is_text(run: Run, dv: DirectView) -> None:
    ran = run(f"%%px --targets 0\n{SLIDER}", display=True)
    assert [set(data) for data in ran.displays] == [{"text/plain"}]
    assert ran.displays[0]["text/plain"].startswith("IntSlider(value=3)\n[a widget of an engine: ")


def test_an_engine_without_widgets_runs_cells(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(1).connect_client() as client:
        client[0].apply_sync(lambda: __import__("sys").modules.update(comm=None))
        assert client[0].execute("1 + 1", block=True).result == "2"
