"""Producer, broker and consumer together, on every broker there is."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from kafka import KafkaAdminClient, KafkaProducer

from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.transport.admin import check_topics, delete_topics, ensure_topics
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.offsets import DeliveryError
from gradwatch.streams.transport.producer import BoundedProducer, Delivery
from gradwatch.streams.wire.frames import bare_identity, decode_frame
from gradwatch.streams.wire.pixels import BadRecordError, decode_picture, encode_jpeg
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from ...places import DOCS
from ...waiting import LIMIT_S, wait_until

SESSION_S = 2.0
PICTURES = [encode_jpeg(np.full((24, 32, 3), 20 * i, np.uint8)) for i in range(10)]


def member(broker: str, topics: Topics, **settings: float) -> FrameConsumer:
    return FrameConsumer(broker, topics.frames, topics.prefix + "group", session_timeout_s=SESSION_S, **settings)


def read(consumer: FrameConsumer, count: int, timeout_s: float = 30.0) -> list[Record]:
    """At least `count` records; fails after `timeout_s`."""
    records: list[Record] = []
    deadline_s = time.monotonic() + timeout_s
    while len(records) < count:
        assert time.monotonic() < deadline_s, f"expected {count} records within {timeout_s} s, got {len(records)}"
        records += consumer.poll(0.1)
    return records


def read_as_new_member(broker: str, topics: Topics, count: int) -> list[Record]:
    consumer = member(broker, topics)
    records = read(consumer, count)
    consumer.close(0)
    return records


class Member(threading.Thread):
    """A member of the group on its own thread that finishes whatever it reads, a little later."""

    def __init__(self, broker: str, topics: Topics) -> None:
        super().__init__()
        self.places: list[tuple[int, int]] = []
        self.assigned: frozenset[int] = frozenset()
        self._stopping = threading.Event()
        self._arguments = broker, topics

    def run(self) -> None:
        consumer = member(*self._arguments)
        while not self._stopping.is_set():
            for record in consumer.poll(0.1):
                self.places.append((record.partition, record.offset))
                delivery = Delivery()
                consumer.finish(record.partition, record.offset, [delivery])
                threading.Timer(0.2, delivery.finish, [0]).start()
            self.assigned = consumer.assigned
        consumer.close(drain_s=2)

    def __enter__(self) -> Member:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self.join()


def seconds(action: Callable[[], object]) -> float:
    started_s = time.monotonic()
    action()
    return time.monotonic() - started_s


def send(broker: str, topics: Topics, count: int, partition: int | None = None) -> None:
    with BoundedProducer(broker) as producer:
        for i in range(count):
            producer.send(topics.frames, b"cam%d" % i, PICTURES[i % 10], partition=partition)
        assert producer.flush(10)


def test_frames_come_out_as_they_went_in(broker: str, topics: Topics) -> None:
    with BoundedProducer(broker) as producer:
        summary = publish(jpegs(PICTURES, Playback(rate_hz=5)), producer, topics, "north", pace=False, partition=2)
    assert (summary.frames, summary.published, summary.dropped) == (10, 10, {})
    frames = [decode_frame(record) for record in read_as_new_member(broker, topics, 10)]
    assert [frame.stamp.identity.seq for frame in frames] == list(range(10))
    assert {(frame.stamp.identity.stream_id, frame.stamp.identity.run_id) for frame in frames} == {
        ("north", summary.run_id)
    }
    assert [frame.content for frame in frames] == PICTURES
    assert [frame.stamp.capture_ns for frame in frames] == [i * 200_000_000 for i in range(10)]
    assert {(frame.stamp.partition, frame.stamp.clock) for frame in frames} == {(2, "media")}
    assert abs(time.time() - frames[0].stamp.published_ns / 1e9) < 60


def test_the_next_member_begins_behind_the_finished_prefix(broker: str, topics: Topics) -> None:
    send(broker, topics, 10, partition=1)
    first = member(broker, topics)
    pending = Delivery()
    for record in read(first, 10):
        if record.offset not in (5, 8):
            first.finish(record.partition, record.offset, [pending] if record.offset == 4 else [])
    first.close(0)  # the delivery of frame 4 is still open: 0 to 3 are committed
    assert [record.offset for record in read_as_new_member(broker, topics, 6)] == [4, 5, 6, 7, 8, 9]


def test_closing_lets_what_is_under_way_finish(broker: str, topics: Topics) -> None:
    send(broker, topics, 10, partition=0)
    consumer = member(broker, topics)
    deliveries = []
    for record in read(consumer, 10):
        deliveries.append(Delivery())
        consumer.finish(record.partition, record.offset, [deliveries[-1]])
    threading.Timer(0.5, lambda: [delivery.finish(offset=0) for delivery in deliveries]).start()
    assert seconds(lambda: consumer.close(drain_s=600)) < LIMIT_S
    send(broker, topics, 1, partition=0)
    assert read_as_new_member(broker, topics, 1)[0].offset == 10


def test_closing_is_bounded_and_commits_nothing_unfinished(broker: str, topics: Topics) -> None:
    send(broker, topics, 3, partition=0)
    consumer = member(broker, topics)
    read(consumer, 3)
    assert seconds(lambda: consumer.close(drain_s=0.3)) < LIMIT_S
    assert read_as_new_member(broker, topics, 3)[0].offset == 0


def test_a_lost_output_stops_the_consumer_before_it_commits(broker: str, topics: Topics) -> None:
    send(broker, topics, 1, partition=0)
    consumer = member(broker, topics)
    lost = Delivery()
    lost.finish(exception=RuntimeError("gone"))
    consumer.finish(0, read(consumer, 1)[0].offset, [lost])
    with pytest.raises(DeliveryError):
        consumer.close(0)


def test_a_paused_consumer_stays_a_member_and_goes_on(broker: str, topics: Topics) -> None:
    send(broker, topics, 30, partition=0)
    consumer = member(broker, topics)
    held = read(consumer, 1)
    assert not consumer.pause(max_bytes=1 << 30)
    assert consumer.pause(max_bytes=1)
    send(broker, topics, 30, partition=0)
    deadline_s = time.monotonic() + SESSION_S + 1.5
    while time.monotonic() < deadline_s:
        assert consumer.poll(0.1) == []
    assert len(consumer.assigned) == 3
    for record in held:
        consumer.finish(record.partition, record.offset)
    consumer.resume()
    rest = read(consumer, 60 - len(held))
    assert [record.offset for record in held + rest] == list(range(60))
    consumer.close(0)


def test_a_partition_that_moves_is_neither_judged_twice_nor_skipped(broker: str, topics: Topics) -> None:
    with Member(broker, topics) as first:
        send(broker, topics, 30)
        wait_until(lambda: len(first.places) == 30)
        with Member(broker, topics) as second:
            wait_until(lambda: bool(second.assigned) and len(first.assigned) + len(second.assigned) == 3)
            send(broker, topics, 30)
            wait_until(lambda: len(first.places) + len(second.places) >= 60)
    places = first.places + second.places
    assert second.places
    assert len(places) == len(set(places)) == 60


def test_a_challenged_frame_of_3_mib_passes(broker: str, topics: Topics) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    content = cv2.imencode(".png", image)[1].tobytes()
    assert len(content) > 3 * 1024 * 1024
    with BoundedProducer(broker) as producer:
        assert publish(jpegs([content]), producer, topics, "noisy", pace=False).published == 1
    frame = decode_frame(read_as_new_member(broker, topics, 1)[0])
    assert frame.encoding == "image/png"
    np.testing.assert_array_equal(decode_picture(frame.content), image[:, :, ::-1])


class RawName(str):
    """A header name that is sent as these bytes, which some clients do."""

    def encode(self, *_: object) -> bytes:
        return b"caf\xe9"


def test_a_header_name_of_any_bytes_blocks_nobody(broker: str, topics: Topics) -> None:
    producer = KafkaProducer(bootstrap_servers=broker)
    for number in range(4):
        headers = [(RawName("x"), b"\xe9value")] if number % 2 else [("name", b"value")]
        producer.send(topics.frames, b"content", key=str(number).encode(), headers=headers, partition=0)
    producer.close()
    records = read_as_new_member(broker, topics, 4)
    assert [record.key for record in records] == [b"0", b"1", b"2", b"3"]
    assert [record.headers for record in records] == [(("name", b"value"),), (("caf\\xe9", b"\xe9value"),)] * 2
    assert {record.value for record in records} == {b"content"}


def test_dead_letters_keep_bytes_and_headers(broker: str, topics: Topics) -> None:
    headers = (("gw_schema", b"9"), ("x", b"\xff\x00"))
    record = Record(topics.frames, 2, 77, 1_790_000_000_000, b"north", b"GIF89a", headers)
    with pytest.raises(BadRecordError) as caught:
        decode_frame(record)
    with BoundedProducer(broker) as producer:
        letters = DeadLetters(producer, topics)
        assert producer.learn(topics.dlq)
        letters.publish(record, caught.value, "decode")
        letters.publish(Record(topics.frames, 0, 1, 0, None, None), ValueError("nothing"), "decode")
    consumer = FrameConsumer(broker, topics.dlq, topics.prefix + "dlq", session_timeout_s=SESSION_S)
    letter, empty = read(consumer, 2)
    consumer.close(0)
    assert (letter.key, letter.value, letter.headers[:2]) == (record.key, record.value, headers)
    said = dict(letter.headers)
    assert (said["dlq_topic"], said["dlq_partition"], said["dlq_offset"]) == (topics.frames.encode(), b"2", b"77")
    assert (said["dlq_error"], said["dlq_cause"], said["dlq_stage"]) == (b"BadRecordError", b"bad_schema", b"decode")
    assert b"expected 1 or 1.x, got '9'" in said["dlq_message"]
    assert empty.value in (b"", None)


def test_the_example_of_the_documentation_sends_frames(broker: str, topics: Topics, tmp_path: Path) -> None:
    """docs/wire.md shows a producer of bare JPEG; it runs as written, with this broker and these topics."""
    code = re.search(r"```python\n(.*?)```", (DOCS / "wire.md").read_text(), re.DOTALL)
    assert code is not None
    script = code[1].replace("localhost:9092", broker).replace("gradwatch.frames", topics.frames)
    (tmp_path / "frame.jpg").write_bytes(PICTURES[3])
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    (record,) = read_as_new_member(broker, topics, 1)
    assert decode_frame(record).content == PICTURES[3]
    assert decode_frame(record).stamp.identity == bare_identity(record)


def test_topics_are_made_once_and_then_found_right(broker: str, topics: Topics) -> None:
    assert ensure_topics(broker, topics, 3) == []
    assert check_topics(broker, topics) == []


def test_wrong_topics_are_named_with_the_command_that_mends_them(broker: str) -> None:
    prefix = f"wrong{uuid.uuid4().hex[:8]}."
    topics = Topics(prefix, prefix + "frames")
    admin = KafkaAdminClient(bootstrap_servers=broker)
    configs = {"max.message.bytes": "1000000", "retention.ms": "-1", "cleanup.policy": "delete"}
    admin.create_topics({topics.frames: {"num_partitions": 2, "replication_factor": 1, "configs": configs}})
    admin.create_topics({topics.state: {"num_partitions": 1, "replication_factor": 1}})
    admin.wait_for_topics([topics.frames, topics.state])
    admin.close()
    problems = {(problem.topic, problem.setting): problem for problem in check_topics(broker, topics)}
    delete_topics(broker, [topics.frames, topics.state])
    small = problems[topics.frames, "max.message.bytes"]
    assert (small.expected, small.got) == ("8388608", "1000000")
    assert f"--entity-name {topics.frames} --add-config max.message.bytes=8388608" in str(small)
    assert (topics.frames, "retention.ms") not in problems  # kept for ever is long enough
    assert problems[topics.state, "partitions"].expected == "2"
    assert problems[topics.state, "cleanup.policy"].got in ("delete", "unknown")
    assert "kafka-topics.sh" in problems[topics.alerts, "topic"].remedy
