from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import structlog
from prometheus_client import REGISTRY

from gradwatch.streams.codec import Record, decode_alert, decode_report
from gradwatch.streams.messages import (
    Alert,
    AlertKind,
    AlertState,
    FrameIdentity,
    FrameReport,
    Outcome,
    Severity,
    StreamState,
)
from gradwatch.streams.sinks import SINKS, DeadLetters, KafkaSink, MemorySink
from gradwatch.streams.telemetry import configure_logging, redact
from gradwatch.streams.topics import Topics
from gradwatch.streams.transport.producer import BrokerUnavailable, Delivery, RecordTooLarge

TOPICS = Topics("p.", "frames")
OVERLAY = {"circles": [], "points": [], "texts": []}


class FakeProducer:
    """A producer with a budget, whose records are never acknowledged."""

    def __init__(self, max_bytes: int = 10_000, largest: int = 10**9) -> None:
        self.max_bytes, self.largest, self.pending_bytes = max_bytes, largest, 0
        self.sent: list[SimpleNamespace] = []

    def try_send(self, topic, key, value, headers) -> Delivery | None:
        if len(value) > self.largest:
            raise RecordTooLarge("too large")
        if self.pending_bytes + len(value) > self.max_bytes:
            return None
        self.pending_bytes += len(value)
        self.sent.append(SimpleNamespace(topic=topic, key=key, value=value, headers=headers))
        return Delivery()

    def send(self, *arguments) -> Delivery:
        delivery = self.try_send(*arguments)
        if delivery is None:
            raise BrokerUnavailable("full")
        return delivery


def report(seq: int = 4) -> FrameReport:
    return FrameReport(
        identity=FrameIdentity("north", "run", seq),
        partition=1,
        offset=9,
        capture_ns=400_000_000,
        published_ns=1_790_000_000_000_000_000,
        clock="media",
        outcome=Outcome.JUDGED,
        state=StreamState.WATCHING,
        scores={"msp": np.zeros(2, np.float32)},
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )


def alert() -> Alert:
    return Alert(
        "id",
        2,
        AlertKind.DISTRIBUTION_SHIFT,
        Severity.WARNING,
        AlertState.OPEN,
        "north",
        "run",
        3,
        4,
        300_000_000,
        400_000_000,
        1,
        8,
        9,
        1.5,
        0.01,
        9.0,
        3600.0,
        ["image_statistics"],
        "why",
    )


def test_a_frame_goes_out_as_alert_report_and_overlay() -> None:
    producer = FakeProducer()
    deliveries = KafkaSink(producer, TOPICS).publish(report(), OVERLAY, [alert()])
    assert [sent.topic for sent in producer.sent] == [TOPICS.alerts, TOPICS.reports, TOPICS.overlays]
    assert {sent.key for sent in producer.sent} == {b"north"}
    assert len(deliveries) == 2  # the overlay is not waited for
    sent_alert, sent_report, sent_overlay = producer.sent
    assert decode_alert(sent_alert.value) == alert()
    assert decode_report(sent_report.value).identity == report().identity
    assert json.loads(sent_overlay.value) == OVERLAY


def test_headers_name_the_event() -> None:
    producer = FakeProducer()
    KafkaSink(producer, TOPICS).publish(report(), OVERLAY, [alert()])
    of_alert, of_report, of_overlay = (dict(sent.headers) for sent in producer.sent)
    assert (of_alert["ce_type"], of_alert["ce_id"]) == (b"gradwatch.alert", b"id/2")
    assert (of_report["ce_type"], of_report["ce_id"]) == (b"gradwatch.report", b"run/4")
    assert of_report["content-type"] == b"application/msgpack"
    assert of_report["traceparent"] == report().traceparent.encode()
    assert of_overlay["content-type"] == b"application/json"
    assert {of_alert["gw_schema"], of_report["gw_schema"], of_overlay["gw_schema"]} == {b"1"}


def test_overlays_are_left_out_and_counted_before_reports_lack_room() -> None:
    producer = FakeProducer(max_bytes=10_000)
    producer.pending_bytes = 8_000
    before = REGISTRY.get_sample_value("gradwatch_overlays_skipped_total")
    assert len(KafkaSink(producer, TOPICS).publish(report(), OVERLAY, [])) == 1
    assert [sent.topic for sent in producer.sent] == [TOPICS.reports]
    assert REGISTRY.get_sample_value("gradwatch_overlays_skipped_total") == before + 1


def test_a_full_producer_is_an_error_for_reports() -> None:
    producer = FakeProducer(max_bytes=10)
    with pytest.raises(BrokerUnavailable):
        KafkaSink(producer, TOPICS).publish(report(), None, [])


def test_the_memory_sink_keeps_everything() -> None:
    sink = SINKS["memory"]()
    assert isinstance(sink, MemorySink)
    assert sink.publish(report(), OVERLAY, [alert()]) == []
    sink.publish(report(5), None, [])
    assert ([r.identity.seq for r in sink.reports], sink.overlays, sink.alerts) == ([4, 5], [OVERLAY], [alert()])


def test_a_dead_letter_at_the_size_limit_keeps_its_place() -> None:
    producer = FakeProducer(largest=100)
    record = Record("frames", 2, 77, 5, b"north", bytes(200), (("gw_seq", b"1"),))
    DeadLetters(producer, TOPICS).publish(record, ValueError("x" * 9_000), "decode")
    (sent,) = producer.sent
    assert sent.value == b""
    headers = dict(sent.headers)
    assert headers["gw_seq"] == b"1"
    assert (headers["dlq_offset"], headers["dlq_value"]) == (b"77", b"left out, too large")
    assert len(headers["dlq_message"]) == 500


def test_logs_hide_credentials() -> None:
    event = {
        "event": "opened rtsp://user:secret@camera/1",
        "sasl_plain_password": "secret",
        "client": {"ssl_password": "secret", "servers": ["kafka://me:secret@host"]},
        "seq": 3,
    }
    hidden = redact(None, "info", event)
    assert "secret" not in json.dumps(hidden)
    assert hidden["seq"] == 3
    assert hidden["event"] == "opened rtsp://***@camera/1"


@pytest.mark.parametrize("as_json", [True, False])
def test_logs_of_ours_and_of_libraries_come_out_alike(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        configure_logging(json=as_json)
        structlog.get_logger("ours").warning("late", lag_s=2.5, token="abc")
        logging.getLogger("kafka.theirs").warning("lost %s", "kafka://me:abc@host")
        logging.getLogger("kafka.theirs").info("chatter")
        lines = capsys.readouterr().err.strip().splitlines()
    finally:
        logging.root.handlers[:], logging.root.level = handlers, level
        structlog.reset_defaults()
    assert len(lines) == 2
    assert "abc" not in "".join(lines)
    assert "lag_s" in lines[0]
    if as_json:
        assert [msgspec.json.decode(line)["event"] for line in lines] == ["late", "lost kafka://***@host"]
