"""Recordings replayed through an embedded broker to a worker: its reports, figures of them, and stills."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import msgspec
import numpy as np

from gradwatch.streams.recordings.video import read_video
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import FrameReport, Outcome
from gradwatch.streams.wire.outputs import decode_report
from gradwatch.streams.wire.topics import Topics

from ..children import Child
from ..overlay import annotations as overlays
from .reports import Figures

IDLE_S = 10.0  # without a frame, until the worker ends; joining its group takes about 4 s
READ_TIMEOUT_S = 60.0
STILLS = (0.1, 0.5, 0.9)  # places in a recording at which a still is drawn


class Replayed(NamedTuple):
    """The reports of one recording, the number of frames published, the worker's time and the broker's memory."""

    reports: list[FrameReport]
    frames: int
    worked_s: float
    broker_mib: int


def replay(name: str, recording: Path) -> Replayed:
    """Publishes all of a recording, lets a worker judge every frame, and reads the reports, in order of arrival.

    Each recording gets its own broker, because an embedded one keeps all records in memory.
    """
    with tempfile.TemporaryDirectory() as scratch, EmbeddedBroker() as broker:
        topics = Topics("recordings.", "recordings.frames")
        ensure_topics(broker.bootstrap_servers, topics, partitions=1)
        config, summary = Path(scratch) / "gradwatch.yaml", Path(scratch) / "replay.json"
        config.write_text(
            f"broker: {{bootstrap_servers: '{broker.bootstrap_servers}'}}\n"
            f"topics: {{frames: {topics.frames}, prefix: {topics.prefix}}}\n"
        )
        played = [recording, "--stream-id", name, "--no-pace", "--json", summary]
        Child("replay", *played, "-c", config, log=Path(scratch) / "replay.log").wait()
        broker.check_room()
        started_s = time.monotonic()
        judged = ["--policy", "every_frame", "--until-idle", IDLE_S]
        Child("work", "-c", config, *judged, log=Path(scratch) / "work.log").wait()
        worked_s = time.monotonic() - started_s - IDLE_S
        frames = int(msgspec.json.decode(summary.read_bytes())["published"])
        reports = _read_reports(broker.bootstrap_servers, topics.reports, frames)
        return Replayed(reports, frames, worked_s, broker.rss_bytes() >> 20)


def _read_reports(servers: str, topic: str, expected: int) -> list[FrameReport]:
    """Every report of a topic: `expected` of them, and any that arrive within a second after those."""
    reports: list[FrameReport] = []
    deadline_s = time.monotonic() + READ_TIMEOUT_S
    with TopicReader(servers, [topic]) as reader:
        while time.monotonic() < deadline_s:
            records = reader.poll(0.2)
            reports += [decode_report(record.value or b"") for record in records]
            if records and len(reports) >= expected:
                deadline_s = min(deadline_s, time.monotonic() + 1.0)
    return reports


def broker_figures(reports: list[FrameReport], frames: int) -> Figures:
    """Counts of one recording's reports, and the coverage of the forecasts as its last report states it.

    `one_report_a_frame` is True if every seq from 0 to frames - 1 has exactly one report.
    """
    last = max(reports, key=lambda report: report.identity.seq, default=None)
    forecasts = last.forecasts if last is not None else None
    judged = [report for report in reports if report.outcome == Outcome.JUDGED]
    outcomes = Counter(f"{r.outcome}{f' ({r.cause})' if r.cause else ''}" for r in reports)
    return {
        "frames": frames,
        "reports": len(reports),
        "one_report_a_frame": sorted(report.identity.seq for report in reports) == list(range(frames)),
        "outcomes": dict(outcomes),
        "states": dict(Counter(str(report.state) for report in judged)),
        "alerts": len({alert_id for report in judged for alert_id in report.alert_ids}),
        "over_threshold": sorted({name for r in judged for name, ratio in r.change.items() if ratio >= 1}),
        "tracks": len({track for r in judged if r.tracks is not None for track in r.tracks.track_id}),
        "coverage_asked": forecasts.coverage_asked if forecasts is not None else None,
        "coverage_achieved": forecasts.coverage_achieved if forecasts is not None and forecasts.checked else None,
        "forecasts_checked": forecasts.checked if forecasts is not None else 0,
        "latency_ms": {
            part: float(np.median([report.latency_ms[part] for report in judged if part in report.latency_ms]))
            for part in ("decode", "observe", "judge")
            if judged
        },
    }


def coverage(figures: Figures) -> str:
    """The coverage in `broker_figures`, the number of forecasts that it is of, and the coverage asked."""
    if figures["coverage_achieved"] is None:
        return "none checked"
    return "{coverage_achieved:.3f} of {forecasts_checked} (asked {coverage_asked:g})".format_map(figures)


def draw_stills(recording: Path, reports: list[FrameReport], stills: Path, kind: str) -> None:
    """Draws a few frames of a recording with the overlay of their reports into the folder `stills`."""
    by_seq = {report.identity.seq: report for report in reports if report.outcome == Outcome.JUDGED}
    if not by_seq:
        return
    stills.mkdir(parents=True, exist_ok=True)
    judged = sorted(by_seq)
    wanted = {judged[int(share * (len(judged) - 1))] for share in STILLS}
    for seq, frame in enumerate(read_video(recording)):
        if seq in wanted:
            picture = overlays.draw(frame.pixels(), by_seq[seq])
            cv2.imwrite(str(stills / f"{recording.stem}-{kind}-{seq:04d}.png"), picture[:, :, ::-1])
