"""`gradwatch attach`: its records, metrics, counts and messages, and that none shows a credential."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import Disturbance
from gradwatch.streams.wire.outputs import decode_health
from gradwatch.streams.wire.topics import Topics

from ...brokers import make_topics, read_records
from ...builders import noise_jpeg
from ...live_cameras.loopback import MjpegCamera
from ...places import MOTORWAY
from ...verbs import running, said_by

PASSWORD = "hunter2'/@x%&?#"
PICTURES = [noise_jpeg(seed) for seed in range(5)]


@pytest.fixture
def topics(embedded: str) -> Topics:
    return make_topics(embedded, 1)


@pytest.fixture
def camera() -> Iterator[str]:
    """The address of MJPEG over HTTP, without its scheme."""
    with MjpegCamera(PICTURES) as server:
        yield server.url.removeprefix("http://")


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


def test_configured_cameras_are_published_and_one_that_fails_stops_no_other(
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
    records = [decode_health(record.value) for record in read_records(embedded, [topics.health], 4)]
    gate = [frame for frame in frames if frame.stamp.identity.stream_id == "gate"]
    assert [frame.stamp.identity.seq for frame in gate] == list(range(len(gate)))
    assert {frame.content for frame in gate} <= set(PICTURES)
    assert {(f.stamp.clock, f.stamp.identity.stream_id) for f in frames} == {("utc", "gate"), ("media", "drive")}
    assert {(r.stream_id, r.disturbance) for r in records} >= {
        ("away", Disturbance.DISCONNECTED),
        ("usb", Disturbance.DISCONNECTED),
        ("gate", Disturbance.ENDED),
        ("drive", Disturbance.ENDED),
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
def test_a_source_that_can_not_be_attached_is_reported_in_one_line(
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


def test_attaching_nothing_is_an_error() -> None:
    code, said = said_by("attach")
    assert code == 1
    assert "expected a SOURCE, or `cameras:` in the file of --config, got neither" in said
