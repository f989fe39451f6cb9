"""Runs the demo: two sources, a worker and a broker as separate processes, and a consumer that shows their outputs.

*town* is a synthetic drive, judged with the shipped calibration. *motorway* is a real recording: its first half is
its calibration, only its second half is played, forwards and backwards. In each a challenge sets in part-way. On a
terminal the review page is served beside it.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from gradwatch import GradwatchError
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import Alert, AlertKind, AlertState, FrameReport, Outcome
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.topics import Topics

from ..children import Child, stop_together
from .pictures import STREAMS, DemoSettings, render, write_alert_still, write_annotated_video
from .review import start_review
from .summary import OutcomeCounts, StreamSummary, summary_table
from .terminal import DemoView

READY_TIMEOUT_S = 60.0
STOP_WITHIN_S = 4.0  # what does not end by itself until then is killed: nothing of the demo is kept but its files
SETTLE_S = 15.0  # how long to wait for missing reports and open alerts after the sources have ended
CLOSE_AFTER_S = 5.0  # less than SETTLE_S: alerts are closed before the worker ends


class FolderInUseError(GradwatchError):
    """Another demo runs in the folder."""


@dataclass(slots=True)
class StreamLog:
    """The outputs of one stream; a redelivered report replaces the first."""

    reports: dict[int, FrameReport] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)

    def is_complete(self, frames: int) -> bool:
        """Whether all frames are reported and all alerts closed."""
        latest = {alert.alert_id: alert for alert in self.alerts}
        return len(self.reports) >= frames and all(alert.state is AlertState.CLOSED for alert in latest.values())


def run_demo(settings: DemoSettings, console: Console, review: bool = False) -> dict[str, Any]:
    """Runs the whole demo and returns its figures; with `review` it then serves the review page until Ctrl-C.

    Raises ChildError, MissingFileError, EmbeddedBrokerMissingError, FolderInUseError.
    """
    folder = settings.folder
    with ExitStack() as stack:
        stack.enter_context(_alone_in(folder))
        _prepare(settings, console)
        broker = stack.enter_context(EmbeddedBroker(log_path=folder / "broker.log"))
        started: list[Child] = []
        stack.callback(stop_together, started, STOP_WITHIN_S)
        names = Topics()
        ensure_topics(broker.bootstrap_servers, names, partitions=len(STREAMS), replication_factor=1)
        config = f"--config={_write_configuration(folder, broker.bootstrap_servers)}"
        page = start_review(settings, config, started) if review else None
        if page is not None:
            console.print(f"review page: {page.link}", soft_wrap=True)
            if console.is_terminal:
                page.open()
        logs = _play(settings, config, broker, names, console, started)
        console.print("drawing the videos …")
        summaries = {stream: _summarize(settings, stream, logs[stream]) for stream in STREAMS}
        console.print(summary_table(summaries))
        if page is not None:
            console.print(f"review the alerts at {page.link}\nCtrl-C ends it", soft_wrap=True)
            page.wait()
    return {"streams": summaries}


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keeps other demos out of the folder. Raises FolderInUseError where one runs in it."""
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back by the system, however the demo ends
        except BlockingIOError:
            raise FolderInUseError(f"another demo runs in {folder}: name another folder with --folder") from None
        yield


def _prepare(settings: DemoSettings, console: Console) -> None:
    """Renders the streams and calibrates the motorway."""
    folder = settings.folder
    console.print(f"rendering {settings.frames} frames of each stream …")
    render(settings)
    console.print("calibrating the motorway on its first half …")
    made = folder / "motorway.calibration"
    clean = ["--source=motorway", f"--rate={settings.rate_hz}", f"--out={made}", folder / "motorway-clean"]
    with Child("calibrate", *clean, log=folder / "calibrate.log") as calibrate:
        calibrate.wait()


def _write_configuration(folder: Path, bootstrap_servers: str) -> Path:
    """Writes the worker's configuration, which stays in the folder to be read afterwards."""
    path = folder / "gradwatch.yaml"
    streams = {
        "town": {"calibration": "shipped", "source": "synthetic"},
        "motorway": {"calibration": str(folder / "motorway.calibration")},
    }
    tree = {
        "broker": {"bootstrap_servers": bootstrap_servers},
        "worker": {"close_after_s": CLOSE_AFTER_S},
        "streams": streams,
    }
    path.write_text(yaml.safe_dump(tree))
    return path


def _play(
    settings: DemoSettings,
    config: str,
    broker: EmbeddedBroker,
    names: Topics,
    console: Console,
    started: list[Child],
) -> dict[str, StreamLog]:
    """The live part: starts the worker, then the sources, and reads outputs until every frame has its report."""
    folder = settings.folder
    ready = folder / "worker.ready"
    ready.unlink(missing_ok=True)
    worker = Child("work", config, "--policy=live", f"--ready-file={ready}", log=folder / "worker.log")
    started.append(worker)
    worker.wait_until(ready.exists, READY_TIMEOUT_S)
    sources = []
    for partition, stream in enumerate(STREAMS):
        played = [folder / stream, f"--stream-id={stream}", f"--rate={settings.rate_hz}"]
        counted = [f"--partition={partition}", f"--json={folder / f'{stream}.published.json'}"]
        sources.append(Child("replay", config, *played, *counted, log=folder / f"{stream}.log"))
        started.append(sources[-1])
    logs = _read_outputs(settings, broker, names, worker, sources, console)
    worker.stop()
    return logs


def _read_outputs(
    settings: DemoSettings, broker: EmbeddedBroker, names: Topics, worker: Child, sources: list[Child], console: Console
) -> dict[str, StreamLog]:
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
                    view.show_alert(alert)
                else:
                    report = decode_report(record.value or b"")
                    logs[report.identity.stream_id].reports[report.identity.seq] = report
                    view.update(report)
            broker.check_room()
            if not worker.running:
                worker.wait()
            if not any(source.running for source in sources):
                # alerts have a topic of their own: the last ones are read once no more records come
                complete = not records and all(log.is_complete(settings.frames) for log in logs.values())
                if complete or time.monotonic() - last_s > SETTLE_S:
                    break
    for source in sources:
        source.wait()
    return logs


def _summarize(settings: DemoSettings, stream_id: str, log: StreamLog) -> StreamSummary:
    """Counts the outputs of a stream; draws its video and a still of each alert."""
    onset = settings.onset(stream_id)
    published = json.loads((settings.folder / f"{stream_id}.published.json").read_text())
    opened = [alert for alert in log.alerts if alert.revision == 1 and alert.state is AlertState.OPEN]
    true = [alert for alert in opened if alert.last_seq >= onset and alert.kind is AlertKind.DISTRIBUTION_SHIFT]
    first = min((alert.last_seq for alert in true), default=None)
    outcomes = [report.outcome for report in log.reports.values()]
    causes = [str(report.cause) for report in log.reports.values() if report.outcome is Outcome.DROPPED]
    stills = [(alert.last_seq, write_alert_still(settings, stream_id, log.reports, alert)) for alert in opened]
    return StreamSummary(
        frames_in=published["published"],
        reports=len(log.reports),
        outcomes=OutcomeCounts(
            judged=outcomes.count(Outcome.JUDGED),
            dropped={cause: causes.count(cause) for cause in sorted(set(causes))},
            rejected=outcomes.count(Outcome.REJECTED),
        ),
        onset_seq=onset,
        first_alert_seq=first,
        delay_frames=None if first is None else first - onset,
        false_alerts=sum(alert.last_seq < onset for alert in opened),
        challenge=settings.challenge,
        level=settings.level,
        seed=settings.seed,
        video=str(write_annotated_video(settings, stream_id, log.reports)),
        still=next((str(path) for seq, path in stills if seq == first), ""),
    )
