"""Bags as other programs write them: ROS 2 in SQLite and MCAP, Foxglove in MCAP, for the tests that read them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gradwatch.streams.wire.pixels import encode_jpeg

START_NS = 1_790_000_000_000_000_000
STEP_NS = 100_000_000
CAMERA = "/camera/image"
COMPRESSED, RAW = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image"
PICTURES = [encode_jpeg(np.full((24, 32, 3), 30 * i, np.uint8)) for i in range(1, 6)]
LOG_DELAY_NS = 7_000_000  # from a picture's stamp to when it was logged

Message = tuple[int, bytes]  # when it was logged, and its bytes


def stamps(count: int) -> list[int]:
    return [START_NS + i * STEP_NS for i in range(count)]


def typestore() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)


def _header(types: dict[str, Any], stamp_ns: int) -> Any:
    time = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
    return types["std_msgs/msg/Header"](time, "camera")


def compressed(content: bytes, stamp_ns: int, stated: str = "jpeg") -> bytes:
    store = typestore()
    message = store.types[COMPRESSED](_header(store.types, stamp_ns), stated, np.frombuffer(content, np.uint8))
    return bytes(store.serialize_cdr(message, COMPRESSED))


def raw(rows: np.ndarray, width: int, encoding: str, stamp_ns: int) -> bytes:
    """`rows` (H, step) uint8 as they lie in the message."""
    store = typestore()
    height, step = rows.shape
    message = store.types[RAW](
        _header(store.types, stamp_ns), height, width, encoding, 0, step, np.ascontiguousarray(rows).reshape(-1)
    )
    return bytes(store.serialize_cdr(message, RAW))


def pictures_as(make: Callable[[bytes, int], bytes]) -> list[Message]:
    """PICTURES as messages, each logged a little after its stamp."""
    return [(ns + LOG_DELAY_NS, make(content, ns)) for content, ns in zip(PICTURES, stamps(5), strict=True)]


def write_ros_bag(
    folder: Path, topics: dict[str, tuple[str, Iterable[Message]]], storage: str = "sqlite3", compression: str = "NONE"
) -> Path:
    """A ROS 2 bag; `topics` name -> message type and messages, `compression` NONE, FILE or MESSAGE."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Writer(folder, version=9, storage_plugin=plugin)
    writer.set_compression(CompressionMode[compression], CompressionFormat.ZSTD)
    with writer:
        for name, (kind, messages) in topics.items():
            connection = writer.add_connection(name, kind, typestore=typestore())
            for log_ns, content in messages:
                writer.write(connection, log_ns, content)
    return folder


def write_mcap(
    path: Path,
    messages: Iterable[Message],
    schema: tuple[str, str, bytes] = (COMPRESSED, "ros2msg", b""),
    encoding: str = "cdr",
    topic: str = CAMERA,
    **options: Any,
) -> Path:
    """A bare MCAP file of one topic; `schema` = its name, encoding and content."""
    from mcap.writer import Writer

    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start(profile="", library="gradwatch's tests")
        channel = writer.register_channel(topic, encoding, writer.register_schema(*schema))
        for log_ns, content in messages:
            writer.add_message(channel, log_ns, content, log_ns)
        writer.finish()
    return path


def foxglove_json(content: bytes, stamp_ns: int) -> bytes:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return json.dumps(
        {
            "timestamp": {"sec": seconds, "nsec": nanoseconds},
            "frame_id": "camera",
            "data": base64.b64encode(content).decode(),
            "format": "jpeg",
        }
    ).encode()


class FoxgloveProtobuf:
    """`foxglove.CompressedImage` with the field numbers of Foxglove's own .proto file."""

    def __init__(self) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

        field = descriptor_pb2.FieldDescriptorProto
        picture = descriptor_pb2.FileDescriptorProto(
            name="foxglove/CompressedImage.proto",
            package="foxglove",
            syntax="proto3",
            dependency=["google/protobuf/timestamp.proto"],
        )
        message = picture.message_type.add(name="CompressedImage")
        message.field.add(
            name="timestamp", number=1, type=field.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp", label=1
        )
        message.field.add(name="frame_id", number=4, type=field.TYPE_STRING, label=1)
        message.field.add(name="data", number=2, type=field.TYPE_BYTES, label=1)
        message.field.add(name="format", number=3, type=field.TYPE_STRING, label=1)
        stamp = descriptor_pb2.FileDescriptorProto()
        timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
        pool = descriptor_pool.DescriptorPool()
        for file in (stamp, picture):
            pool.Add(file)
        self._message = message_factory.GetMessageClass(pool.FindMessageTypeByName("foxglove.CompressedImage"))
        self.descriptors = descriptor_pb2.FileDescriptorSet(file=[stamp, picture]).SerializeToString()

    def __call__(self, content: bytes, stamp_ns: int) -> bytes:
        message = self._message(frame_id="camera", data=content, format="jpeg")
        message.timestamp.seconds, message.timestamp.nanos = divmod(stamp_ns, 1_000_000_000)
        return bytes(message.SerializeToString())
