from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import REGISTRY

from gradwatch.streams.observability.metrics import count_invalid_traceparent
from gradwatch.streams.wire.frames import decode_frame, encode_frame
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.tracing import TraceparentError, new_traceparent, read_traceparent, valid_traceparent

from ...builders import encoded_frame

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{PARENT}-01"
JPEG = encode_jpeg(np.zeros((8, 8, 3), np.uint8))


def dropped(stream_id: str, cause: str) -> float:
    labels = {"stream_id": stream_id, "cause": cause}
    return REGISTRY.get_sample_value("gradwatch_traceparents_dropped_total", labels) or 0.0


def test_a_new_one_is_valid_not_sampled_and_new() -> None:
    made = {new_traceparent() for _ in range(100)}
    assert len(made) == 100
    assert all(read_traceparent(text) == text and text.endswith("-00") for text in made)


@pytest.mark.parametrize("text", [VALID, f"cc-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-01-what-comes.later"])
def test_this_version_and_newer_ones_are_carried_as_version_00(text: str) -> None:
    assert valid_traceparent(text) == VALID


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("nonsense", "malformed"),
        (VALID.upper(), "malformed"),
        (VALID + "-more", "malformed"),
        (VALID + "0", "malformed"),
        (VALID + "\n", "malformed"),
        (f"cc-{TRACE}-{PARENT}-011", "malformed"),
        (f"ff-{TRACE}-{PARENT}-01", "version"),
        (f"00-{'0' * 32}-{PARENT}-01", "zero_id"),
        (f"00-{TRACE}-{'0' * 16}-01", "zero_id"),
        ("x" * 10_000, "malformed"),
    ],
)
def test_an_invalid_one_is_dropped_and_counted_by_cause(text: str, cause: str) -> None:
    before = dropped("trace-b", cause)
    assert valid_traceparent(text) is None
    count_invalid_traceparent(text, "trace-b")
    assert dropped("trace-b", cause) == before + 1
    with pytest.raises(TraceparentError) as error:
        read_traceparent(text)
    assert error.value.cause == cause
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("text", [None, "", VALID])
def test_an_absent_or_valid_one_is_not_counted(text: str | None) -> None:
    count_invalid_traceparent(text, "trace-c")
    assert valid_traceparent(text) == (text or None)
    assert all(dropped("trace-c", cause) == 0 for cause in ("malformed", "version", "zero_id"))


def test_a_frame_and_a_bare_picture_bring_theirs_along() -> None:
    frame = encoded_frame("trace-d", 0, capture_ns=1, published_ns=1, content=JPEG, traceparent=VALID)
    key, value, headers = encode_frame(frame)
    assert decode_frame(Record("frames", 0, 0, 1, key, value, tuple(headers))).stamp.traceparent == VALID
    bare = Record("frames", 0, 0, 1, None, JPEG, (("traceparent", VALID.encode()),))
    assert decode_frame(bare).stamp.traceparent == VALID
    spoilt = Record("frames", 0, 0, 1, None, JPEG, (("traceparent", b"00-\xff"),))
    assert decode_frame(spoilt).stamp.traceparent is None
