"""Reads evidence files back: all of one, its frames one by one, or what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from mcap.exceptions import McapError
from mcap.reader import McapReader, make_reader

from gradwatch.streams.wire.messages import Alert, EncodedFrame, FrameStamp
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.pixels import BadRecordError

from .absences import MissingCause, TimeWindow
from .format import ALERTS, CAMERA, FRAMES, METADATA, REPORTS, EvidenceError, FrameRecord
from .windows import Window

BROKEN = (McapError, BadRecordError, msgspec.MsgspecError, OSError, ValueError, KeyError, EOFError)


class Evidence(NamedTuple):
    """What an evidence file holds: revisions of the alert, its window, and the metadata by name."""

    alerts: list[Alert]
    window: Window
    metadata: dict[str, str]


def read_file(path: Path) -> Evidence:
    """All of an evidence file. Raises `EvidenceError`."""
    frames = list(read_frames(path))
    with _reader(path) as reader:
        return _evidence(reader, frames)


def read_outline(path: Path) -> Evidence:
    """An evidence file without its frames. Raises `EvidenceError`."""
    with _reader(path) as reader:
        return _evidence(reader, [])


def read_metadata(path: Path) -> dict[str, str]:
    """What an evidence file says of itself, read from its end alone. Raises `EvidenceError`."""
    with _reader(path) as reader:
        return _metadata_in(reader)


def read_frames(path: Path) -> Iterator[EncodedFrame]:
    """The frames of an evidence file, one after the other. Raises `EvidenceError`."""
    with _reader(path) as reader:
        record: FrameRecord | None = None
        for _, channel, message in reader.iter_messages([FRAMES, CAMERA], log_time_order=False):
            if channel.topic == FRAMES:
                record = msgspec.json.decode(message.data, type=FrameRecord)
            elif record is not None:
                yield _frame(record, CompressedImage.FromString(message.data).data)


def topic_counts(path: Path) -> dict[str, int]:
    """Number of messages by topic. Raises `EvidenceError`."""
    with _reader(path) as reader:
        summary = reader.get_summary()
        if summary is None or summary.statistics is None:
            raise EvidenceError(f"{path}: expected an MCAP file with statistics, got one without")
        counts = summary.statistics.channel_message_counts
        return {channel.topic: counts.get(number, 0) for number, channel in summary.channels.items()}


@contextmanager
def _reader(path: Path) -> Iterator[McapReader]:
    try:
        with path.open("rb") as stream:
            yield make_reader(stream, validate_crcs=True)
    except EvidenceError:
        raise
    except FileNotFoundError:
        raise
    except BROKEN as error:
        raise EvidenceError(f"{path}: expected an evidence file, got {type(error).__name__}: {error}") from error


def _evidence(reader: McapReader, frames: list[EncodedFrame]) -> Evidence:
    metadata = _metadata_in(reader)
    alerts = [decode_alert(message.data) for _, _, message in reader.iter_messages([ALERTS], log_time_order=False)]
    kept = next((one.data for one in reader.iter_attachments() if one.name == REPORTS), b"\x90")
    reports = [decode_report(content) for content in msgspec.msgpack.decode(kept, type=list[bytes])]
    missing = msgspec.json.decode(metadata["missing"], type=list[tuple[int, MissingCause]])
    time = TimeWindow(int(metadata["start_ns"]), int(metadata["end_ns"]))
    window = Window(time, frames, reports, [seq for seq, _ in missing], [cause for _, cause in missing])
    return Evidence(alerts, window, metadata)


def _metadata_in(reader: McapReader) -> dict[str, str]:
    for record in reader.iter_metadata():
        if record.name == METADATA:
            return dict(record.metadata)
    raise EvidenceError("expected an evidence file, got an MCAP file without the metadata of one")


def _frame(record: FrameRecord, content: bytes) -> EncodedFrame:
    fields = msgspec.structs.asdict(record)
    identity = {name: fields.pop(name) for name in ("stream_id", "run_id", "seq")}
    times = {name: int(fields[name]) for name in ("capture_ns", "published_ns")}
    encoding = fields.pop("encoding")
    stamp = msgspec.convert(fields | times | {"identity": identity, "size_bytes": len(content)}, FrameStamp)
    return EncodedFrame(stamp, content, encoding)
