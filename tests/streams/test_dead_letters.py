from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.streams.dead_letters import (
    DeadLetterNotFoundError,
    DeadLetters,
    Letter,
    NotRequeueableError,
    read_letter,
    requeue,
)
from gradwatch.streams.transport.producer import Delivery, RecordTooLargeError
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import OutcomeCause
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import MAX_RECORD_BYTES, Topics

from ..builders import encoded_frame

TOPICS = Topics("p.", "frames")
ERROR = BadRecordError(OutcomeCause.BAD_SCHEMA, "expected 1, got 2")
WIRE = encode_frame(encoded_frame("north", 5, content=b"\xff\xd8\xff"))
RECORD = Record("frames", 2, 77, 1_790_000_000_123, WIRE.key, b"GIF89a", (*WIRE.headers, ("x", b"\xff\x00")))


class Outbox:
    """A producer that keeps its records, up to `largest` bytes each."""

    def __init__(self, largest: int = MAX_RECORD_BYTES) -> None:
        self.largest = largest
        self.sent: list[SimpleNamespace] = []

    def send(self, topic, key, value, headers, partition=None) -> Delivery:
        size = len(key or b"") + len(value or b"") + sum(len(name) + len(content) for name, content in headers)
        if size > self.largest:
            raise RecordTooLargeError(f"{size}")
        assert key is not None or value is not None
        self.sent.append(SimpleNamespace(topic=topic, key=key, value=value, headers=headers, partition=partition))
        return Delivery()

    try_send = send


def as_letter(record: Record, outbox: Outbox | None = None, error: Exception = ERROR) -> Letter:
    """`record` as a dead letter, as it is read from the topic."""
    outbox = outbox or Outbox()
    DeadLetters(outbox, TOPICS).publish(record, error, "decode")
    (sent,) = outbox.sent
    assert sent.topic == TOPICS.dlq
    return read_letter(Record(sent.topic, 0, 9, 1_790_000_001_000, sent.key, sent.value, tuple(sent.headers)))


def test_a_letter_holds_the_record_and_the_reason() -> None:
    letter = as_letter(RECORD)
    assert letter.record == RECORD
    assert (letter.stream_id, letter.cause, letter.error, letter.stage) == (
        "north",
        "bad_schema",
        "BadRecordError",
        "decode",
    )
    assert (letter.message, letter.place, letter.left_out, letter.requeued) == ("expected 1, got 2", "0:9", (), 0)


BYTES = st.none() | st.binary(max_size=20)
NAMES = st.sampled_from(["x", "gw_seq", "dlq_topic", "dlq_value", "dlq_cause", "dlq_requeued"])


@given(key=BYTES, value=BYTES, headers=st.lists(st.tuples(NAMES, BYTES), max_size=5).map(tuple))
def test_any_record_survives_the_round_trip(key, value, headers) -> None:
    record = Record("frames", 2, 77, -1, key, value, headers)
    assert as_letter(record).record == record


@pytest.mark.parametrize(
    ("record", "left_out"),
    [
        (replace(RECORD, value=bytes(MAX_RECORD_BYTES - RECORD.size - 5000)), ()),
        (replace(RECORD, value=bytes(MAX_RECORD_BYTES - RECORD.size)), ("value",)),
        (replace(RECORD, value=bytes(MAX_RECORD_BYTES + 1)), ("value",)),
        (replace(RECORD, headers=(("x", bytes(MAX_RECORD_BYTES)),)), ("value", "headers", "key")),
        (replace(RECORD, key=bytes(MAX_RECORD_BYTES)), ("value", "headers", "key")),
    ],
    ids=["fits", "at the limit", "above", "headers", "key"],
)
def test_parts_that_do_not_fit_are_left_out_and_the_rest_kept(record: Record, left_out: tuple[str, ...]) -> None:
    letter = as_letter(record, error=ValueError("x" * 9_000))
    assert letter.left_out == left_out
    assert (letter.record.topic, letter.record.offset, len(letter.message)) == ("frames", 77, 500)
    if left_out == ("value",):
        assert (letter.record.key, letter.record.headers) == (record.key, record.headers)
    if left_out:
        with pytest.raises(NotRequeueableError, match=r"0:9: value.* left out for size; see frames\[2\] offset 77"):
            requeue(letter, TOPICS, Outbox())


def test_a_producer_with_a_smaller_limit_gets_a_smaller_letter() -> None:
    assert as_letter(replace(RECORD, value=bytes(3000)), Outbox(largest=2000)).left_out == ("value",)


def test_requeues_are_counted_so_that_a_loop_shows() -> None:
    outbox = Outbox()
    letter = as_letter(RECORD)
    for times in (1, 2, 3):
        requeue(letter, TOPICS, outbox)
        sent = outbox.sent[-1]
        assert (sent.topic, sent.partition, sent.key, sent.value) == ("frames", 2, RECORD.key, RECORD.value)
        assert sent.headers == [*RECORD.headers, ("dlq_requeued", str(times).encode())]
        again = Record("frames", 2, 80 + times, 0, sent.key, sent.value, tuple(sent.headers))
        letter = as_letter(again)
        assert letter.requeued == times
        assert letter.record.offset == 80 + times


@pytest.mark.parametrize("forged", [b"-5", b"1" * 5000, b"\xff", "٣".encode(), b""])
def test_a_forged_count_counts_as_0(forged: bytes) -> None:
    assert as_letter(replace(RECORD, headers=(("dlq_requeued", forged),))).requeued == 0


def test_a_forged_context_is_not_trusted() -> None:
    forged = replace(RECORD, headers=(("dlq_topic", b"payroll"), ("dlq_value", b"left out, too large")))
    outbox = Outbox()
    requeue(as_letter(forged), TOPICS, outbox)
    assert outbox.sent[0].topic == "frames"
    written_by_hand = Record("p.dlq", 0, 0, 0, b"k", b"v", tuple((f"dlq_{n}", b"1") for n in NUMBERED))
    with pytest.raises(NotRequeueableError, match="expected a record of frames, got one of '1'"):
        requeue(read_letter(written_by_hand), TOPICS, outbox)


NUMBERED = ("topic", "partition", "offset", "timestamp_ms")


@pytest.mark.parametrize("headers", [(), (("x", b"1"),), (("dlq_topic", b"frames"),), (("dlq_topic", None),)])
def test_another_record_is_no_dead_letter(headers) -> None:
    with pytest.raises(DeadLetterNotFoundError, match="expected"):
        read_letter(Record("p.dlq", 0, 9, 0, b"k", b"v", headers))


def test_an_empty_record_becomes_a_letter_but_can_not_be_requeued() -> None:
    letter = as_letter(replace(RECORD, key=None, value=None))
    assert letter.record.value is None
    with pytest.raises(NotRequeueableError, match="neither key nor value"):
        requeue(letter, TOPICS, Outbox())
