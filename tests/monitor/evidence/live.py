"""Publishes frames, reports and alerts to a real broker as sources and a worker do, and runs the evidence service."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaAdminClient, TopicPartition
from prometheus_client import REGISTRY

from gradwatch.monitor.evidence.folder import EvidenceFolder
from gradwatch.monitor.evidence.scan import WindowSource
from gradwatch.monitor.evidence.service import EvidenceService
from gradwatch.streams.sinks import KafkaSink
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.ranges import TopicRanges
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import Alert, Attachment, EncodedFrame
from gradwatch.streams.wire.outputs import decode_attachment
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from .scenes import JPEG, frame, report, stamped

PARTITION = 1


class RunPublisher:
    """Publishes runs as if their last frame was recorded just now; `close` it at the end."""

    def __init__(self, broker: str, topics: Topics) -> None:
        self.broker, self.topics = broker, topics
        self._producer = BoundedProducer(broker)
        self._sink = KafkaSink(self._producer, topics, self._producer)

    def frames(
        self, seqs: Iterable[int], rate_hz: int, stream_id: str = "north", content: bytes = JPEG, judged: bool = True
    ) -> dict[int, EncodedFrame]:
        """Publishes frames, each with its report, and returns them with their places on the topic."""
        numbers = list(seqs)
        begin_ms = int(time.time() * 1000) - numbers[-1] * 1000 // rate_hz
        made, deliveries = {}, {}
        for seq in numbers:
            published_ms = begin_ms + seq * 1000 // rate_hz
            one = stamped(frame(seq, rate_hz, stream_id, content=content), published_ns=published_ms * 1_000_000)
            deliveries[seq] = self._producer.send(
                self.topics.frames, *encode_frame(one), partition=PARTITION, timestamp_ms=published_ms
            )
            made[seq] = one
        assert self._producer.flush(30)
        stored = {seq: stamped(one, partition=PARTITION, offset=deliveries[seq].offset) for seq, one in made.items()}
        if judged:
            for one in stored.values():
                self._sink.publish(report(one), None, [])
            assert self._producer.flush(30)
        return stored

    def alert(self, about: Alert) -> None:
        """Publishes a revision of an alert."""
        (delivery,) = self._sink.publish_alerts([about])
        assert delivery.wait(30)
        assert delivery.exception is None

    def expire(self, offset: int) -> bool:
        """Makes the broker delete the frames below `offset`, as retention does; returns False if it can't."""
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        try:
            admin.delete_records({TopicPartition(self.topics.frames, PARTITION): offset})
        except Exception:
            return False
        finally:
            admin.close()
        return True

    def close(self) -> None:
        self._producer.close()


@contextmanager
def serving(
    broker: str, topics: Topics, folder: Path, max_bytes: int = 10**9, patience_s: float = 30.0
) -> Iterator[EvidenceService]:
    """Runs the service on a thread; after the block it has ended without an error."""
    failed: list[BaseException] = []
    with TopicRanges(broker) as ranges, BoundedProducer(broker) as producer:
        group = topics.prefix + "evidence"
        consumer = FrameConsumer(broker, topics.alerts, group, session_timeout_s=6.0)
        kept = EvidenceFolder(folder, max_bytes)
        service = EvidenceService(consumer, WindowSource(ranges, topics), producer, kept, patience_s)

        def work() -> None:
            try:
                service.run()
            except BaseException as error:  # raised in the test
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield service
        finally:
            service.stop()
            thread.join(60)
    assert not thread.is_alive()
    assert failed == []


def attachments(broker: str, topics: Topics, count: int, timeout_s: float = 60.0) -> list[Attachment]:
    """The first `count` attachments; fewer if no more came in time."""
    found: list[Record] = []
    deadline_s = time.monotonic() + timeout_s
    with TopicReader(broker, [topics.attachments]) as reader:
        while len(found) < count and time.monotonic() < deadline_s:
            found += reader.poll(0.2)
    made = [decode_attachment(record.value or b"") for record in found]
    assert [record.key for record in found] == [one.alert_id.encode() for one in made]
    return made


def counted(metric: str, **labels: str) -> float:
    """The value of a metric of this process."""
    return REGISTRY.get_sample_value(metric, labels) or 0.0
