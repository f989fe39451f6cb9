"""Measures the review server with 10,000 alerts and 50 cameras: its answers, and live updates in a storm of alerts.

Server time is from the request's arrival at the application to the last byte of the answer, without a network. A live
update takes from handing an alert to the producer until its event, through a broker.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import msgspec
import numpy as np
from starlette.types import ASGIApp, Message

from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import (
    Alert,
    AlertKind,
    AlertState,
    FrameIdentity,
    FrameReport,
    Outcome,
    Severity,
    StreamState,
    alert_id,
)
from gradwatch.streams.wire.outputs import encode_alert, encode_report
from gradwatch.streams.wire.records import cloud_event_headers
from gradwatch.streams.wire.topics import Topics

from ..evaluate.reports import heading, table
from ..review.api.app import build_app
from ..review.feed.broker import Broker
from ..review.feed.events import RING_BYTES, Asker
from ..review.service import ReviewService
from ..review.settings import ReviewSettings
from ..review.store import actions, alerts
from ..review.store.audit import Actor, Role
from ..scorers import SCORERS

Figures = dict[str, Any]

ALERTS, CAMERAS, RATE_HZ = 10_000, 50, 5
STORM_ALERTS, STORM_S = 1_000, 10.0
ROUNDS = 40  # of each request
BARS_MS = {"list": 200.0, "storm": 1000.0}
RUN = "01JD0000000000000000000000"
SECOND_NS = 1_000_000_000
ACTOR = Actor("local", Role.ADMIN, "local")
REQUESTS = {
    "list": "/api/v1/alerts?limit=50",
    "list, one camera": "/api/v1/alerts?limit=50&camera=camera-07",
    "list, unreviewed and critical": "/api/v1/alerts?limit=50&review=unreviewed&severity=critical",
    "list, text": "/api/v1/alerts?limit=50&text=image+statistics+lens",
    "list, 500 on a page": "/api/v1/alerts?limit=500",
    "counts": "/api/v1/alerts/counts?review=unreviewed",
    "one alert": "/api/v1/alerts/{alert_id}?review=unreviewed",
    "cameras": "/api/v1/cameras",
    "scores of ten minutes": "/api/v1/cameras/camera-07/scores",
}


def make_alert(number: int, revision: int = 1, run_id: str = RUN) -> Alert:
    """The alert of that number; one in a hundred is open."""
    camera, kind = f"camera-{number % CAMERAS:02d}", list(AlertKind)[number % 2]
    at_ns = 1_790_000_000 * SECOND_NS + number * SECOND_NS
    return Alert(
        alert_id=alert_id(camera, run_id, kind, number),
        revision=revision,
        kind=kind,
        severity=list(Severity)[number % 3],
        state=AlertState.CLOSED if number % 100 else AlertState.OPEN,
        stream_id=camera,
        run_id=run_id,
        onset_seq=number,
        last_seq=number + 3,
        onset_capture_ns=at_ns,
        last_capture_ns=at_ns + SECOND_NS,
        partition=number % 24,
        first_offset=number,
        last_offset=number + 3,
        score=1.0 + number % 7 / 5,
        p_value=0.002,
        threshold=9.5,
        mean_time_between_false_alarms_s=3600.0,
        carried_by=["image_statistics"],
        reason=f"frames differ from the clean ones of this stream: {'lens' if number % 5 else 'rain'}",
    )


def make_report(camera: int, seq: int, published_ns: int) -> FrameReport:
    """A report with all scores."""
    return FrameReport(
        identity=FrameIdentity(f"camera-{camera:02d}", RUN, seq),
        partition=camera % 24,
        offset=seq,
        capture_ns=published_ns,
        published_ns=published_ns,
        clock="utc",
        outcome=Outcome.JUDGED,
        state=StreamState.WATCHING,
        scores={name: np.array([0.5 + seq % 9 / 10], np.float32) for name in SCORERS},
        p_values={name: np.array([0.5], np.float32) for name in SCORERS},
        change={"image_statistics": 0.3, "reconstruction_error": 0.2, "gradcon_direction": 0.1},
    )


def fill(service: ReviewService) -> None:
    """Stores all alerts, a third of them acknowledged, and ten minutes of scores of all cameras."""
    for start in range(0, ALERTS, 500):
        made = [make_alert(number) for number in range(start, start + 500)]
        with service.database.writing() as session:
            arrivals = [alerts.ReceivedRevision(alert, alert.onset_capture_ns) for alert in made]
            alerts.store_revisions(session, arrivals, time.time_ns())
            for alert in made[::3]:
                actions.acknowledge(session, ACTOR, alert.alert_id)
    now_ns = time.time_ns()
    for seq in range(600 * RATE_HZ):
        for camera in range(CAMERAS):
            published_ns = now_ns - (600 * RATE_HZ - seq) * SECOND_NS // RATE_HZ
            service.live.put_report(make_report(camera, seq, published_ns))


def measure_requests(service: ReviewService, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Server time of each request, ms: p50, p95 and maximum of `rounds`."""

    app = build_app(service)

    async def measure() -> dict[str, dict[str, float]]:
        found = {}
        for name, path in REQUESTS.items():
            paths = [path.format(alert_id=make_alert(37 * n).alert_id) for n in range(rounds)]
            took_ms = [await _ask(app, service.secret, path) for path in paths]
            p50, p95 = np.percentile(took_ms, [50, 95])
            found[name] = {"p50": float(p50), "p95": float(p95), "max": max(took_ms)}
        return found

    return asyncio.run(measure())


async def _ask(app: ASGIApp, secret: str, path: str) -> float:
    path, _, query = path.partition("?")
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {secret}".encode())],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    began_s = time.perf_counter()
    await app(scope, receive, send)
    took_ms = 1000 * (time.perf_counter() - began_s)
    if status != 200:
        raise RuntimeError(f"expected 200 of {path}, got {status}")
    return took_ms


def measure_storm(service: ReviewService) -> Figures:
    """Publishes 1,000 alerts in 10 s beside the reports of all cameras: latency of their events, memory held."""
    received: dict[str, float] = {}
    sent: dict[str, float] = {}

    async def listen() -> None:
        async for event in service.events.read(None, Asker()):
            name, body = _fields(event)
            if name == "alert":
                received[body["alert"]["alert_id"]] = time.perf_counter()
            if len(received) == STORM_ALERTS:
                return

    def listen_for(timeout_s: float) -> None:
        async def bounded() -> None:
            await asyncio.wait_for(listen(), timeout_s)

        with suppress(TimeoutError):  # alerts without an event by then count as lost
            asyncio.run(bounded())

    listener = threading.Thread(target=listen_for, args=(STORM_S + 60.0,))
    listener.start()
    with closing(BoundedProducer(service.broker.bootstrap_servers, service.broker.client)) as producer:
        lag_s = _storm(producer, service.broker.topics, sent)
    listener.join()
    took_ms = [1000 * (received[one] - at_s) for one, at_s in sent.items() if one in received]
    p50, p95 = np.percentile(took_ms, [50, 95]) if took_ms else (float("nan"), float("nan"))
    return {
        "update_ms": {"p50": float(p50), "p95": float(p95), "max": max(took_ms, default=float("nan"))},
        "lost": len(sent) - len(took_ms),
        "publisher_behind_s": lag_s,
        "ring_bytes": service.events.held_bytes,
        "live_bytes": service.live.nbytes,
        "within_bounds": service.events.held_bytes <= RING_BYTES and service.live.nbytes <= service.live.max_bytes,
    }


def _storm(producer: BoundedProducer, topics: Topics, sent: dict[str, float]) -> float:
    """Publishes on a fixed schedule; returns its delay at the end, s."""
    began_s = time.perf_counter()
    run_id = f"storm{time.time_ns()}"
    steps = int(STORM_S * RATE_HZ)
    for step in range(steps):
        for number in range(step * STORM_ALERTS // steps, (step + 1) * STORM_ALERTS // steps):
            alert = make_alert(number, run_id=run_id)
            sent[alert.alert_id] = time.perf_counter()
            headers = cloud_event_headers("alert", alert.stream_id, alert.alert_id, alert.onset_capture_ns)
            producer.send(topics.alerts, alert.stream_id.encode(), encode_alert(alert), headers)
        for camera in range(CAMERAS):
            report = make_report(camera, 10_000 + step, time.time_ns())
            producer.send(topics.reports, report.identity.stream_id.encode(), encode_report(report), [])
        time.sleep(max(0.0, began_s + (step + 1) / RATE_HZ - time.perf_counter()))
    return max(0.0, time.perf_counter() - began_s - STORM_S)


def _fields(event: bytes) -> tuple[str, Any]:
    lines = dict(line.split(": ", 1) for line in event.decode().splitlines() if ": " in line)
    return lines.get("event", ""), msgspec.json.decode(lines.get("data", "null"))


@contextmanager
def filled_service(database: str, broker: Broker) -> Iterator[ReviewService]:
    """A running service on an own, filled database."""
    service = ReviewService(ReviewSettings(database=database), broker)
    gc.freeze()  # like `serve`
    fill(service)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def bench_review(database: str, broker: Broker, rounds: int = ROUNDS) -> Figures:
    """All figures of one database, which should be empty."""
    with filled_service(database, broker) as service:
        kind = service.database.url.get_backend_name()
        deadline_s = time.monotonic() + 60.0
        while any(reader.failure for reader in service.readers) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        requests = measure_requests(service, rounds)
        return {"database": kind, "rounds": rounds, "requests_ms": requests, "storm": measure_storm(service)}


def review_report(figures: list[Figures], command: str) -> str:
    """The figures as Markdown."""
    lines = heading("The review page's server", command)
    lines += [
        f"{ALERTS:,} alerts, {CAMERAS} cameras at {RATE_HZ} Hz with ten minutes of scores. Server time without a "
        f"network; bar: {BARS_MS['list']:.0f} ms for lists at p95. Storm: {STORM_ALERTS:,} alerts in {STORM_S:.0f} s "
        f"through a broker, beside all cameras' reports; bar: {BARS_MS['storm']:.0f} ms from publishing to the event.",
        "",
    ]
    for one in figures:
        rows = [[name, *(f"{ms:.1f}" for ms in took.values())] for name, took in one["requests_ms"].items()]
        storm = one["storm"]
        rows.append(["storm: publishing to event", *(f"{ms:.0f}" for ms in storm["update_ms"].values())])
        lines += [f"## {one['database']} ({one['rounds']} of each request)", ""]
        lines += table(["", "p50 ms", "p95 ms", "max ms"], rows)
        lines += [
            f"Storm: {storm['lost']} alerts without an event, publisher {storm['publisher_behind_s']:.1f} s behind, "
            f"events held {storm['ring_bytes'] / 1e6:.1f} MB, live state {storm['live_bytes'] / 1e6:.1f} MB, "
            f"{'within' if storm['within_bounds'] else 'NOT within'} their bounds.",
            "",
        ]
    return "\n".join(lines)
