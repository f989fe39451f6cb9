from __future__ import annotations

import numpy as np
import pytest

from gradwatch.streams.cameras.camera_error import CameraError
from gradwatch.streams.cameras.clock import CaptureTime, Instant
from gradwatch.streams.cameras.watch import GAP_S, NO_FRAMES_S, CameraWatch
from gradwatch.streams.disturbances import MAX_DETAIL, Disturbances
from gradwatch.streams.observability.metrics import SOURCE_DISTURBANCES, SOURCE_DISTURBED
from gradwatch.streams.wire.messages import Disturbance, HealthRecord

START_NS = 1_790_000_000_000_000_000
SIZE = (640, 480)


def at(second: float) -> Instant:
    return Instant(START_NS + round(second * 1e9), round(second * 1e9))


class Watched:
    """A watch and the records of its disturbances."""

    def __init__(self, name: str) -> None:
        self.records: list[HealthRecord] = []
        self.disturbances = Disturbances(name, "run", self.records.append)
        self.watch = CameraWatch(self.disturbances)

    def events(self) -> list[str]:
        """`disturbance state` of each record."""
        return [f"{record.disturbance} {record.state}" for record in self.records]

    def frames(self, first_s: float, count: int, rate_hz: float) -> float:
        """Pictures at a steady rate; returns the time of the next."""
        for i in range(count):
            step_ns = round(1e9 / rate_hz) if i else None
            self.watch.picture(SIZE, CaptureTime(0, step_ns), at(first_s + i / rate_hz))
        return first_s + count / rate_hz


@pytest.fixture
def watched(request: pytest.FixtureRequest) -> Watched:
    return Watched(request.node.name[:60].replace("[", "-").replace("]", ""))


def test_a_lost_and_restored_connection_is_recorded_once_each(watched: Watched) -> None:
    watched.watch.connected(at(0))
    watched.frames(0, 10, 10)
    for second in (1.0, 3.0, 7.0):
        watched.watch.lost(CameraError("gone"), at(second))
    assert watched.events() == ["disconnected begin"]
    assert watched.records[0].since_ns == at(0.9).wall_ns  # the last picture
    watched.watch.connected(at(9.0))
    assert watched.events()[1:] == ["disconnected end", "reconnected moment"]
    assert watched.records[1].detail == "after 8.1 s"


def test_refused_credentials_are_recorded_beside_the_loss(watched: Watched) -> None:
    watched.watch.connected(at(0))
    watched.watch.lost(CameraError("gone"), at(1))
    watched.watch.lost(CameraError("no", Disturbance.UNAUTHORIZED), at(2))
    watched.watch.connected(at(3))
    assert watched.events() == [
        "disconnected begin",
        "unauthorized begin",
        "disconnected end",
        "unauthorized end",
        "reconnected moment",
    ]


def test_the_first_connection_is_not_a_reconnection(watched: Watched) -> None:
    watched.watch.lost(CameraError("not yet"), at(0))
    watched.watch.connected(at(1))
    assert watched.events() == ["disconnected begin", "disconnected end"]


@pytest.mark.parametrize(("rate_hz", "silent_s"), [(10.0, NO_FRAMES_S), (0.5, 10.0)])
def test_silence_is_recorded_once_it_is_too_long_for_this_camera(
    watched: Watched, rate_hz: float, silent_s: float
) -> None:
    watched.watch.connected(at(0))
    last_s = watched.frames(0, 30, rate_hz) - 1 / rate_hz
    watched.watch.tick(at(last_s + silent_s - 0.1))
    assert watched.events() == []
    watched.watch.tick(at(last_s + silent_s + 0.1))
    watched.watch.tick(at(last_s + silent_s + 0.3))
    assert watched.events() == ["no_frames begin"]
    assert watched.records[0].since_ns == pytest.approx(at(last_s).wall_ns, abs=1000)
    watched.watch.picture(SIZE, CaptureTime(0, round(1e9 * (silent_s + 1))), at(last_s + silent_s + 1))
    assert watched.events() == ["no_frames begin", "no_frames end"]  # and no gap for the same silence


def test_a_recorded_silence_is_no_gap_when_it_shows_a_picture_later(watched: Watched) -> None:
    watched.watch.connected(at(0))
    last_s = watched.frames(0, 30, 10) - 0.1
    watched.watch.tick(at(last_s + 3.1))
    watched.watch.picture(SIZE, CaptureTime(0, 100_000_000), at(last_s + 3.2))  # taken before the silence, and late
    watched.watch.picture(SIZE, CaptureTime(0, 3_200_000_000), at(last_s + 3.3))
    assert watched.events() == ["no_frames begin", "no_frames end"]
    watched.watch.picture(SIZE, CaptureTime(0, 1_500_000_000), at(last_s + 4.8))
    assert watched.events()[2:] == ["gap moment"]


def test_a_camera_that_connects_and_sends_nothing_is_recorded(watched: Watched) -> None:
    watched.watch.connected(at(0))
    watched.watch.tick(at(NO_FRAMES_S))
    assert watched.events() == ["no_frames begin"]
    watched.watch.lost(CameraError("gone"), at(5))
    assert watched.events() == ["no_frames begin", "no_frames end", "disconnected begin"]
    watched.watch.tick(at(60))  # not connected: nothing more to record
    assert len(watched.records) == 3


@pytest.mark.parametrize(("rate_hz", "gap_s", "is_gap"), [(10, 0.9, False), (10, 1.1, True), (1, 3.0, False)])
def test_a_gap_is_relative_to_the_usual_step(watched: Watched, rate_hz: float, gap_s: float, is_gap: bool) -> None:
    assert GAP_S == 1.0
    watched.watch.connected(at(0))
    next_s = watched.frames(0, 30, rate_hz)
    watched.watch.picture(SIZE, CaptureTime(0, round(gap_s * 1e9)), at(next_s + gap_s))
    assert watched.events() == ["gap moment"] * is_gap


def test_a_new_size_and_a_jump_are_moments(watched: Watched) -> None:
    watched.watch.connected(at(0))
    watched.frames(0, 3, 10)
    watched.watch.picture((320, 240), CaptureTime(0, None, "a clock jumped"), at(1))
    watched.watch.lost(CameraError("gone"), at(2))
    watched.watch.connected(at(3))
    watched.watch.picture(SIZE, CaptureTime(0), at(3.1))
    assert watched.events() == [
        "clock_jump moment",
        "size_changed moment",
        "disconnected begin",
        "disconnected end",
        "reconnected moment",
        "size_changed moment",  # the size is remembered over the loss
    ]
    assert watched.disturbances.counts["size_changed"] == 2


def test_findings_of_pictures_end_with_their_connection(watched: Watched) -> None:
    watched.watch.connected(at(0))
    for i in range(15):
        watched.watch.inspect(np.zeros((36, 64), np.uint8), at(i / 5))
    assert watched.events() == ["black begin"]
    assert (watched.records[0].since_ns, watched.records[0].at_ns) == (at(0).wall_ns, at(2).wall_ns)
    watched.watch.lost(CameraError("gone"), at(4))
    assert watched.events() == ["black begin", "black end", "disconnected begin"]
    watched.watch.connected(at(5))
    watched.watch.inspect(np.zeros((36, 64), np.uint8), at(5.1))
    assert watched.events()[-1] == "reconnected moment"  # black must last again


def test_metrics_follow_and_details_are_short_without_credentials(watched: Watched) -> None:
    name = watched.disturbances.stream_id
    watched.watch.lost(CameraError("rtsp://u:hunter2@h/x " + "long " * 200), at(0))
    assert SOURCE_DISTURBED.labels(name, "disconnected")._value.get() == 1
    watched.watch.connected(at(1))
    assert SOURCE_DISTURBED.labels(name, "disconnected")._value.get() == 0
    assert SOURCE_DISTURBANCES.labels(name, "disconnected")._value.get() == 1
    assert len(watched.records[0].detail) == MAX_DETAIL
    assert "hunter2" not in watched.records[0].detail
