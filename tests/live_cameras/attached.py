"""`gradwatch attach` as a child process; its output, records and metrics can be searched for credentials."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import EncodedFrame, HealthRecord
from gradwatch.streams.wire.outputs import decode_health
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics


class Attached:
    """Cameras of a configuration, attached to `topics`; frames and health records are read meanwhile."""

    def __init__(self, folder: Path, kafka: str, topics: Topics, cameras: dict[str, dict[str, Any]]) -> None:
        self._log, self._figures = folder / "attach.log", folder / "attach.json"
        self._port = free_ports(1)[0]
        config = folder / "attach.yaml"
        tree = {
            "broker": {"bootstrap_servers": kafka},
            "topics": {"frames": topics.frames, "prefix": topics.prefix},
            "cameras": cameras,
        }
        config.write_text(json.dumps(tree))  # which is YAML
        self._command = [sys.executable, "-m", "gradwatch.monitor.commands", "attach", "--config", str(config)]
        self._command += ["--json", str(self._figures), "--metrics-port", str(self._port)]
        self._kafka, self._topics = kafka, topics
        self.frames: dict[str, list[EncodedFrame]] = defaultdict(list)
        self.records: list[tuple[float, HealthRecord]] = []  # when they were published, s
        self._raw: list[Record] = []
        self._stopping = threading.Event()

    def __enter__(self) -> Attached:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _read(self) -> None:
        with TopicReader(self._kafka, [self._topics.frames, self._topics.health]) as reader:
            while not self._stopping.is_set():
                for record in reader.poll(0.05):
                    if record.topic == self._topics.frames:
                        frame = decode_frame(record)
                        self.frames[frame.stamp.identity.stream_id].append(frame)
                    else:
                        self._raw.append(record)
                        self.records.append((record.timestamp_ms / 1e3, decode_health(record.value or b"")))

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def find(self, stream_id: str, disturbance: str, state: str, since_s: float) -> tuple[float, HealthRecord] | None:
        """The first such record published from `since_s` on, with its time of publishing."""
        for published_s, record in list(self.records):
            found = (record.stream_id, record.disturbance, record.state)
            if found == (stream_id, disturbance, state) and published_s >= since_s:
                return published_s, record
        return None

    def wait_for(self, stream_id: str, disturbance: str, state: str, since_s: float, timeout_s: float = 60.0) -> float:
        """Waits for such a record; returns how long after `since_s` (wall clock) it was published, s."""
        deadline_s = time.monotonic() + timeout_s
        while (found := self.find(stream_id, disturbance, state, since_s)) is None:
            if time.monotonic() > deadline_s:
                pytest.fail(f"{stream_id}: no {disturbance} {state} within {timeout_s} s; log:\n{self.log()[-2000:]}")
            time.sleep(0.02)
        return found[0] - since_s

    def wait_for_frames(self, stream_id: str, count: int, timeout_s: float = 90.0) -> None:
        """Waits until `count` more frames have been read."""
        wanted, deadline_s = len(self.frames[stream_id]) + count, time.monotonic() + timeout_s
        while len(self.frames[stream_id]) < wanted:
            if time.monotonic() > deadline_s:
                pytest.fail(f"{stream_id}: not {count} frames within {timeout_s} s; log:\n{self.log()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> dict[str, dict[str, Any]]:
        """Stops it by SIGTERM, waits until all frames have been read; returns its summaries by stream."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.log()[-2000:]
        summaries = {entry["stream_id"]: entry for entry in json.loads(self._figures.read_text())["sources"]}
        for stream_id, summary in summaries.items():
            deadline_s = time.monotonic() + 30.0
            while len(self.frames[stream_id]) < summary["published"] and time.monotonic() < deadline_s:
                time.sleep(0.05)
        return summaries

    def all_output(self) -> str:
        """Log, figures and topics in one text."""
        headers = [str(frame.stamp.identity) for frames in self.frames.values() for frame in frames]
        health = [str((record.key, record.value, record.headers)) for record in self._raw]
        return "\n".join([self.log(), self._figures.read_text(), *headers, *health])
