"""Alerts and reports that were not written by our worker: none prevents the evidence of another alert."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch.monitor.evidence.mcap_reader import read_evidence
from gradwatch.monitor.evidence.mcap_writer import write_evidence
from gradwatch.monitor.evidence.window import window_of
from gradwatch.streams.wire.checks import check_alert
from gradwatch.streams.wire.messages import AlertState, FrameIdentity, FrameReport
from gradwatch.streams.wire.outputs import encode_alert, encode_report

from ...waiting import wait_until
from .live import RunPublisher, attachments, serving
from .scenes import PUBLISHED_MS, TOPICS, MemoryRecords, alert, frame, read_window, report, stamped

FOREIGN = "0d4c7a52-7c55-5f6e-8d3b-0f4a3a1f5b11"
HOSTILE: list[dict[str, Any]] = [
    {"alert_id": FOREIGN},  # of another episode
    {"stream_id": "south"},  # whose alert this is not
    {"onset_capture_ns": "-5", "last_capture_ns": "-1"},
    {"last_capture_ns": "-1"},
    {"first_offset": -7},
    {"first_offset": 2**64},
    {"partition": -1},
]


@pytest.mark.parametrize("change", HOSTILE)
def test_an_alert_without_a_window_is_refused(change: dict[str, Any]) -> None:
    good = replace(alert(frame(60, 10), frame(70, 10)), partition=0, first_offset=60)
    check_alert(good)
    changes = {name: int(value) if name.endswith("_ns") else value for name, value in change.items()}
    with pytest.raises(ValueError, match="expected"):
        check_alert(replace(good, **changes))


def test_hostile_alerts_are_committed_and_do_not_hold_up_others(runs: RunPublisher, tmp_path: Path) -> None:
    own = runs.frames(range(160), 10)
    good = alert(own[60], own[70])
    for change in HOSTILE:
        runs._producer.send(runs.topics.alerts, b"north", json.dumps(json.loads(encode_alert(good)) | change).encode())
    runs.alert(good)
    with serving(runs.broker, runs.topics, tmp_path) as service:
        (made,) = attachments(runs.broker, runs.topics, 1)
        wait_until(lambda: service.consumer.offsets.unfinished_bytes == 0)  # all is committed
        assert service.failures() == []
    assert (made.alert_id, made.frames) == (good.alert_id, 111)
    assert [path.name for path in tmp_path.iterdir()] == ["north"]


def spoiled(said: FrameReport) -> list[FrameReport]:
    """Variants of a report that can't be drawn."""
    seen = said.detections
    assert seen is not None
    return [
        replace(said, detections=replace(seen, score=np.float32([0.5, 0.5]))),
        replace(said, detections=replace(seen, xyxy=np.float32([1, 2, 3, 4]))),
        replace(said, detections=replace(seen, label=[])),
    ]


def test_a_report_that_cannot_be_drawn_only_loses_its_overlay(tmp_path: Path) -> None:
    frames = [stamped(frame(seq, 10), partition=0, offset=seq) for seq in range(20)]
    about = alert(frames[6], frames[9], AlertState.CLOSED)
    reports = [*spoiled(report(frames[0])), report(frames[1])]
    with (tmp_path / "evidence.mcap").open("wb") as stream:
        write_evidence(stream, [about], window_of(about), reports, iter(frames), dict)
    found = read_evidence(tmp_path / "evidence.mcap")
    assert found.frames == frames
    assert [encode_report(one) for one in found.reports] == [encode_report(one) for one in reports]


def test_a_report_with_numbers_that_no_file_can_store_is_skipped() -> None:
    records = MemoryRecords()
    own = [records.publish(frame(seq, 10)) for seq in range(160)]
    for one in own:
        records.judge(one)
        for changes in (
            {"identity": FrameIdentity("north", one.stamp.identity.run_id, 2**63)},
            {"published_ns": 2**64 - 1},
            {"capture_ns": -1},
        ):
            hostile = encode_report(replace(report(one), **changes))
            records.put(TOPICS.reports, "north", hostile, PUBLISHED_MS + 100 * one.stamp.identity.seq)
    window = read_window(records, alert(own[60], own[70]))
    assert [one.identity.seq for one in window.reports] == list(range(10, 121))
