"""Keeps account of what was published: each record of the frames topic, and its report or the loss counted for it."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.frames import encode_frame, rejected_stamp
from gradwatch.streams.wire.messages import FrameIdentity, Outcome
from gradwatch.streams.wire.outputs import decode_report
from gradwatch.streams.wire.topics import Topics

from ..builders import encoded_frame
from ..stub_worker import picture
from ..waiting import LIMIT_S, wait_until

LOST = re.compile(r"(\d+) frames \((\w+)\)")


class Audit:
    """Reads the frames topic as it grows, on a thread, so that what is deleted later is known."""

    def __init__(self, servers: str, topics: Topics) -> None:
        self.published: set[FrameIdentity] = set()
        self._servers, self._topics = servers, topics
        self._ends: dict[int, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Audit:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _follow(self) -> None:
        with TopicReader(self._servers, [self._topics.frames], {"metadata_max_age_ms": 500}) as reader:
            while not self._stopping.is_set():
                for record in reader.poll(0.1):
                    self.published.add(rejected_stamp(record).identity)
                    self._ends[record.partition] = record.offset + 1

    def catch_up(self) -> None:
        """Waits until all that is in the topic is read."""
        with TopicReader(self._servers, [self._topics.frames]) as reader:
            places = reader.end_offsets(reader.partitions(self._topics.frames))
        ends = {place.partition: end for place, end in places.items() if end}
        wait_until(lambda: all(self._ends.get(partition) == end for partition, end in ends.items()))


def reported(servers: str, topics: Topics) -> dict[FrameIdentity, Outcome]:
    """The outcome of every frame with a report."""
    found: dict[FrameIdentity, Outcome] = {}
    for record in everything(servers, topics.reports):
        report = decode_report(record)
        found[report.identity] = report.outcome
    return found


def lost(servers: str, topics: Topics) -> Counter[str]:
    """The frames that workers counted as lost, by cause, as their health records say."""
    found: Counter[str] = Counter()
    for record in everything(servers, topics.health):
        if b'"frames_lost"' in record:
            found.update({cause: int(count) for count, cause in LOST.findall(record.decode())})
    return found


def everything(servers: str, topic: str) -> list[bytes]:
    """The values of all records of a topic."""
    with TopicReader(servers, [topic]) as reader:
        ends = reader.end_offsets(reader.partitions(topic))
        values: list[bytes] = []
        while reader.missing(ends):
            values += [record.value or b"" for record in reader.poll(0.2)]
    return values


def put_run(
    servers: str,
    topics: Topics,
    stream_id: str,
    seqs: list[int],
    partition: int,
    *,
    ahead_s: float = 0.0,
    run: str = "run",
) -> None:
    """Publishes frames of one run, by a clock that is `ahead_s` ahead."""
    with BoundedProducer(servers, {"metadata_max_age_ms": 500}, timeout_s=LIMIT_S) as producer:
        for seq in seqs:
            frame = encoded_frame(stream_id, seq, run, content=picture(0))
            now_ms = int((time.time() + ahead_s) * 1000)
            record = encode_frame(frame)
            producer.send(topics.frames, *record, partition=partition, timestamp_ms=now_ms)
        assert producer.flush(30)


def put_poison(servers: str, topics: Topics, count: int, partition: int) -> None:
    """Publishes records that are no frames."""
    with BoundedProducer(servers) as producer:
        for _ in range(count):
            producer.send(topics.frames, None, b"no picture", partition=partition)
        assert producer.flush(30)


def end_of(servers: str, topics: Topics, partition: int) -> int:
    with TopicReader(servers, [topics.frames]) as reader:
        place = TopicPartition(topics.frames, partition)
        return reader.end_offsets([place])[place]


def committed(servers: str, topics: Topics, partition: int, group_id: str) -> int:
    """The offset that the workers have committed; all below is reported, and covered by stored states."""
    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=group_id, enable_auto_commit=False)
    try:
        return consumer.committed(TopicPartition(topics.frames, partition)) or 0
    finally:
        consumer.close()


def delete_below(servers: str, topics: Topics, partition: int, offset: int) -> None:
    """As retention does, at once."""
    with KafkaAdminClient(bootstrap_servers=servers) as admin:
        admin.delete_records({TopicPartition(topics.frames, partition): offset})


def add_partitions(servers: str, topics: Topics, count: int) -> None:
    with KafkaAdminClient(bootstrap_servers=servers) as admin:
        admin.create_partitions({topics.frames: count})


def make_anew(servers: str, topics: Topics, partitions: int) -> None:
    """Deletes the frames topic and makes it again; all others stay."""
    delete_topics(servers, [topics.frames])
    with KafkaAdminClient(bootstrap_servers=servers) as admin:
        wait_until(lambda: topics.frames not in admin.list_topics())
    ensure_topics(servers, topics, partitions)


def assert_accounts_balance(
    servers: str, topics: Topics, published: set[FrameIdentity], expected: Counter[str]
) -> None:
    """Every published frame has a report or is counted as lost, with the causes expected; nothing else is counted."""
    reports, losses = reported(servers, topics), lost(servers, topics)
    assert not reports.keys() - published, "a frame was reported that was never published"
    assert losses == expected, f"expected the losses {expected}, got {losses}"
    assert len(published) == len(reports) + losses.total() - losses["seq_gap"]  # which were never published
