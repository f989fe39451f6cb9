"""Decodes the picture messages of ROS 2 and Foxglove: the picture and its time stamp.

ROS 2: `sensor_msgs/msg/CompressedImage` and `sensor_msgs/msg/Image` (rgb8, bgr8, mono8), as CDR. Foxglove:
`foxglove.CompressedImage`, as protobuf or JSON (docs.foxglove.dev/docs/sdk/schemas/compressed-image). The fields that
are read are the same in every release of ROS 2, so the definitions in the bag are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import numpy as np

from ..wire.pixels import BadRecordError, picture_encoding
from .played import Still

ROS_COMPRESSED, ROS_RAW = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image"
FOXGLOVE_COMPRESSED = "foxglove.CompressedImage"
CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1}  # bytes of a pixel, by the encoding of a raw image


class UnreadableImageError(ValueError):
    """A message without a picture that can be played."""


Decode = Callable[[bytes], Still]
"""Reads a message; the time is the stamp in its header, 0 if absent."""


def decoder_of(schema_name: str, message_encoding: str, schema: Any = None) -> Decode | None:
    """The decoder of a message type, None for a type without pictures. It raises UnreadableImageError.

    `schema` is MCAP's own record; protobuf needs it.
    """
    kind = (schema_name, message_encoding)
    if kind == (ROS_COMPRESSED, "cdr"):
        return _ros_compressed
    if kind == (ROS_RAW, "cdr"):
        return _ros_raw
    if kind == (FOXGLOVE_COMPRESSED, "json"):
        return _foxglove_json
    if kind == (FOXGLOVE_COMPRESSED, "protobuf"):
        return _foxglove_protobuf(schema)
    return None


def _ros_compressed(data: bytes) -> Still:
    message = _from_cdr(data, ROS_COMPRESSED)
    return Still(_ros_stamp_ns(message), _picture(message.data.tobytes(), message.format))


def _ros_raw(data: bytes) -> Still:
    message = _from_cdr(data, ROS_RAW)
    channels = CHANNELS.get(message.encoding)
    if channels is None:
        raise UnreadableImageError(f"expected encoding {', '.join(CHANNELS)}, got {message.encoding!r}")
    height, width, step = message.height, message.width, message.step
    if not (height and width and step >= width * channels and len(message.data) >= step * height):
        raise UnreadableImageError(
            f"expected {width} x {height} px of {message.encoding} in rows of {step} bytes, "
            f"got {len(message.data)} bytes"
        )
    # Rows may end in padding.
    rows = message.data[: step * height].reshape(height, step)[:, : width * channels]
    pixels = rows.reshape(height, width, channels)
    if message.encoding == "bgr8":
        pixels = pixels[:, :, ::-1]
    image = np.ascontiguousarray(np.broadcast_to(pixels, (height, width, 3)))  # gray becomes three equal channels
    return Still(_ros_stamp_ns(message), image=image)


def _from_cdr(data: bytes, name: str) -> Any:
    try:
        return _typestore().deserialize_cdr(data, name)
    except Exception as error:  # generated code, which raises anything on a damaged message
        raise UnreadableImageError(f"expected {name}, got {len(data)} other bytes: {error}") from error


@cache
def _typestore() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.LATEST)


def _ros_stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


class _Timestamp(msgspec.Struct, frozen=True):
    sec: int = 0
    nsec: int = 0


class _FoxgloveJson(msgspec.Struct, frozen=True):
    data: bytes  # base64
    timestamp: _Timestamp = _Timestamp()
    format: str = ""


def _foxglove_json(data: bytes) -> Still:
    try:
        message = msgspec.json.decode(data, type=_FoxgloveJson)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableImageError(f"expected {FOXGLOVE_COMPRESSED} as JSON, got {len(data)} bytes: {error}") from error
    stamp_ns = message.timestamp.sec * 1_000_000_000 + message.timestamp.nsec
    return Still(stamp_ns, _picture(message.data, message.format))


def _foxglove_protobuf(schema: Any) -> Decode:
    from mcap_protobuf.decoder import DecoderFactory

    try:
        parse = DecoderFactory().decoder_for("protobuf", schema)
    except Exception as error:  # the descriptors are in the file, and may be damaged
        raise UnreadableImageError(f"expected the descriptors of {FOXGLOVE_COMPRESSED}, got {error}") from error
    if parse is None:
        raise UnreadableImageError(f"expected a schema encoded as protobuf, got {schema.encoding!r}")

    def decode(data: bytes) -> Still:
        try:
            message = parse(data)
        except Exception as error:
            raise UnreadableImageError(
                f"expected {FOXGLOVE_COMPRESSED} as protobuf, got {len(data)} bytes: {error}"
            ) from error
        stamp_ns = message.timestamp.seconds * 1_000_000_000 + message.timestamp.nanos
        return Still(stamp_ns, _picture(bytes(message.data), message.format))

    return decode


def _picture(content: bytes, stated: str) -> bytes:
    """`content`, which must be a JPEG or PNG whatever format its message states."""
    try:
        picture_encoding(content)
    except BadRecordError as error:
        raise UnreadableImageError(f"expected a JPEG or PNG, got format {stated!r}: {error}") from None
    return content
