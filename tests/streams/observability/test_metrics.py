"""The metrics of sources and workers: names, labels, and how many streams have one."""

from __future__ import annotations

import re
import time

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from gradwatch.streams.observability import metrics as telemetry
from gradwatch.streams.observability.metrics import (
    OTHER,
    STREAMS,
    StreamCounter,
    StreamGauge,
    StreamHistogram,
    StreamLabels,
)

METRICS = sorted((m for m in vars(telemetry).values() if isinstance(m, MetricWrapperBase)), key=lambda m: m._name)
LABELS = {"stream_id", "stage", "scorer", "outcome", "cause", "kind", "state"}
UNITS = ("_seconds", "_bytes")


def test_there_are_metrics_to_speak_of() -> None:
    assert len(METRICS) > 12


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric._name)
def test_names_and_labels_follow_the_rules(metric: MetricWrapperBase) -> None:
    assert re.fullmatch(r"gradwatch_[a-z_]+", metric._name)
    assert not re.search(r"_(ms|ns|us|milliseconds|kb|mb)\b", metric._name)
    assert set(metric._labelnames) <= LABELS
    assert metric._documentation.endswith(".")
    if metric._type == "histogram":
        assert metric._name.endswith(UNITS)
    if "stream_id" in metric._labelnames:
        assert metric._labelnames[0] == "stream_id"
        assert isinstance(metric, StreamCounter | StreamGauge | StreamHistogram)  # nothing goes round the limit


def test_only_so_many_streams_have_their_own_label() -> None:
    streams = StreamLabels(limit=3)
    streams.reserve(["north", "south"])
    assert [streams.label(name) for name in ("a", "b", "north", "a", "south", "c")] == [
        "a",
        OTHER,
        "north",
        "a",
        "south",
        OTHER,
    ]
    assert len(streams) == 3


def test_what_a_user_has_named_has_its_label_beyond_the_limit() -> None:
    streams = StreamLabels(limit=1)
    assert streams.label("hostile") == "hostile"
    streams.reserve(["north", "south"])
    assert [streams.label(name) for name in ("north", "south", "new")] == ["north", "south", OTHER]


def test_a_flood_of_streams_ends_in_one_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "STREAMS", StreamLabels(limit=10))
    registry = CollectorRegistry()
    counter = StreamCounter("frames", "Of a flood.", ["stream_id", "cause"], registry=registry)
    age = StreamHistogram("age_seconds", "Of a flood.", ["stream_id"], registry=registry, buckets=(1.0,))
    for i in range(10_000):
        counter.labels(f"stream-{i}", "stale").inc()
        age.labels(f"stream-{i}").observe(0.5)
    series = [sample for metric in registry.collect() for sample in metric.samples]
    assert len(series) == 11 + 11 * 4  # two buckets, count and sum
    assert registry.get_sample_value("frames_total", {"stream_id": OTHER, "cause": "stale"}) == 9_990
    assert registry.get_sample_value("age_seconds_count", {"stream_id": OTHER}) == 9_990


def test_a_gauge_is_folded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "STREAMS", StreamLabels(limit=0))
    registry = CollectorRegistry()
    gauge = StreamGauge("open", "Of many.", ["stream_id"], registry=registry)
    gauge.labels("a").set(3)
    assert registry.get_sample_value("open", {"stream_id": OTHER}) == 3


def test_the_limit_is_a_thousand() -> None:
    assert STREAMS.limit == 1000


def test_streams_that_are_gone_take_all_their_series_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "STREAMS", StreamLabels())
    telemetry.STREAMS.reserve(["named"])
    series = [
        (telemetry.FRAMES, ("judged", "")),
        (telemetry.FRAME_AGE, ()),
        (telemetry.ALERTS_OPEN, ()),
    ]
    for metric, labels in series:
        for stream_id in ("gone", "named"):
            metric.labels(stream_id, *labels)
    since_s = time.monotonic() + 1
    monkeypatch.setattr(time, "monotonic", lambda: since_s + 1)
    telemetry.FRAMES.labels("here", "judged", "").inc()
    telemetry.forget_streams(since_s)
    for metric, _ in series:
        (family,) = metric.collect()
        assert {"gone", "named", "here"} & {s.labels["stream_id"] for s in family.samples} <= {"named", "here"}
    assert len(telemetry.STREAMS) == 2
