"""Attachments and verdicts as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gradwatch.streams.wire.messages import Attachment, AttachmentKind, ClassOverride, RegionMute
from gradwatch.streams.wire.outputs import decode_attachment, decode_correction, encode_attachment, encode_correction
from gradwatch.streams.wire.pixels import BadRecordError

CAPTURE_NS = 1_790_000_000_123_456_789
ATTACHMENT = Attachment(
    alert_id="0d4c7a52-7c55-5f6e-8d3b-0f4a3a1f5b11",
    revision=2,
    kind=AttachmentKind.EVIDENCE,
    stream_id="north-gate",
    run_id="01JD0000000000000000000000",
    path="north-gate/0d4c7a52-7c55-5f6e-8d3b-0f4a3a1f5b11.mcap",
    sha256="ab" * 32,
    size_bytes=12_345,
    frames=40,
    missing=1,
    start_ns=CAPTURE_NS,
    end_ns=CAPTURE_NS + 9_000_000_000,
)
OVERRIDE = ClassOverride(
    verdict_id="01JD0000000000000000000009",
    stream_id="north-gate",
    author="ada",
    created_ns=CAPTURE_NS,
    run_id="01JD0000000000000000000000",
    track_id=7,
    label="yield",
)
MUTE = RegionMute(
    verdict_id="01JD000000000000000000000A",
    stream_id="north-gate",
    author="ada",
    created_ns=CAPTURE_NS,
    polygon=[(0.0, 0.0), (100.5, 0.0), (100.5, 80.0)],
    object_kinds=["sign"],
)
CODECS = {
    "an Attachment": (encode_attachment, decode_attachment, [ATTACHMENT]),
    "a Correction": (
        encode_correction,
        decode_correction,
        [OVERRIDE, MUTE, RegionMute("a", "b", "c", 1, [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0)], [], 2**62 + 1)],
    ),
}


@pytest.mark.parametrize(("encode", "decode", "messages"), CODECS.values(), ids=CODECS)
def test_a_message_is_read_back_also_with_unknown_fields(encode: Any, decode: Any, messages: list[Any]) -> None:
    for message in messages:
        content = encode(message)
        assert decode(content) == message
        assert decode(json.dumps(json.loads(content) | {"weather": "rain"}).encode()) == message


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"kind": "picture"}', b"[" * 9999])
def test_other_bytes_are_refused(name: str, content: bytes) -> None:
    with pytest.raises(BadRecordError, match=f"expected {name}, got"):
        CODECS[name][1](content)


def test_times_and_fields_are_as_agreed() -> None:
    assert json.loads(encode_attachment(ATTACHMENT))["start_ns"] == "1790000000123456789"
    common = {"stream_id": "north-gate", "author": "ada", "created_ns": "1790000000123456789"}
    assert json.loads(encode_correction(OVERRIDE)) == common | {
        "kind": "override_class",
        "verdict_id": "01JD0000000000000000000009",
        "run_id": "01JD0000000000000000000000",
        "track_id": 7,
        "label": "yield",
    }
    assert json.loads(encode_correction(MUTE)) == common | {
        "kind": "mute_region",
        "verdict_id": "01JD000000000000000000000A",
        "polygon": [[0.0, 0.0], [100.5, 0.0], [100.5, 80.0]],
        "object_kinds": ["sign"],
        "until_ns": None,
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"polygon": [[0.0, 0.0], [9.0, 9.0]]}, "3 corners or more, got 2"),
        ({"polygon": [[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]] * 90}, "at most 256 items, got 270"),
        ({"author": "a" * 4090}, "at most 4096 bytes"),
        ({"author": "a\0"}, "no zero byte"),
    ],
)
def test_a_correction_that_a_state_can_not_hold_is_refused(changes: dict[str, Any], why: str) -> None:
    fields = json.loads(encode_correction(MUTE)) | changes
    with pytest.raises(BadRecordError, match=why):
        decode_correction(json.dumps(fields).encode())
