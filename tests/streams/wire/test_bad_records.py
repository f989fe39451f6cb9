"""Any record becomes a frame, or an error whose cause says why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwatch.streams.wire.frames import decode_frame, rejected_stamp
from gradwatch.streams.wire.messages import STREAM_ID, FrameIdentity
from gradwatch.streams.wire.pixels import BadRecordError, decode_picture
from gradwatch.streams.wire.records import Record, cloud_event_headers
from gradwatch.streams.wire.topics import MAX_RECORD_BYTES

from .bad_records import BAD, GOOD, JPEG, PICTURE, PNG, RUN
from .bad_records import headers as good_headers

OURS = FrameIdentity("north", RUN, 41)
PLACED = FrameIdentity("frames.2", "bare", 77)


def record_of(wire: Any, **changes: Any) -> Record:
    return replace(Record("frames", 2, 77, 1_790_000_000_123, wire.key, wire.value, wire.headers), **changes)


def read(record: Record) -> np.ndarray:
    return decode_picture(decode_frame(record).content)


@pytest.mark.parametrize("name", BAD)
def test_bad_records_say_why(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    wire = BAD[name]
    with pytest.raises(BadRecordError, match=r"(expected|must match) .* got ") as caught:
        read(record_of(wire))
    assert caught.value.cause == wire.cause
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    changed = {name for name, _ in set(wire.headers) ^ set(GOOD["as it should be"].headers)}
    if len(changed) == 1 and wire.key == b"north" and wire.cause == "bad_schema":
        assert f"header {changed.pop()}" in str(caught.value)
    if "JPEG" in name:
        assert capfd.readouterr().err == ""  # OpenCV has not seen it


@pytest.mark.parametrize("name", GOOD)
def test_good_records_are_frames(name: str) -> None:
    record = record_of(GOOD[name])
    assert np.abs(read(record).astype(int) - PICTURE).mean() < 10
    frame = decode_frame(record)
    assert frame.stamp.identity == (PLACED if name.startswith("bare") else OURS)


@pytest.mark.parametrize("name", BAD)
def test_a_rejected_record_is_known_by_its_headers_or_by_its_place(name: str) -> None:
    wire = BAD[name]
    stamp = rejected_stamp(record_of(wire))
    sound = wire.cause != "bad_schema" or "content type" in name
    assert stamp.identity == (OURS if sound else PLACED)
    assert STREAM_ID.fullmatch(stamp.identity.stream_id)


@pytest.mark.parametrize("part", ["value", "key", "headers"])
def test_a_record_of_8_mib_and_a_byte_is_too_large(part: str) -> None:
    record = record_of(GOOD["as it should be"])
    room = MAX_RECORD_BYTES - record.size
    at_limit = replace(record, value=JPEG + bytes(room))
    assert at_limit.size == MAX_RECORD_BYTES
    decode_frame(at_limit)
    bare = replace(record, headers=())
    larger = {
        "value": replace(record, value=JPEG + bytes(room + 1)),
        "key": replace(bare, key=bytes(MAX_RECORD_BYTES)),
        "headers": replace(record, headers=(*record.headers, ("x", bytes(MAX_RECORD_BYTES)))),
    }[part]
    with pytest.raises(BadRecordError, match="expected at most 8388608 bytes, got") as caught:
        decode_frame(larger)
    assert caught.value.cause == "too_large"


@pytest.mark.parametrize("null", ["gw_schema", "gw_run", "gw_seq", "gw_capture_ns", "gw_clock"])
def test_a_null_header_counts_as_absent(null: str) -> None:
    wire = GOOD["as it should be"]
    nulled = tuple((name, None if name == null else value) for name, value in wire.headers)
    with pytest.raises(BadRecordError, match=f"header {null}"):
        decode_frame(record_of(wire, headers=nulled))


@pytest.mark.parametrize("timestamp_ms", [-1, -(2**63), 0, 10**15, 2**63 - 1])
def test_a_producers_clock_may_be_wrong_by_any_time(timestamp_ms: int) -> None:
    for headers in (GOOD["as it should be"].headers, ()):
        record = record_of(GOOD["as it should be"], timestamp_ms=timestamp_ms, headers=headers)
        for frame in (decode_frame(record).stamp, rejected_stamp(record)):
            assert 0 <= frame.published_ns < 2**63
            assert 0 <= frame.capture_ns < 2**63
            cloud_event_headers("report", "north", "id", frame.published_ns)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(good_headers())), st.none() | st.binary(max_size=8)), max_size=9))
def test_no_headers_do_more_than_refuse_a_record(changes: list[tuple[tuple[str, bytes], bytes | None]]) -> None:
    headers = tuple((name, value) for (name, _), value in changes)
    record = Record("frames", 0, 0, 0, b"north", JPEG, headers)
    try:
        frame = decode_frame(record)
    except BadRecordError as error:
        assert error.cause == "bad_schema"  # noqa: PT017
    else:
        assert frame.stamp.identity.run_id == "bare"
    assert STREAM_ID.fullmatch(rejected_stamp(record).identity.stream_id)


def test_the_pixels_are_those_of_opencv() -> None:
    gray = cv2.imencode(".jpg", PICTURE[:, :, 0])[1].tobytes()
    progressive = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    for content in (JPEG, PNG, gray, progressive):
        expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
        np.testing.assert_array_equal(decode_picture(content), expected)


def test_the_bound_on_pixels_is_the_callers() -> None:
    with pytest.raises(BadRecordError, match="expected at most 100 pixels, got 128 x 96 = 12288"):
        decode_picture(JPEG, max_pixels=100)
