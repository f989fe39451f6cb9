"""Corrections on the wire: what a reviewer changes about a track or a part of the picture."""

from __future__ import annotations

import json

import pytest

from gradwatch.streams.wire.messages import ClassOverride, RegionMute
from gradwatch.streams.wire.outputs import decode_correction, encode_correction
from gradwatch.streams.wire.pixels import BadRecordError

OVERRIDE = ClassOverride(
    verdict_id="01JD0000000000000000000009",
    stream_id="north-gate",
    author="ada",
    created_ns=1_790_000_000_123_456_789,
    run_id="01JD0000000000000000000000",
    track_id=7,
    label="yield",
)
MUTE = RegionMute(
    verdict_id="01JD000000000000000000000A",
    stream_id="north-gate",
    author="ada",
    created_ns=1_790_000_000_123_456_789,
    polygon=[(0.0, 0.0), (100.5, 0.0), (100.5, 80.0)],
    object_kinds=["sign"],
)


@pytest.mark.parametrize("correction", [OVERRIDE, MUTE, RegionMute("a", "b", "c", 1, [], [], 2**62 + 1)])
def test_a_correction_is_read_back(correction: ClassOverride | RegionMute) -> None:
    assert decode_correction(encode_correction(correction)) == correction


def test_what_is_written_today_is_what_was_agreed() -> None:
    assert json.loads(encode_correction(OVERRIDE)) == {
        "kind": "override_class",
        "verdict_id": "01JD0000000000000000000009",
        "stream_id": "north-gate",
        "author": "ada",
        "created_ns": "1790000000123456789",
        "run_id": "01JD0000000000000000000000",
        "track_id": 7,
        "label": "yield",
    }
    assert json.loads(encode_correction(MUTE)) == {
        "kind": "mute_region",
        "verdict_id": "01JD000000000000000000000A",
        "stream_id": "north-gate",
        "author": "ada",
        "created_ns": "1790000000123456789",
        "polygon": [[0.0, 0.0], [100.5, 0.0], [100.5, 80.0]],
        "object_kinds": ["sign"],
        "until_ns": None,
    }


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"kind":"delete_camera"}', b"\xff"])
def test_what_is_no_correction_is_refused(content: bytes) -> None:
    with pytest.raises(BadRecordError, match="expected a correction"):
        decode_correction(content)


def test_an_unknown_field_of_a_newer_version_is_passed_over() -> None:
    newer = json.loads(encode_correction(OVERRIDE)) | {"weather": "rain"}
    assert decode_correction(json.dumps(newer).encode()) == OVERRIDE
