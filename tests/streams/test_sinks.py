from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import REGISTRY

from gradwatch.streams.sinks import SINKS, KafkaSink, MemorySink
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import Delivery, RecordTooLargeError
from gradwatch.streams.wire.messages import (
    Alert,
    FrameReport,
)
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.topics import Topics

from ..builders import frame_report, shift_alert

TOPICS = Topics("p.", "frames")
OVERLAY = {"circles": [], "points": [], "texts": []}


class FakeProducer:
    """A producer with a budget, whose records are never acknowledged."""

    def __init__(self, max_bytes: int = 10_000, largest: int = 10**9) -> None:
        self.max_bytes, self.largest, self.pending_bytes = max_bytes, largest, 0
        self.sent: list[SimpleNamespace] = []

    def try_send(self, topic, key, value, headers) -> Delivery | None:
        if len(value) > self.largest:
            raise RecordTooLargeError("too large")
        if self.pending_bytes + len(value) > self.max_bytes:
            return None
        self.pending_bytes += len(value)
        self.sent.append(SimpleNamespace(topic=topic, key=key, value=value, headers=headers))
        return Delivery()

    def send(self, *arguments) -> Delivery:
        delivery = self.try_send(*arguments)
        if delivery is None:
            raise BrokerUnavailableError("full")
        return delivery


def report(seq: int = 4) -> FrameReport:
    scores, traceparent = {"msp": np.zeros(2, np.float32)}, "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    return frame_report("north", seq, scores=scores, traceparent=traceparent)


def alert() -> Alert:
    return shift_alert("north", 3, last_seq=4, alert_id="id", revision=2)


def test_a_frame_is_published_as_alert_report_and_overlay() -> None:
    producer = FakeProducer()
    deliveries = KafkaSink(producer, TOPICS, producer).publish(report(), OVERLAY, [alert()])
    assert [sent.topic for sent in producer.sent] == [TOPICS.alerts, TOPICS.reports, TOPICS.overlays]
    assert {sent.key for sent in producer.sent} == {b"north"}
    assert len(deliveries) == 2  # the overlay is not waited for
    sent_alert, sent_report, sent_overlay = producer.sent
    assert decode_alert(sent_alert.value) == alert()
    assert decode_report(sent_report.value).identity == report().identity
    assert json.loads(sent_overlay.value) == OVERLAY


def test_headers_name_the_event() -> None:
    producer = FakeProducer()
    KafkaSink(producer, TOPICS, producer).publish(report(), OVERLAY, [alert()])
    of_alert, of_report, of_overlay = (dict(sent.headers) for sent in producer.sent)
    assert (of_alert["ce_type"], of_alert["ce_id"]) == (b"gradwatch.alert", b"id/2")
    assert (of_report["ce_type"], of_report["ce_id"]) == (b"gradwatch.report", b"run/4")
    assert of_report["content-type"] == b"application/msgpack"
    assert of_report["traceparent"] == report().traceparent.encode()
    assert of_overlay["content-type"] == b"application/json"
    assert [sent["gw_schema"] for sent in (of_alert, of_report, of_overlay)] == [b"1.1", b"1.2", b"1"]


def test_an_overlay_without_room_is_skipped_and_counted() -> None:
    producer, best_effort = FakeProducer(), FakeProducer(max_bytes=10)
    labels = {"stream_id": "north", "cause": "no_room"}
    before = REGISTRY.get_sample_value("gradwatch_overlays_skipped_total", labels) or 0.0
    assert len(KafkaSink(producer, TOPICS, best_effort).publish(report(), OVERLAY, [])) == 1
    assert [sent.topic for sent in producer.sent] == [TOPICS.reports]
    assert REGISTRY.get_sample_value("gradwatch_overlays_skipped_total", labels) == before + 1


def test_a_full_producer_is_an_error_for_reports() -> None:
    producer = FakeProducer(max_bytes=10)
    with pytest.raises(BrokerUnavailableError):
        KafkaSink(producer, TOPICS, producer).publish(report(), None, [])


def test_the_memory_sink_keeps_everything() -> None:
    sink = SINKS["memory"]()
    assert isinstance(sink, MemorySink)
    assert sink.publish(report(), OVERLAY, [alert()]) == []
    sink.publish(report(5), None, [])
    assert ([r.identity.seq for r in sink.reports], sink.overlays, sink.alerts) == ([4, 5], [OVERLAY], [alert()])


def test_a_report_larger_than_any_topic_may_take_is_published_without_its_content() -> None:
    producer = FakeProducer(largest=700)
    large = frame_report("north", 4, scores={"msp": np.zeros(500, np.float32)})
    (_,) = KafkaSink(producer, TOPICS, producer).publish(large, None, [])
    (sent,) = producer.sent
    short = decode_report(sent.value)
    assert (short.identity, short.outcome, short.cause) == (large.identity, "failed", "too_large")
