"""A record whose header name is no UTF-8: read like any other, on every broker."""

from __future__ import annotations

import time

from kafka import KafkaProducer

from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics


class RawName(str):
    """A header name that goes out as these bytes, which other clients send without a second thought."""

    def encode(self, *_: object) -> bytes:
        return b"caf\xe9"


def test_a_header_name_of_any_bytes_holds_nobody_up(broker: str, topics: Topics) -> None:
    producer = KafkaProducer(bootstrap_servers=broker)
    for number in range(4):
        headers = [(RawName("x"), b"\xe9value")] if number % 2 else [("name", b"value")]
        producer.send(topics.frames, b"content", key=str(number).encode(), headers=headers, partition=0)
    producer.close()
    consumer = FrameConsumer(broker, topics.frames, topics.prefix)
    records: list[Record] = []
    deadline_s = time.monotonic() + 30.0
    while len(records) < 4 and time.monotonic() < deadline_s:
        records += consumer.poll(0.2)
    consumer.close()
    assert [record.key for record in records] == [b"0", b"1", b"2", b"3"]
    assert [record.headers for record in records] == [
        (("name", b"value"),),
        (("caf\\xe9", b"\xe9value"),),
    ] * 2
    assert {record.value for record in records} == {b"content"}
