"""Reads evidence files: whole, frame by frame, or their metadata alone. Needs the extra `evidence`.

Every function raises `EvidenceError` for a file that it can't read, and `MissingFileError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from mcap.exceptions import McapError
from mcap.reader import McapReader, make_reader

from gradwatch import MissingFileError
from gradwatch.streams.wire.messages import EncodedFrame, FrameIdentity, FrameStamp
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.pixels import BadRecordError, without_exif

from .format import ALERTS, CAMERA, FRAMES, METADATA, REPORTS, Evidence, EvidenceError, FrameRecord
from .window import MissingCause, TimeWindow

NO_REPORTS = b"\x90"  # an empty list in MessagePack
BROKEN = (McapError, BadRecordError, msgspec.MsgspecError, OSError, ValueError, KeyError, EOFError)


def read_evidence(path: Path) -> Evidence:
    """A whole evidence file."""
    return read_outline(path)._replace(frames=list(read_frames(path)))


def read_outline(path: Path) -> Evidence:
    """An evidence file without its frames."""
    with _reader(path) as reader:
        metadata = _metadata(reader, path)
        alerts = [decode_alert(message.data) for _, _, message in reader.iter_messages([ALERTS], log_time_order=False)]
        stored = next((one.data for one in reader.iter_attachments() if one.name == REPORTS), NO_REPORTS)
        reports = [decode_report(content) for content in msgspec.msgpack.decode(stored, type=list[bytes])]
        missing = dict(msgspec.json.decode(metadata["missing"], type=list[tuple[int, MissingCause]]))
        time = TimeWindow(int(metadata["start_ns"]), int(metadata["end_ns"]))
        return Evidence(alerts, time, [], reports, missing, metadata)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of an evidence file, read from its end alone."""
    with _reader(path) as reader:
        return _metadata(reader, path)


def read_frames(path: Path) -> Iterator[EncodedFrame]:
    """The frames of an evidence file, one after the other."""
    with _reader(path) as reader:
        record: FrameRecord | None = None
        for _, channel, message in reader.iter_messages([FRAMES, CAMERA], log_time_order=False):
            if channel.topic == FRAMES:
                record = msgspec.json.decode(message.data, type=FrameRecord)
            elif record is not None:
                yield _frame(record, CompressedImage.FromString(message.data).data)


def topic_counts(path: Path) -> dict[str, int]:
    """Number of messages by topic."""
    with _reader(path) as reader:
        summary = reader.get_summary()
        if summary is None or summary.statistics is None:
            raise ValueError("an MCAP file without statistics")
        counts = summary.statistics.channel_message_counts
        return {channel.topic: counts.get(number, 0) for number, channel in summary.channels.items()}


@contextmanager
def _reader(path: Path) -> Iterator[McapReader]:
    try:
        with path.open("rb") as stream:
            yield make_reader(stream, validate_crcs=True)
    except FileNotFoundError as error:
        raise MissingFileError(f"expected an evidence file at {path}, got nothing there") from error
    except EvidenceError:
        raise
    except BROKEN as error:
        raise EvidenceError(f"{path}: expected an evidence file, got {type(error).__name__}: {error}") from error


def _metadata(reader: McapReader, path: Path) -> dict[str, str]:
    for record in reader.iter_metadata():
        if record.name == METADATA:
            return dict(record.metadata)
    raise EvidenceError(f"{path}: expected an evidence file, got an MCAP file without the metadata of one")


def _frame(record: FrameRecord, content: bytes) -> EncodedFrame:
    stamp = FrameStamp(
        FrameIdentity(record.stream_id, record.run_id, record.seq),
        int(record.capture_ns),
        int(record.published_ns),
        record.clock,
        record.traceparent,
        record.partition,
        record.offset,
        len(content),
    )
    return EncodedFrame(stamp, without_exif(content), record.encoding)
