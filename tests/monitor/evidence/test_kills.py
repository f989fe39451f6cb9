"""`kill -9` of the evidence service at random points."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gradwatch.monitor.evidence.mcap_reader import read_evidence, read_frames, read_metadata
from gradwatch.streams.wire.messages import Alert, Attachment, EncodedFrame

from ...waiting import wait_until
from .live import RunPublisher, attachments
from .scenes import JPEG, alert

SCRIPT = Path(__file__).with_name("killable_service.py")
RATE_HZ = 5
WINDOW = 10 * RATE_HZ + 3  # frames: of each alert from 5 s before its onset to 5 s after its last
SHORT, LONG = 3, 20
PATIENT_S = 300.0  # on a machine that others keep busy


@pytest.fixture
def broker(kafka: str) -> str:
    return kafka


class Service:
    """The service as a child process."""

    def __init__(self, runs: RunPublisher, folder: Path) -> None:
        command = [
            sys.executable,
            str(SCRIPT),
            runs.broker,
            runs.topics.frames,
            runs.topics.prefix,
            str(folder),
        ]
        self._log = folder.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


class Watch:
    """Reads every new file as soon as possible; `broken` names those that were incomplete."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._stop = folder, threading.Event()
        self.looks, self.broken = 0, []
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        seen: dict[Path, int] = {}
        while not self._stop.wait(0.005):
            for path in self._folder.glob("*/*.mcap"):
                inode = path.stat().st_ino
                if seen.get(path) == inode:
                    continue
                seen[path] = inode
                self.looks += 1
                try:
                    assert int(read_metadata(path)["frames"]) == sum(1 for _ in read_frames(path))
                except Exception as error:
                    self.broken.append(f"{path.name}: {error}")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def publish_alerts(runs: RunPublisher, count: int) -> tuple[dict[int, EncodedFrame], list[Alert]]:
    """A drive with an alert every two seconds, each in two revisions."""
    content = JPEG + bytes(10_000)
    own = runs.frames(range(50 + 2 * RATE_HZ * count + WINDOW), RATE_HZ, content=content)
    alerts = []
    for onset in range(50, 50 + 2 * RATE_HZ * count, 2 * RATE_HZ):
        for revision in (1, 2):
            about = alert(own[onset], own[onset + revision], revision=revision)
            runs.alert(about)
        alerts.append(about)
    return own, alerts


def killed_while_at_work(runs: RunPublisher, folder: Path, kills: int, seed: int) -> None:
    randomness = random.Random(seed)
    for _ in range(kills):
        before = len(list(folder.glob("*/*.mcap")))
        with Service(runs, folder) as service:
            wait_until(lambda start=before: len(list(folder.glob("*/*.mcap"))) > start, PATIENT_S)
            time.sleep(randomness.uniform(0.0, 0.6))
            assert service.end(signal.SIGKILL) == -signal.SIGKILL


def check(own: dict[int, EncodedFrame], alerts: list[Alert], folder: Path, published: list[Attachment]) -> None:
    """Every alert has a complete file that its last attachment describes."""
    assert {path.stem for path in folder.glob("*/*.mcap")} == {about.alert_id for about in alerts}
    latest = {one.alert_id: one for one in published}
    for about in alerts:
        path = folder / latest[about.alert_id].path
        found = read_evidence(path)
        margin = 5 * RATE_HZ
        assert found.frames == [own[seq] for seq in range(about.onset_seq - margin, about.last_seq + margin + 1)]
        assert found.alerts[-1] == about
        assert hashlib.sha256(path.read_bytes()).hexdigest() == latest[about.alert_id].sha256
    assert list(folder.glob("*/.*")) == []


def run_kills(runs: RunPublisher, folder: Path, kills: int, alerts: int) -> dict[str, int]:
    own, made = publish_alerts(runs, alerts)
    with Watch(folder) as watch:
        killed_while_at_work(runs, folder, kills, seed=kills)
        left = len(made) - len(list(folder.glob("*/*.mcap")))

        def done() -> bool:
            return {one.alert_id for one in attachments(runs.broker, runs.topics, 10**6, 0.5)} == {
                about.alert_id for about in made
            } and len(list(folder.glob("*/*.mcap"))) == len(made)

        with Service(runs, folder) as service:
            wait_until(done, PATIENT_S)
            assert service.end(signal.SIGTERM) == 0
    assert watch.broken == []
    published = attachments(runs.broker, runs.topics, 10**6, 2.0)
    check(own, made, folder, published)
    return {"kills": kills, "alerts": alerts, "left": left, "attachments": len(published), "looks": watch.looks}


def test_a_few_kills(runs: RunPublisher, tmp_path: Path) -> None:
    figures = run_kills(runs, tmp_path / "evidence", SHORT, 20)
    assert figures["left"] > 0, figures  # else the last kills met a service that had nothing to do


@pytest.mark.faults
def test_many_kills(runs: RunPublisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = run_kills(runs, tmp_path / "evidence", LONG, 400)
    with capsys.disabled():
        print(figures)
    assert figures["left"] > 0, figures
