"""Metrics for TensorBoard, as one event file that is a function of the metrics."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.summary.writer.record_writer import RecordWriter


def event_file(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The content of an event file with every number of every row as a scalar at step `epoch`.

    Rows have `epoch` and `time` (Unix seconds). A file of more rows starts with that of fewer, so
    a TensorBoard that is watching just reads on. There is no writer thread that could fail unseen.
    """
    buffer = io.BytesIO()
    records = RecordWriter(buffer)
    records.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
    for row in rows:
        scalars = Summary(
            value=[
                Summary.Value(tag=name, simple_value=value)
                for name, value in row.items()
                if name not in ("epoch", "time") and value is not None
            ]
        )
        event = Event(wall_time=row["time"], step=row["epoch"], summary=scalars)
        records.write(event.SerializeToString())
    return buffer.getvalue()
