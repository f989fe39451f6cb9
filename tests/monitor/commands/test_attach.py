"""`gradwatch attach`: what it publishes, says, counts and never says."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import Disturbance
from gradwatch.streams.wire.outputs import decode_health
from gradwatch.streams.wire.topics import Topics
from tests.brokers import make_topics, read_records
from tests.builders import make_noise_jpeg
from tests.places import MOTORWAY
from tests.verbs import running, said_by

PASSWORD = "hunter2'/@x%&?#"
PICTURES = [make_noise_jpeg(seed) for seed in range(5)]


@pytest.fixture
def topics(embedded: str) -> Topics:
    return make_topics(embedded, 1)


@pytest.fixture
def camera() -> Iterator[str]:
    """The address of MJPEG over HTTP."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for i in range(10_000):
                    picture = PICTURES[i % 5]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                    time.sleep(0.05)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}/video"
    server.shutdown()
    server.server_close()


def write_configuration(path: Path, broker: str, topics: Topics, cameras: dict[str, dict[str, object]]) -> Path:
    path.write_text(
        json.dumps(  # which is YAML
            {
                "broker": {"bootstrap_servers": broker},
                "topics": {"frames": topics.frames, "prefix": topics.prefix},
                "cameras": cameras,
            }
        )
    )
    return path


def test_cameras_of_a_configuration_are_published_and_one_that_fails_stops_no_other(
    embedded: str, topics: Topics, camera: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE_URL", f"http://admin:{PASSWORD}@{camera}?token=h1dden-token")
    port, (dead,) = free_ports(1)[0], free_ports(1)
    cameras = {
        "gate": {"url": "${GATE_URL}", "rate_hz": 10},
        "away": {"url": f"rtsp://admin:{PASSWORD}@127.0.0.1:{dead}/cam"},
        "usb": {"url": 77},
        "drive": {"url": str(MOTORWAY), "partition": 0},
        "wrong": {"url": f"gopher://admin:{PASSWORD}@h/x"},
    }
    config = write_configuration(tmp_path / "gradwatch.yaml", embedded, topics, cameras)
    figures = tmp_path / "figures.json"
    with running("attach", "--config", config, "--json", figures, "--metrics-port", port) as process:
        frames = [decode_frame(record) for record in read_records(embedded, [topics.frames], 60)]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said  # "wrong" is
    records = [decode_health(record.value) for record in read_records(embedded, [topics.health], 2)]
    gate = [frame for frame in frames if frame.identity.stream_id == "gate"]
    assert [frame.identity.seq for frame in gate] == list(range(len(gate)))
    assert {frame.content for frame in gate} <= set(PICTURES)
    assert {(f.clock, f.identity.stream_id) for f in frames} == {("utc", "gate"), ("media", "drive")}
    assert {(r.stream_id, r.disturbance) for r in records} >= {
        ("away", Disturbance.DISCONNECTED),
        ("usb", Disturbance.DISCONNECTED),
    }
    assert 'gradwatch_source_disturbed{kind="disconnected",stream_id="away"} 1.0' in metrics
    by_id = {entry["stream_id"]: entry for entry in json.loads(figures.read_text())["sources"]}
    assert by_id["gate"]["frames"] == by_id["gate"]["published"] + sum(by_id["gate"]["dropped"].values())
    assert by_id["gate"]["dropped"]["thinned"] > 0
    assert "expected rtsp://" in by_id["wrong"]["failure"]
    assert "frames published as run" in said
    everything = said + metrics + figures.read_text() + str(records)
    for secret in (PASSWORD, "hunter2", "h1dden", "admin"):
        assert secret not in everything, secret


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nowhere.mp4", "expected a camera's address (rtsp://…, http://…, a number), a file or a folder, got nowhere"),
        ("rtsp://admin:hunter2@127.0.0.1:1/cam", r"nobody listens at rtsp://127.0.0.1:1/cam; is the camera on"),
    ],
)
def test_what_can_not_be_attached_is_said_in_a_line(
    embedded: str, topics: Topics, source: str, expected: str, tmp_path: Path
) -> None:
    config = write_configuration(tmp_path / "gradwatch.yaml", embedded, topics, {})
    code, said = said_by("attach", source, "--stream-id", "gate", "--config", config)
    assert code == 1
    assert expected in said
    assert "Traceback" not in said
    assert "hunter2" not in said


def test_a_missing_topic_is_named_before_anything_is_attached(embedded: str, tmp_path: Path) -> None:
    config = write_configuration(tmp_path / "gradwatch.yaml", embedded, Topics("none.", "none.frames"), {})
    code, said = said_by("attach", MOTORWAY, "--config", config)
    assert code == 1
    assert "topic none.frames: expected" in said
    assert "topic none.health: expected" in said
    assert "gradwatch topics --mend --config" in said


def test_nothing_to_attach_is_an_error() -> None:
    code, said = said_by("attach")
    assert code == 1
    assert "expected a SOURCE, or `cameras:` in the file of --config, got neither" in said
