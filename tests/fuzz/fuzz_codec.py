"""Fuzzes what reads strangers' bytes: frames, pictures, reports, alerts, dead letters.

    python tests/fuzz/fuzz_codec.py -max_total_time=180 CORPUS…        (`make fuzz`)

The first byte of an input chooses the reader. A reader may raise the errors that it names, and nothing else; what it
returns must hold what it promises.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["gradwatch.streams"]):
    from gradwatch.streams.dead_letters import DeadLetterNotFoundError, read_letter
    from gradwatch.streams.wire.frames import decode_frame, rejected_stamp
    from gradwatch.streams.wire.messages import STREAM_ID
    from gradwatch.streams.wire.outputs import decode_alert, decode_report, encode_alert, encode_report
    from gradwatch.streams.wire.pixels import BadRecordError, decode_picture
    from gradwatch.streams.wire.records import Record

MAX_PIXELS = 250_000  # keeps the fuzzer quick
NAMES = ("gw_schema", "gw_run", "gw_seq", "gw_capture_ns", "gw_clock", "content-type", "ce_source", "traceparent")
DLQ_NAMES = tuple(f"dlq_{name}" for name in ("topic", "partition", "offset", "timestamp_ms", "value", "null_headers"))


def record_in(data: bytes, names: tuple[str, ...]) -> Record:
    """A record made of the input: headers as `number of name, length, value`, then a zero, then the value."""
    provider = atheris.FuzzedDataProvider(data)
    timestamp_ms = provider.ConsumeInt(8)
    headers: list[tuple[str, bytes | None]] = []
    while provider.remaining_bytes() and (number := provider.ConsumeIntInRange(0, len(names))):
        size = provider.ConsumeIntInRange(0, 40)
        headers.append((names[number - 1], provider.ConsumeBytes(size) if size else None))
    key = provider.ConsumeBytes(8)
    return Record("frames", 1, 7, timestamp_ms, key, provider.ConsumeBytes(provider.remaining_bytes()), tuple(headers))


def read_frame(data: bytes) -> None:
    """Frames keep to the contract; what is refused is reported under a legal name."""
    record = record_in(data, NAMES)
    stamp = rejected_stamp(record)
    try:
        stamp = decode_frame(record).stamp
    finally:
        assert STREAM_ID.fullmatch(stamp.identity.stream_id)
        assert STREAM_ID.fullmatch(stamp.identity.run_id)
        assert 0 <= stamp.identity.seq < 2**63
        assert 0 <= stamp.capture_ns < 2**63
        assert 0 <= stamp.published_ns < 2**63


def read_picture(data: bytes) -> None:
    """Pictures are (H, W, 3) and within the bound."""
    height, width, channels = decode_picture(data, MAX_PIXELS).shape
    assert channels == 3
    assert height * width <= MAX_PIXELS


def read_report(data: bytes) -> None:
    """A report that can be read can be written, and is then the same."""
    written = encode_report(decode_report(data))
    assert encode_report(decode_report(written)) == written


def read_alert(data: bytes) -> None:
    """As for reports."""
    alert = decode_alert(data)
    assert decode_alert(encode_alert(alert)) == alert


def read_dead_letter(data: bytes) -> None:
    """What is on the topic of dead letters may be anything, too."""
    letter = read_letter(record_in(data, DLQ_NAMES))
    assert letter.requeued >= 0


READERS: tuple[Callable[[bytes], None], ...] = (read_frame, read_picture, read_report, read_alert, read_dead_letter)


def test_one_input(data: bytes) -> None:
    """What the fuzzer calls; it fails by any error that is not named here."""
    if data:
        with suppress(BadRecordError, DeadLetterNotFoundError):
            READERS[data[0] % len(READERS)](data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
