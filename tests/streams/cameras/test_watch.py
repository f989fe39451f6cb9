from __future__ import annotations

import numpy as np
import pytest

from gradwatch.streams.cameras.clock import Arrival, Captured
from gradwatch.streams.cameras.connection import CameraError
from gradwatch.streams.cameras.disturbances import MAX_DETAIL, Disturbances
from gradwatch.streams.cameras.watch import GAP_S, NO_FRAMES_S, CameraWatch
from gradwatch.streams.observability.metrics import SOURCE_DISTURBANCES, SOURCE_DISTURBED
from gradwatch.streams.wire.messages import Disturbance, HealthRecord

START_NS = 1_790_000_000_000_000_000
SIZE = (640, 480)


def at(second: float) -> Arrival:
    return Arrival(START_NS + round(second * 1e9), round(second * 1e9))


class Told:
    """A watch and what it told, as `disturbance state`."""

    def __init__(self, name: str) -> None:
        self.records: list[HealthRecord] = []
        self.disturbances = Disturbances(name, "run", self.records.append)
        self.watch = CameraWatch(self.disturbances)

    def words(self) -> list[str]:
        return [f"{record.disturbance} {record.state}" for record in self.records]

    def frames(self, first_s: float, count: int, rate_hz: float) -> float:
        """Pictures at a steady rate; returns when the next would come."""
        for i in range(count):
            step_ns = round(1e9 / rate_hz) if i else None
            self.watch.frame(SIZE, Captured(0, step_ns), at(first_s + i / rate_hz))
        return first_s + count / rate_hz


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Told:
    return Told(request.node.name[:60].replace("[", "-").replace("]", ""))


def test_a_connection_that_is_lost_and_found_is_told_once_each(told: Told) -> None:
    told.watch.connected(at(0))
    told.frames(0, 10, 10)
    for second in (1.0, 3.0, 7.0):
        told.watch.lost(CameraError("gone"), at(second))
    assert told.words() == ["disconnected begin"]
    assert told.records[0].since_ns == at(0.9).wall_ns  # the last picture
    told.watch.connected(at(9.0))
    assert told.words()[1:] == ["disconnected end", "reconnected moment"]
    assert told.records[1].detail == "after 8.1 s"


def test_refused_credentials_are_told_beside_the_loss(told: Told) -> None:
    told.watch.connected(at(0))
    told.watch.lost(CameraError("gone"), at(1))
    told.watch.lost(CameraError("no", Disturbance.UNAUTHORIZED), at(2))
    told.watch.connected(at(3))
    assert told.words() == [
        "disconnected begin",
        "unauthorized begin",
        "disconnected end",
        "unauthorized end",
        "reconnected moment",
    ]


def test_the_first_connection_is_no_reconnection(told: Told) -> None:
    told.watch.lost(CameraError("not yet"), at(0))
    told.watch.connected(at(1))
    assert told.words() == ["disconnected begin", "disconnected end"]


@pytest.mark.parametrize(("rate_hz", "silent_s"), [(10.0, NO_FRAMES_S), (0.5, 10.0)])
def test_silence_is_told_when_it_is_too_long_for_this_camera(told: Told, rate_hz: float, silent_s: float) -> None:
    told.watch.connected(at(0))
    last_s = told.frames(0, 30, rate_hz) - 1 / rate_hz
    told.watch.tick(at(last_s + silent_s - 0.1))
    assert told.words() == []
    told.watch.tick(at(last_s + silent_s + 0.1))
    told.watch.tick(at(last_s + silent_s + 0.3))
    assert told.words() == ["no_frames begin"]
    assert told.records[0].since_ns == pytest.approx(at(last_s).wall_ns, abs=1000)
    told.watch.frame(SIZE, Captured(0, round(1e9 * (silent_s + 1))), at(last_s + silent_s + 1))
    assert told.words() == ["no_frames begin", "no_frames end"]  # and no gap for the same hole


def test_a_silence_that_was_told_is_no_gap_when_its_hole_shows_a_picture_later(told: Told) -> None:
    told.watch.connected(at(0))
    last_s = told.frames(0, 30, 10) - 0.1
    told.watch.tick(at(last_s + 3.1))
    told.watch.frame(SIZE, Captured(0, 100_000_000), at(last_s + 3.2))  # taken before the silence, and late
    told.watch.frame(SIZE, Captured(0, 3_200_000_000), at(last_s + 3.3))
    assert told.words() == ["no_frames begin", "no_frames end"]
    told.watch.frame(SIZE, Captured(0, 1_500_000_000), at(last_s + 4.8))
    assert told.words()[2:] == ["gap moment"]


def test_a_camera_that_connects_and_sends_nothing_is_told(told: Told) -> None:
    told.watch.connected(at(0))
    told.watch.tick(at(NO_FRAMES_S))
    assert told.words() == ["no_frames begin"]
    told.watch.lost(CameraError("gone"), at(5))
    assert told.words() == ["no_frames begin", "no_frames end", "disconnected begin"]
    told.watch.tick(at(60))  # nobody is connected: nothing more to say
    assert len(told.records) == 3


@pytest.mark.parametrize(("rate_hz", "hole_s", "is_gap"), [(10, 0.9, False), (10, 1.1, True), (1, 3.0, False)])
def test_a_hole_is_a_gap_by_what_is_usual(told: Told, rate_hz: float, hole_s: float, is_gap: bool) -> None:
    assert GAP_S == 1.0
    told.watch.connected(at(0))
    next_s = told.frames(0, 30, rate_hz)
    told.watch.frame(SIZE, Captured(0, round(hole_s * 1e9)), at(next_s + hole_s))
    assert told.words() == ["gap moment"] * is_gap


def test_a_new_size_and_a_jump_are_moments(told: Told) -> None:
    told.watch.connected(at(0))
    told.frames(0, 3, 10)
    told.watch.frame((320, 240), Captured(0, None, "a clock leapt"), at(1))
    told.watch.lost(CameraError("gone"), at(2))
    told.watch.connected(at(3))
    told.watch.frame(SIZE, Captured(0), at(3.1))
    assert told.words() == [
        "clock_jump moment",
        "size_changed moment",
        "disconnected begin",
        "disconnected end",
        "reconnected moment",
        "size_changed moment",  # it is remembered over the loss
    ]
    assert told.disturbances.counts["size_changed"] == 2


def test_what_pictures_showed_ends_with_their_connection(told: Told) -> None:
    told.watch.connected(at(0))
    for i in range(15):
        told.watch.look(np.zeros((36, 64), np.uint8), at(i / 5))
    assert told.words() == ["black begin"]
    assert (told.records[0].since_ns, told.records[0].at_ns) == (at(0).wall_ns, at(2).wall_ns)
    told.watch.lost(CameraError("gone"), at(4))
    assert told.words() == ["black begin", "black end", "disconnected begin"]
    told.watch.connected(at(5))
    told.watch.look(np.zeros((36, 64), np.uint8), at(5.1))
    assert told.words()[-1] == "reconnected moment"  # black must last anew


def test_metrics_follow_and_details_are_short_and_without_credentials(told: Told) -> None:
    name = told.disturbances.stream_id
    told.watch.lost(CameraError("rtsp://u:hunter2@h/x " + "long " * 200), at(0))
    assert SOURCE_DISTURBED.labels(name, "disconnected")._value.get() == 1
    told.watch.connected(at(1))
    assert SOURCE_DISTURBED.labels(name, "disconnected")._value.get() == 0
    assert SOURCE_DISTURBANCES.labels(name, "disconnected")._value.get() == 1
    assert len(told.records[0].detail) == MAX_DETAIL
    assert "hunter2" not in told.records[0].detail
