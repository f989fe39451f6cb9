"""Attachments on the wire."""

from __future__ import annotations

import json

import pytest

from gradwatch.streams.wire.messages import Attachment, AttachmentKind
from gradwatch.streams.wire.outputs import decode_attachment, encode_attachment
from gradwatch.streams.wire.pixels import BadRecordError

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
    start_ns=1_790_000_000_123_456_789,
    end_ns=1_790_000_009_123_456_789,
)


def test_there_and_back_with_times_as_text() -> None:
    content = encode_attachment(ATTACHMENT)
    assert json.loads(content)["start_ns"] == "1790000000123456789"
    assert decode_attachment(content) == ATTACHMENT


def test_unknown_fields_of_a_newer_minor_version_pass() -> None:
    content = json.dumps(json.loads(encode_attachment(ATTACHMENT)) | {"weather": "rain"}).encode()
    assert decode_attachment(content) == ATTACHMENT


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"kind": "picture"}', b"[" * 9999])
def test_what_is_no_attachment_is_refused(content: bytes) -> None:
    with pytest.raises(BadRecordError, match="expected an Attachment, got"):
        decode_attachment(content)
