"""Execute every notebook from clean, without a network; ``--write`` keeps the outputs.

    python notebooks/execute.py [--write] [NAME...]

Exit status 1 when a cell fails. Without ``--write`` the files stay as they are: what is checked is
that each still runs from top to bottom.
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat
import zmq
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbclient.output_widget import OutputWidget

FOLDER = Path(__file__).parent
TIMEOUT = 240  # seconds a cell

# Runs in the kernel before the first cell: a notebook that reaches for the network fails here too,
# not only on the machine that has none. Figures come out with the same bytes every time.
PRELUDE = """
import socket as _socket
_connect = _socket.socket.connect
def _local_only(self, address):
    if self.family != _socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"notebooks run without a network; this one asked for {address[0]}")
    return _connect(self, address)
_socket.socket.connect = _local_only
"""


class Output(OutputWidget):
    """nbclient's stand-in for the output widget of ``interact``, on which no reply is missed.

    It answers the kernel on the socket where the client waits for the cell's reply. A send uses up
    that socket's wake-up (``ZMQ_FD`` is edge-triggered), and the client's does not look at the
    events afterwards: a reply that came just then would lie unread until the cell's timeout. Asking
    for the events schedules its reading.
    """

    def send(self, *args, **kwargs) -> None:
        super().send(*args, **kwargs)
        self.kernel_client.shell_channel.socket.get(zmq.EVENTS)


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs.

    Raises:
        CellExecutionError: a cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PRELUDE))
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
    )
    client.widget_registry["@jupyter-widgets/output"]["OutputModel"] = Output
    client.execute()
    del notebook.cells[0]
    # A slider's state means nothing without a kernel, and its ids differ from run to run.
    notebook.metadata.pop("widgets", None)
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the outputs in the files")
    parser.add_argument("names", nargs="*", help="notebooks by file name; all by default")
    options = parser.parse_args()
    paths = [FOLDER / Path(n).name for n in options.names] or sorted(FOLDER.glob("*.ipynb"))
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        parser.error(f"no notebook {', '.join(missing)} in {FOLDER.name}/")
    failed = 0
    for path in paths:
        start = time.perf_counter()
        try:
            notebook = execute(path)
        except CellExecutionError as error:
            failed += 1
            print(f"{path.name}: FAILED\n{error}", file=sys.stderr)
            continue
        if options.write:
            nbformat.write(notebook, path)
        print(f"{path.name}: ran in {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{len(paths) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
