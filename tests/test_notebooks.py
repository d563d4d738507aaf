"""Notebooks ask a question, and answer it with public names; no widget makes a cell wait."""

import ast
import asyncio
import importlib
import select
import time
from types import SimpleNamespace

import nbformat
import pytest
import zmq
from jupyter_client.asynchronous import AsyncKernelClient

from notebooks.execute import FOLDER, Output, execute
from tests.test_docs import DOCUMENTED

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_opens_with_a_question_and_needs_public_names_only(path) -> None:
    first, *cells = nbformat.read(path, as_version=4).cells
    assert first.cell_type == "markdown"
    assert "**The question.**" in first.source
    assert "?" in first.source
    code = (cell.source for cell in cells if cell.cell_type == "code")
    tree = ast.parse("\n".join(line for c in code for line in c.splitlines() if line[:1] != "%"))
    ours = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module is not None]
    ours = [node for node in ours if node.module.startswith("orderdp_")]
    assert ours
    for node in ours:
        assert node.module in DOCUMENTED.values(), node.module
        public = importlib.import_module(node.module).__all__
        assert [alias.name for alias in node.names if alias.name not in public] == []


def by_widget(client: AsyncKernelClient) -> None:
    widget = Output("comm", {"outputs": []}, client, SimpleNamespace())
    widget.parent_header = {}
    widget.sync_state()


def by_bare_send(client: AsyncKernelClient) -> None:
    zmq.Socket.shadow(client.shell_channel.socket.underlying).send(b"")


async def reply_is_read(answer, within: float) -> bool:
    """Whether a reply that arrives right before the client answers the kernel is read in time."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as kernel:
        port = kernel.bind_to_random_port("tcp://127.0.0.1")
        client = AsyncKernelClient(ip="127.0.0.1", shell_port=port)
        client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        shell = client.shell_channel
        client.kernel_info()
        identity = kernel.recv_multipart()[0]
        client.session.send(kernel, "kernel_info_reply", ident=identity)
        await shell.get_msg(timeout=60)
        time.sleep(0.2)  # a send within about 1 ms of another one leaves the wake-up alone

        reading = asyncio.create_task(shell.get_msg(timeout=60))
        await asyncio.sleep(0)
        client.session.send(kernel, "execute_reply", ident=identity)
        assert select.select([shell.socket], [], [], 60)[0], "the reply does not arrive"
        answer(client)
        done, pending = await asyncio.wait({reading}, timeout=within)
        for task in pending:
            task.cancel()
        client.stop_channels()
    return bool(done)


def test_a_reply_is_read_though_the_widget_answers() -> None:
    assert asyncio.run(reply_is_read(by_widget, within=30))


def test_a_bare_send_loses_the_reply() -> None:
    assert not asyncio.run(reply_is_read(by_bare_send, within=0.5))


def test_notebooks_use_this_widget(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    send = Output.send
    monkeypatch.setattr(Output, "send", lambda self, m: (answers.append(m), send(self, m)))
    path = tmp_path / "widget.ipynb"
    source = "import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    print(7)"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
    execute(path)
    assert answers[-1]["state"]["outputs"][0]["text"] == "7\n"
