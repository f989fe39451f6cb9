"""Decodes the picture messages of ROS 2 and Foxglove: the picture and its time stamp.

ROS 2: `sensor_msgs/msg/CompressedImage` and `sensor_msgs/msg/Image`, as CDR. Foxglove: `foxglove.CompressedImage` and
`foxglove.RawImage`, as protobuf or JSON (docs.foxglove.dev/docs/sdk/schemas). The fields that are read are the same in
every release of ROS 2, so the definitions in the bag are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...wire.pixels import BadRecordError
from ..still import Still
from ..upright import whole_picture
from .raw_images import RawImageError, raw_pixels

ROS_COMPRESSED, ROS_RAW = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image"
FOXGLOVE_COMPRESSED, FOXGLOVE_RAW = "foxglove.CompressedImage", "foxglove.RawImage"
OTHER_FORMATS = "play a topic of JPEG pictures, or make one: ros2 run image_transport republish"
PLAYABLE = (
    f"gradwatch plays {ROS_COMPRESSED} (JPEG, PNG) and {ROS_RAW} of ROS 2, {FOXGLOVE_COMPRESSED} and {FOXGLOVE_RAW}: "
    "convert others, for instance by `ros2 run image_transport republish`, bags of ROS 1 by rosbags-convert, or play "
    "the video that was recorded beside them"
)


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
    if schema_name in (FOXGLOVE_COMPRESSED, FOXGLOVE_RAW) and message_encoding == "json":
        return _foxglove_json(schema_name)
    if schema_name in (FOXGLOVE_COMPRESSED, FOXGLOVE_RAW) and message_encoding == "protobuf":
        return _foxglove_protobuf(schema_name, schema)
    return None


def _ros_compressed(data: bytes) -> Still:
    message = _from_cdr(data, ROS_COMPRESSED)
    return Still(_ros_stamp_ns(message), _picture(message.data.tobytes(), message.format))


def _ros_raw(data: bytes) -> Still:
    message = _from_cdr(data, ROS_RAW)
    return Still(_ros_stamp_ns(message), image=_pixels(message, message.data, bool(message.is_bigendian)))


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


class _CompressedJson(msgspec.Struct, frozen=True):
    data: bytes  # base64
    timestamp: _Timestamp = _Timestamp()
    format: str = ""


class _RawJson(msgspec.Struct, frozen=True):
    width: int
    height: int
    encoding: str
    step: int
    data: bytes  # base64
    timestamp: _Timestamp = _Timestamp()


def _foxglove_json(kind: str) -> Decode:
    def decode(data: bytes) -> Still:
        try:
            message: Any = msgspec.json.decode(data, type=_CompressedJson if kind == FOXGLOVE_COMPRESSED else _RawJson)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnreadableImageError(f"expected {kind} as JSON, got {len(data)} bytes: {error}") from error
        return _foxglove_still(message, message.timestamp.sec * 1_000_000_000 + message.timestamp.nsec)

    return decode


def _foxglove_protobuf(kind: str, schema: Any) -> Decode:
    from mcap_protobuf.decoder import DecoderFactory

    try:
        parse = DecoderFactory().decoder_for("protobuf", schema)
    except Exception as error:  # the descriptors are in the file, and may be damaged
        raise UnreadableImageError(f"expected the descriptors of {kind}, got {error}") from error
    if parse is None:
        raise UnreadableImageError(f"expected a schema encoded as protobuf, got {schema.encoding!r}")

    def decode(data: bytes) -> Still:
        try:
            message = parse(data)
        except Exception as error:
            raise UnreadableImageError(f"expected {kind} as protobuf, got {len(data)} bytes: {error}") from error
        return _foxglove_still(message, message.timestamp.seconds * 1_000_000_000 + message.timestamp.nanos)

    return decode


def _foxglove_still(message: Any, stamp_ns: int) -> Still:
    if hasattr(message, "encoding"):
        return Still(stamp_ns, image=_pixels(message, np.frombuffer(message.data, np.uint8)))
    return Still(stamp_ns, _picture(bytes(message.data), message.format))


def _pixels(message: Any, content: NDArray[np.uint8], big_endian: bool = False) -> NDArray[np.uint8]:
    try:
        return raw_pixels(message.encoding, message.width, message.height, message.step, content, big_endian)
    except RawImageError as error:
        raise UnreadableImageError(str(error)) from None


def _picture(content: bytes, stated: str) -> bytes:
    """`content`, which must be a whole JPEG or PNG whatever format its message states, upright."""
    try:
        return whole_picture(content)
    except BadRecordError as error:
        reason = f"expected a JPEG or PNG, got format {stated!r}: {error}"
        known = any(name in stated.lower() for name in ("jpeg", "jpg", "png")) and "depth" not in stated.lower()
        raise UnreadableImageError(reason if known or not stated else f"{reason}; {OTHER_FORMATS}") from None
