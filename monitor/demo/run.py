"""The demo: two cameras, a worker and a broker as separate processes, and somebody who looks on.

*town* is a synthetic drive, judged under the shipped calibration. *motorway* is a real recording: its first
half makes its calibration, only its second half is played, to and fro. In each a challenge sets in part-way.
On a terminal the review page is served beside it.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import Alert, AlertKind, AlertState, FrameReport, Outcome
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.topics import Topics

from ..children import Child
from .pictures import STREAMS, DemoSettings, alert_stills, annotated_video, render
from .review import DemoReview
from .terminal import DemoView, SummaryRow, summary_table

READY_TIMEOUT_S = 60.0
SETTLE_S = 15.0  # how long to wait for missing reports after the sources have ended


@dataclass(slots=True)
class StreamLog:
    """What came out for one stream; a redelivered report replaces its twin."""

    reports: dict[int, FrameReport] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)

    @property
    def opened(self) -> list[Alert]:
        """The first revision of every alert."""
        return [alert for alert in self.alerts if alert.revision == 1 and alert.state is AlertState.OPEN]


def run_demo(settings: DemoSettings, console: Console, review: bool = False) -> dict[str, Any]:
    """Runs the whole demo and returns its figures; with `review` it serves the review page too, until Ctrl-C.

    Raises ChildError, FileNotFoundError, EmbeddedBrokerMissingError.
    """
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    console.print(f"rendering {settings.frames} frames of each stream …")
    render(settings)
    console.print("calibrating the motorway on its first half …")
    made = folder / "motorway.calibration"
    clean = ["--source=motorway", f"--rate={settings.rate_hz}", f"--out={made}", folder / "motorway-clean"]
    Child("calibrate", *clean, log=folder / "calibrate.log").wait()
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(log_path=folder / "broker.log"))
        names = Topics()
        ensure_topics(broker.bootstrap_servers, names, partitions=len(STREAMS), replication_factor=1)
        config = f"--config={_configure(folder, broker.bootstrap_servers)}"
        desk = stack.enter_context(DemoReview(settings, config)) if review else None
        if desk is not None:
            console.print(f"review page: [link={desk.address}]{desk.address}[/link]")
        logs = _play(settings, config, broker, names, console)
        console.print("drawing the videos …")
        rows = [_summarize(settings, stream, logs[stream]) for stream in STREAMS]
        console.print(summary_table(rows))
        if desk is not None:
            console.print(f"review the alerts at [link={desk.address}]{desk.address}[/link]; Ctrl-C ends it")
            desk.serve()
    return {"streams": {row.stream_id: _figures(row, settings.seed) for row in rows}}


def _configure(folder: Path, bootstrap_servers: str) -> Path:
    """The worker's configuration, kept with the run so that it can be read afterwards."""
    path = folder / "gradwatch.yaml"
    streams = {
        "town": {"calibration": "shipped", "source": "synthetic"},
        "motorway": {"calibration": str(folder / "motorway.calibration")},
    }
    path.write_text(yaml.safe_dump({"broker": {"bootstrap_servers": bootstrap_servers}, "streams": streams}))
    return path


def _play(
    settings: DemoSettings, config: str, broker: EmbeddedBroker, names: Topics, console: Console
) -> dict[str, StreamLog]:
    """The live part: worker, then sources, then looking on until every frame has its report."""
    folder = settings.folder
    ready = folder / "worker.ready"
    ready.unlink(missing_ok=True)
    worker = Child("work", config, "--policy=live", f"--ready-file={ready}", log=folder / "worker.log")
    sources: list[Child] = []
    try:
        worker.wait_for(ready, READY_TIMEOUT_S)
        for partition, stream in enumerate(STREAMS):
            played = [folder / stream, f"--stream-id={stream}", f"--rate={settings.rate_hz}"]
            counted = [f"--partition={partition}", f"--json={folder / f'{stream}.published.json'}"]
            sources.append(Child("replay", config, *played, *counted, log=folder / f"{stream}.log"))
        return _look_on(settings, broker, names, [worker, *sources], console)
    finally:
        for child in (*sources, worker):
            child.stop()


def _look_on(
    settings: DemoSettings, broker: EmbeddedBroker, names: Topics, children: list[Child], console: Console
) -> dict[str, StreamLog]:
    """Reads reports and alerts as any consumer would, until all frames are accounted for."""
    worker, *sources = children
    logs = {stream: StreamLog() for stream in STREAMS}
    last_s = time.monotonic()
    topics = [names.reports, names.alerts]
    with TopicReader(broker.bootstrap_servers, topics) as reader, DemoView(STREAMS, console) as view:
        while True:
            records = reader.poll(0.1)
            for record in records:
                last_s = time.monotonic()
                if record.topic == names.alerts:
                    alert = decode_alert(record.value or b"")
                    logs[alert.stream_id].alerts.append(alert)
                    view.alert(alert)
                else:
                    report = decode_report(record.value or b"")
                    logs[report.identity.stream_id].reports[report.identity.seq] = report
                    view.update(report)
            broker.check_room()
            if not worker.running:
                worker.wait()
            if not any(source.running for source in sources):
                # alerts come on another topic: the last of them are read when nothing more comes
                complete = not records and all(len(log.reports) >= settings.frames for log in logs.values())
                if complete or time.monotonic() - last_s > SETTLE_S:
                    break
    for source in sources:
        source.wait()
    return logs


def _summarize(settings: DemoSettings, stream_id: str, log: StreamLog) -> SummaryRow:
    onset = settings.onset(stream_id)
    published = json.loads((settings.folder / f"{stream_id}.published.json").read_text())
    true = [alert for alert in log.opened if alert.last_seq >= onset and alert.kind is AlertKind.DISTRIBUTION_SHIFT]
    first = min((alert.last_seq for alert in true), default=None)
    outcomes = [report.outcome for report in log.reports.values()]
    causes = [str(report.cause) for report in log.reports.values() if report.outcome is Outcome.DROPPED]
    stills = alert_stills(settings, stream_id, log.reports, log.opened)
    true_stills = [path for path, alert in zip(stills, log.opened, strict=True) if alert.last_seq == first]
    return SummaryRow(
        stream_id=stream_id,
        challenge=settings.challenge,
        level=settings.level,
        onset_seq=onset,
        first_alert_seq=first,
        delay_frames=None if first is None else first - onset,
        false_alerts=sum(alert.last_seq < onset for alert in log.opened),
        frames_in=published["published"],
        reports=len(log.reports),
        judged=outcomes.count(Outcome.JUDGED),
        dropped={cause: causes.count(cause) for cause in sorted(set(causes))},
        rejected=outcomes.count(Outcome.REJECTED),
        video=str(annotated_video(settings, stream_id, log.reports)),
        still=str(true_stills[0]) if true_stills else "",
    )


def _figures(row: SummaryRow, seed: int) -> dict[str, Any]:
    """One stream's figures as they are written to the JSON file."""
    return {
        "frames_in": row.frames_in,
        "reports": row.reports,
        "outcomes": {"judged": row.judged, "dropped": row.dropped, "rejected": row.rejected},
        "onset_seq": row.onset_seq,
        "first_alert_seq": row.first_alert_seq,
        "delay_frames": row.delay_frames,
        "false_alerts": row.false_alerts,
        "challenge": row.challenge,
        "level": row.level,
        "seed": seed,
        "video": row.video,
        "still": row.still,
    }
