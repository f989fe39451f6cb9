"""A review process that may be killed, a client of it, and records published to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx

from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import Alert, FrameReport
from gradwatch.streams.wire.outputs import encode_alert, encode_report
from gradwatch.streams.wire.records import cloud_event_headers
from gradwatch.streams.wire.topics import Topics

START_TIMEOUT_S = 300.0  # on a machine that others keep busy


def publish_alert(producer: BoundedProducer, topics: Topics, alert: Alert) -> None:
    event_id = f"{alert.alert_id}/{alert.revision}"
    headers = cloud_event_headers("alert", alert.stream_id, event_id, alert.last_capture_ns)
    producer.send(topics.alerts, alert.stream_id.encode(), encode_alert(alert), headers)


def publish_report(producer: BoundedProducer, topics: Topics, report: FrameReport) -> None:
    headers = cloud_event_headers("report", report.identity.stream_id, str(report.identity), report.capture_ns)
    producer.send(topics.reports, report.identity.stream_id.encode(), encode_report(report), headers)


class ReviewProcess:
    """`gradwatch review` as a process."""

    def __init__(self, servers: str, topics: Topics, database: str, folder: Path) -> None:
        self.folder, self.database = folder, database
        self.config = folder / "gradwatch.yaml"
        names = {"frames": topics.frames, "prefix": topics.prefix}
        self.config.write_text(json.dumps({"broker": {"bootstrap_servers": servers}, "topics": names}))
        with socket.create_server(("127.0.0.1", 0)) as probe, socket.create_server(("127.0.0.1", 0)) as other:
            self.port, self.metrics_port = probe.getsockname()[1], other.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.status_url = f"http://127.0.0.1:{self.metrics_port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = [sys.executable, "-m", "gradwatch.monitor.commands", "review", "--config", str(self.config)]
        command += ["--port", str(self.port), "--database", self.database, "--link-file", str(self.folder / "link")]
        command += ["--metrics-port", str(self.metrics_port)]
        with (self.folder / "review.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            try:
                httpx.get(self.url + "/login", timeout=2.0)
                return
            except httpx.TransportError:
                time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the review process did not start: {(self.folder / 'review.log').read_text()[-2000:]}")

    def sign(self, request: httpx.Request) -> httpx.Request:
        """Adds the secret of its link to a request."""
        request.headers["Authorization"] = f"Bearer {(self.folder / 'link').read_text().strip().rpartition('=')[2]}"
        return request

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """Terminates it; returns its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(60.0)


class Reviewer:
    """A client that goes on after the process was killed."""

    def __init__(self, process: ReviewProcess) -> None:
        self._client = httpx.Client(base_url=process.url, timeout=20.0, auth=process.sign)
        self.status_url = process.status_url

    def get(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()

    def act(self, method: str, path: str, **more: Any) -> bool:
        """Whether the answer was a success."""
        try:
            answer = self._client.request(method, path, **more)
        except (httpx.TransportError, httpx.HTTPStatusError):
            return False
        return answer.is_success

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts of all pages."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"/api/v1/alerts?limit=500{cursor}")
            found += page["alerts"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def events(self, last_event_id: str | None = None) -> Iterator[tuple[str, str, Any]]:
        """(id, name, fields) of server-sent events."""
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        with self._client.stream("GET", "/api/v1/events", headers=headers, timeout=60.0) as answer:
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                    fields = {}


@contextmanager
def running(process: ReviewProcess) -> Iterator[ReviewProcess]:
    process.start()
    try:
        yield process
    finally:
        process.stop()
