"""Batches as other producers write them: compressed, in transactions, damaged."""

from __future__ import annotations

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.record import default_records

from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.offsets import Loss
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from ...brokers import make_topics, read_records
from ...waiting import LIMIT_S, wait_until


def read_all(consumer: FrameConsumer, count: int) -> list[Record]:
    """`count` records, each finished at once."""
    found: list[Record] = []

    def enough() -> bool:
        for record in consumer.poll(0.1):
            consumer.finish(record.partition, record.offset)
            found.append(record)
        return len(found) >= count

    wait_until(enough, what=lambda: f"{count} records, got {len(found)}")
    return found


def set_compression(servers: str, topic: str, kind: str) -> None:
    """Makes the broker compress the records of `topic` itself."""
    settings = {"compression.type": kind, "max.message.bytes": str(8 << 20)}
    with KafkaAdminClient(bootstrap_servers=servers) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=settings)])


def committed(consumer: FrameConsumer, topic: str) -> int | None:
    """The committed offset of partition 0."""
    offset: int | None = consumer._client.committed(TopicPartition(topic, 0))
    return offset


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_records_of_every_codec_are_read(broker: str, topics: Topics, codec: str) -> None:
    picture = bytes(range(256)) * 8000  # 2 MB
    with KafkaProducer(bootstrap_servers=broker, compression_type=codec, max_request_size=8 << 20) as producer:
        producer.send(topics.frames, picture, partition=0).get(LIMIT_S)
    (record,) = read_records(broker, [topics.frames], 1)
    assert record.value == picture


@pytest.mark.parametrize("codec", ["snappy", "zstd"])
def test_what_the_broker_itself_compresses_is_read(kafka: str, codec: str) -> None:
    """The broker's own compression leaves out the size of what it holds."""
    names = make_topics(kafka, 1)
    set_compression(kafka, names.frames, codec)
    picture = bytes(range(256)) * 8000
    with KafkaProducer(bootstrap_servers=kafka, max_request_size=8 << 20) as producer:
        producer.send(names.frames, picture, partition=0).get(LIMIT_S)
    (record,) = read_records(kafka, [names.frames], 1)
    assert record.value == picture


def test_aborted_transactions_are_not_read_and_leave_no_lag(kafka: str) -> None:
    topic = make_topics(kafka, 1).frames
    with KafkaProducer(bootstrap_servers=kafka, transactional_id=topic) as producer:
        producer.init_transactions()
        for text, end in ((b"kept", producer.commit_transaction), (b"taken back", producer.abort_transaction)):
            producer.begin_transaction()
            producer.send(topic, text, partition=0)
            producer.flush()  # else the broker never sees what is taken back
            end()
    consumer = FrameConsumer(kafka, topic, topic + "-workers", session_timeout_s=6.0)
    assert [record.value for record in read_all(consumer, 1)] == [b"kept"]

    def caught_up() -> bool:
        assert consumer.poll(0.1) == []
        return committed(consumer, topic) == 4  # two records and the markers of two transactions

    wait_until(caught_up, what=lambda: f"offset 4, committed {committed(consumer, topic)}")
    consumer.close()


def test_a_damaged_batch_is_passed_over_counted_and_named(
    kafka: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    topic = make_topics(kafka, 1).reports  # whose batches the broker leaves as they are
    with KafkaProducer(bootstrap_servers=kafka, compression_type="gzip", linger_ms=1000) as producer:
        for text in (b"a", b"b", b"c"):
            producer.send(topic, text * 1000, partition=0)  # long enough to be compressed
        producer.flush()
    with KafkaProducer(bootstrap_servers=kafka) as producer:
        producer.send(topic, b"d", partition=0).get(LIMIT_S)

    def damaged(payload: bytes) -> bytes:
        raise EOFError("Compressed file ended before the end-of-stream marker was reached")

    monkeypatch.setattr(default_records, "gzip_decode", damaged)
    consumer = FrameConsumer(kafka, topic, topic + "-workers", session_timeout_s=6.0)
    assert [record.value for record in read_all(consumer, 1)] == [b"d"]
    consumer.close()
    assert consumer.losses == [Loss(0, "unreadable_batch", 0, 3)]
    assert f"{topic}[0] from offset 0 to 2" in caplog.text
    with TopicReader(kafka, [topic]) as reader:
        assert wait_until(lambda: reader.poll(0.2))[0].value == b"d"
