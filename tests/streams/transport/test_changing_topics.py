"""Topics that change under their readers: partitions are added, records are deleted, a topic is made anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import KafkaAdminClient, TopicPartition

from gradwatch.streams.transport import admin
from gradwatch.streams.transport import partitions as reading
from gradwatch.streams.transport.admin import add_partitions, check_topics, delete_topics, ensure_topics
from gradwatch.streams.transport.connection import GroupRefusedError
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.offsets import Loss
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import NewestRecords, TopicReader
from gradwatch.streams.transport.state import StateReader, StateTopic
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from ...brokers import make_topics
from ...waiting import wait_until

AGE_MS = {"metadata_max_age_ms": 500}


@pytest.fixture
def topics(kafka: str) -> Topics:
    return make_topics(kafka, 2)


@pytest.fixture
def consumer_of(kafka: str, topics: Topics) -> Callable[[], FrameConsumer]:
    return lambda: FrameConsumer(kafka, topics.frames, topics.prefix + "g", AGE_MS, session_timeout_s=6.0)


def fill(kafka: str, topic: str, *values: bytes, partition: int = 0) -> None:
    with BoundedProducer(kafka) as producer:
        sent = [producer.send(topic, b"k", value, partition=partition) for value in values]
        assert producer.flush(10)
    assert [delivery.exception for delivery in sent] == [None] * len(values)


def read(consumer: FrameConsumer, count: int) -> list[bytes | None]:
    """The next `count` records, finished and committed."""
    found: list[Record] = []

    def enough() -> bool:
        found.extend(consumer.poll(0.1))
        return len(found) >= count

    wait_until(enough)
    for record in found:
        consumer.finish(record.partition, record.offset)
    consumer.commit_finished(force=True)
    return [record.value for record in found]


def delete_below(kafka: str, topic: str, offset: int) -> None:
    with KafkaAdminClient(bootstrap_servers=kafka) as client:
        client.delete_records({TopicPartition(topic, 0): offset})


def make_anew(kafka: str, topics: Topics) -> None:
    delete_topics(kafka, [topics.frames])
    with KafkaAdminClient(bootstrap_servers=kafka) as client:
        wait_until(lambda: topics.frames not in client.list_topics())
    ensure_topics(kafka, topics, 2)


def grow(kafka: str, topic: str, count: int) -> None:
    with KafkaAdminClient(bootstrap_servers=kafka) as client:
        client.create_partitions({topic: count})


def test_records_deleted_before_they_are_read_are_noted(kafka, topics, consumer_of) -> None:
    fill(kafka, topics.frames, *[b"%d" % i for i in range(10)])
    first = consumer_of()
    read(first, 10)
    first.close()
    fill(kafka, topics.frames, b"lost", b"lost", b"kept")
    delete_below(kafka, topics.frames, 12)
    second = consumer_of()
    assert read(second, 1) == [b"kept"]
    assert second.losses == [Loss(0, "retention", 10, 12)]
    second.close()


def test_a_new_group_begins_with_the_oldest_record_and_has_lost_nothing(kafka, topics, consumer_of) -> None:
    fill(kafka, topics.frames, b"a", b"b", b"c")
    delete_below(kafka, topics.frames, 2)
    consumer = consumer_of()
    assert read(consumer, 1) == [b"c"]
    assert consumer.losses == []
    consumer.close()


@pytest.mark.parametrize("new", [1, 3, 5])
def test_a_topic_made_anew_is_read_from_its_beginning(kafka: str, topics: Topics, consumer_of, new: int) -> None:
    """Whether it has fewer records than were read of the old one, as many, or more."""
    fill(kafka, topics.frames, b"a", b"b", b"c")
    consumer = consumer_of()
    read(consumer, 3)
    before = consumer.topic_id
    make_anew(kafka, topics)
    fill(kafka, topics.frames, *[b"%d" % i for i in range(new)])
    again: set[bytes | None] = set()

    def all_read() -> bool:
        for record in consumer.poll(0.1):
            again.add(record.value)
            consumer.finish(record.partition, record.offset)
        return len(again) == new

    wait_until(all_read)
    assert consumer.topic_id not in ("", before)
    consumer.close()


def test_a_commit_of_the_earlier_topic_counts_for_nothing(kafka: str, topics: Topics, consumer_of) -> None:
    """A worker may commit once more before it notices, and die."""
    fill(kafka, topics.frames, b"a", b"b", b"c")
    first = consumer_of()
    read(first, 3)
    first.close()
    make_anew(kafka, topics)
    fill(kafka, topics.frames, b"1", b"2", b"3", b"4")
    stale = consumer_of()
    wait_until(lambda: stale.poll(0.1))
    stale.offsets.forget({0})
    stale._positions.read_id = "of the earlier topic"
    stale._client.commit(stale._as_commit({0: 3}))
    stale._client.close(autocommit=False)
    owner = Owner()
    second = FrameConsumer(kafka, topics.frames, topics.prefix + "g", session_timeout_s=6.0, owner=owner)
    wait_until(lambda: second.poll(0.1) == [] and second.held)
    assert second.release({0, 1}) == {0: 4, 1: 0}
    assert read(second, 4) == [b"1", b"2", b"3", b"4"]
    second.close()


class Owner:
    """Holds partitions until a test releases them."""

    def on_revoking(self, partitions: object) -> None:
        pass

    def is_settled(self, partitions: object) -> bool:
        return True

    on_revoked = on_revoking


def test_what_is_polled_of_a_deleted_topic_is_finished_before_the_new_one_is_read(kafka, topics, consumer_of) -> None:
    fill(kafka, topics.frames, b"a", b"b", b"c")
    consumer = consumer_of()
    polled: list[Record] = []
    wait_until(lambda: polled.extend(consumer.poll(0.1)) or len(polled) == 3)
    before = consumer.topic_id
    make_anew(kafka, topics)
    fill(kafka, topics.frames, b"1")
    wait_until(lambda: polled.extend(consumer.poll(0.1)) or consumer.topic_id not in ("", before))
    for record in polled:
        consumer.finish(record.partition, record.offset)
    assert read(consumer, 1) == [b"1"]
    consumer.close()


def test_partitions_that_are_added_are_read_by_every_reader(
    kafka: str, topics: Topics, consumer_of, monkeypatch
) -> None:
    monkeypatch.setitem(reading.SETTINGS, "metadata_max_age_ms", 500)
    fill(kafka, topics.frames, b"a", b"b")
    consumer = consumer_of()
    with TopicReader(kafka, [topics.frames]) as reader, NewestRecords(kafka, topics.frames) as newest:
        assert len(wait_until(lambda: reader.poll(0.1))) == 2
        assert len(wait_until(lambda: newest.look(lambda partition: 5))) == 2
        read(consumer, 2)
        grow(kafka, topics.frames, 4)
        fill(kafka, topics.frames, b"c", partition=3)
        fill(kafka, topics.frames, b"d", partition=0)
        followed: list[bytes | None] = []
        wait_until(lambda: followed.extend(r.value for r in reader.poll(0.1)) or len(followed) >= 2)
        assert sorted(followed) == [b"c", b"d"]
        seen: list[bytes | None] = []
        wait_until(lambda: seen.extend(r.value for r in newest.look(lambda partition: 5)) or len(seen) >= 2)
        assert sorted(seen) == [b"c", b"d"]
        assert sorted(read(consumer, 2)) == [b"c", b"d"]
    consumer.close()


def test_states_of_added_partitions_find_their_place(kafka: str, topics: Topics) -> None:
    with BoundedProducer(kafka, AGE_MS) as producer:
        store = StateTopic(producer, topics.state)
        assert producer.learn(topics.state)
        store.try_write(0, "town", b"1")
        assert producer.flush(10)
        grow(kafka, topics.frames, 5)
        reader = StateReader(kafka, topics.state, add_partitions=lambda: add_partitions(kafka, topics))
        reader.start({0, 4})
        assert wait_until(lambda: reader.step(0.1)) == {0: {"town": b"1"}, 4: {}}
        wait_until(lambda: store.try_write(4, "gate", b"2"))  # the producer learns of the partition
        assert producer.flush(10)
    assert check_topics(kafka, topics) == []


def test_a_group_with_members_of_another_kind_is_refused_in_one_line(kafka: str, topics: Topics, consumer_of) -> None:
    from kafka import KafkaConsumer

    other = KafkaConsumer(topics.frames, bootstrap_servers=kafka, group_id=topics.prefix + "g")
    wait_until(lambda: other.poll(100) is not None and other.assignment())
    consumer = consumer_of()
    with pytest.raises(GroupRefusedError, match="is used by a client of another kind") as raised:
        wait_until(lambda: consumer.poll(0.1))
    assert "\n" not in str(raised.value)
    assert "--describe --members --group" in str(raised.value)
    consumer.close()
    other.close()


@pytest.mark.parametrize(("kind", "mixed"), [("consumer", True), ("classic", False), ("share", False)])
def test_members_of_the_new_protocol_are_told_by_the_type_of_their_group(monkeypatch, kind: str, mixed: bool) -> None:
    """The broker lets them share partitions with this member, which would then not be judged."""

    class Admin:
        def __enter__(self) -> Admin:
            return self

        def __exit__(self, *exc: object) -> None:
            pass

        def list_groups(self, types_filter: list[str]) -> list[dict[str, str]]:
            return [{"group_id": "other", "group_type": "consumer"}, {"group_id": "g", "group_type": kind}]

    monkeypatch.setattr(admin, "connect", lambda *_: Admin())
    assert admin.has_members_of_new_protocol("broker:9092", "g") is mixed


@pytest.mark.parametrize("new", [1, 5])
def test_readers_of_a_topic_made_anew_begin_again(kafka: str, topics: Topics, monkeypatch, new: int) -> None:
    monkeypatch.setitem(reading.SETTINGS, "metadata_max_age_ms", 500)
    fill(kafka, topics.frames, b"a", b"b", b"c")
    with TopicReader(kafka, [topics.frames]) as reader, NewestRecords(kafka, topics.frames) as newest:
        wait_until(lambda: len(newest.look(lambda partition: 5)) == 3)
        wait_until(lambda: reader.poll(0.1))
        make_anew(kafka, topics)
        values = {b"%d" % i for i in range(new)}
        fill(kafka, topics.frames, *sorted(values))
        for poll in (lambda: reader.poll(0.1), lambda: newest.look(lambda partition: 5)):
            seen: set[bytes | None] = set()
            wait_until(lambda poll=poll, seen=seen: seen.update(r.value for r in poll()) or seen == values)
