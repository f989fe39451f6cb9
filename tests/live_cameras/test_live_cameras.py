"""A live camera against a real RTSP server and MJPEG over HTTP; no broker."""

from __future__ import annotations

import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import quote

import numpy as np
import pytest

from gradwatch.streams.cameras.address import camera_address
from gradwatch.streams.cameras.backoff import Backoff
from gradwatch.streams.cameras.camera import LiveCamera, camera
from gradwatch.streams.cameras.camera_error import CameraError
from gradwatch.streams.recordings.played import SourceFrame
from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.wire.messages import Disturbance, DisturbanceState, HealthRecord
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg

from ..waiting import LIMIT_S, wait_until
from .loopback import PASSWORD, USER, MjpegCamera, RtspCamera, number_of, require_rtsp_server, runs_of

BEGIN, END, MOMENT = DisturbanceState.BEGIN, DisturbanceState.END, DisturbanceState.MOMENT


@pytest.fixture
def port() -> int:
    require_rtsp_server()
    return free_ports(1)[0]


class Watched:
    """A live camera on its own thread, with its frames and health records."""

    def __init__(self, url: str, **options: object) -> None:
        self.frames: list[SourceFrame] = []
        self.records: list[HealthRecord] = []
        self.failure: Exception | None = None
        backoff = Backoff(random.Random(0), first_s=0.3, longest_s=0.6)
        self.camera = LiveCamera(camera_address(url), "gate", report=self.records.append, backoff=backoff, **options)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.frames.extend(self.camera)
        except CameraError as error:
            self.failure = error

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.camera.stop()
        self._thread.join(20.0)
        assert not self._thread.is_alive()

    def count(self, disturbance: Disturbance, state: DisturbanceState) -> int:
        return sum(r.disturbance is disturbance and r.state is state for r in list(self.records))

    def wait_for_frames(self, count: int = 5) -> None:
        there = len(self.frames)
        wait_until(lambda: len(self.frames) >= there + count, LIMIT_S, lambda: f"{count} frames ({self.failure})")

    def expect(self, disturbance: Disturbance, state: DisturbanceState, act: Callable[[], object]) -> None:
        before = self.count(disturbance, state)
        act()
        wait_until(lambda: self.count(disturbance, state) > before, LIMIT_S, f"{disturbance} {state}")

    def assert_all_accounted(self) -> None:
        camera = self.camera
        assert camera.received == camera.emitted + camera.dropped.total()
        assert camera.emitted == len(self.frames)

    def numbers(self) -> list[int]:
        return [number_of(frame.content) for frame in self.frames]


@contextmanager
def watched(url: str, **options: object) -> Iterator[Watched]:
    with Watched(url, **options) as watching:
        yield watching
    watching.assert_all_accounted()


@pytest.mark.parametrize(("codec", "slices"), [("h264", 1), ("h264", 3), ("mjpeg", 1)])
def test_every_picture_becomes_a_frame_once_at_its_pace_and_soon(port: int, codec: str, slices: int) -> None:
    with RtspCamera(port, codec, slices=slices) as server, watched(server.url) as watching:
        watching.wait_for_frames(45)
    numbers = watching.numbers()
    assert [b - a for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1)
    assert numbers[0] <= 2  # the first pictures are not lost in probing
    assert {frame.clock for frame in watching.frames} == {"utc"}
    steps_ms = np.diff([frame.capture_ns for frame in watching.frames])[10:] / 1e6
    assert (steps_ms > 0).all()
    assert np.median(steps_ms) == pytest.approx(1000 / 15, rel=0.05)
    assert not watching.records
    assert not watching.camera.dropped


def test_a_lost_camera_is_recorded_and_reconnected(port: int) -> None:
    server = RtspCamera(port)
    with server, watched(server.url) as watching:
        for _ in range(2):
            watching.wait_for_frames()
            watching.expect(Disturbance.DISCONNECTED, BEGIN, server.kill)
            watching.expect(Disturbance.RECONNECTED, MOMENT, server.start)
        watching.wait_for_frames()
    assert watching.count(Disturbance.DISCONNECTED, END) == 2
    assert watching.count(Disturbance.NO_FRAMES, BEGIN) == 0
    runs = runs_of(watching.numbers())
    assert len(runs) == 3
    assert all(run == list(range(run[0], run[0] + len(run))) for run in runs)


def test_a_hanging_server_is_recorded(port: int) -> None:
    server = RtspCamera(port)
    with server, watched(server.url) as watching:
        watching.wait_for_frames()
        watching.expect(Disturbance.NO_FRAMES, BEGIN, lambda: server.signal(signal.SIGSTOP))
        wait_until(lambda: watching.count(Disturbance.DISCONNECTED, BEGIN), LIMIT_S, "the camera is disconnected")
        watching.expect(Disturbance.RECONNECTED, MOMENT, lambda: server.signal(signal.SIGCONT))


def test_findings_of_pictures_are_recorded(port: int) -> None:
    with RtspCamera(port) as server, watched(server.url) as watching:
        watching.wait_for_frames(15)
        watching.expect(Disturbance.FROZEN, BEGIN, lambda: server.tell("freeze"))
        frozen = len(watching.frames)
        watching.expect(Disturbance.FROZEN, END, lambda: server.tell("thaw"))
        assert len(watching.frames) > frozen  # frames continue
        watching.expect(Disturbance.SIZE_CHANGED, MOMENT, lambda: server.tell("size 480 272"))
        watching.expect(Disturbance.BLACK, BEGIN, lambda: server.tell("level 2"))
        watching.expect(Disturbance.OVEREXPOSED, BEGIN, lambda: server.tell("level 254"))
        watching.expect(Disturbance.OVEREXPOSED, END, lambda: server.tell("level"))
        watching.wait_for_frames(15)
    assert watching.count(Disturbance.BLACK, END) == 1
    assert watching.count(Disturbance.FROZEN, BEGIN) == 1  # a flat picture is not frozen
    (changed,) = (r for r in watching.records if r.disturbance is Disturbance.SIZE_CHANGED)
    assert changed.detail == "320 x 240 px became 480 x 272"
    assert watching.camera.name == changed.stream_id
    assert decode_picture(watching.frames[changed.last_seq].content).shape[:2] == (240, 320)
    assert decode_picture(watching.frames[changed.last_seq + 1].content).shape[:2] == (272, 480)


def test_a_pause_is_a_gap_or_silence_by_its_length(port: int) -> None:
    with RtspCamera(port) as server, watched(server.url) as watching:
        watching.wait_for_frames(30)
        server.tell("pause")
        time.sleep(1.6)
        watching.expect(Disturbance.GAP, MOMENT, lambda: server.tell("resume"))
        watching.expect(Disturbance.NO_FRAMES, BEGIN, lambda: server.tell("pause"))
        watching.expect(Disturbance.NO_FRAMES, END, lambda: server.tell("resume"))
        watching.wait_for_frames()
    assert watching.count(Disturbance.GAP, MOMENT) == 1
    assert watching.count(Disturbance.DISCONNECTED, BEGIN) == 0


@pytest.mark.parametrize("digest", [True, False])
def test_any_password_is_accepted_and_a_wrong_one_is_recorded(port: int, digest: bool) -> None:
    options = {"user": USER, "password": PASSWORD} | ({"digest": True} if digest else {})
    server = RtspCamera(port, **options)
    address = server.url.replace("://", f"://{USER}:{quote(PASSWORD)}@")
    with server, watched(address) as watching:
        watching.wait_for_frames()

        def change_password() -> None:
            server.kill()
            server.start("--password=another")

        watching.expect(Disturbance.UNAUTHORIZED, BEGIN, change_password)
        server.kill()
        watching.expect(Disturbance.UNAUTHORIZED, END, server.start)
        watching.wait_for_frames()
    assert all(PASSWORD not in record.detail for record in watching.records)


def test_a_stream_of_jpegs_passes_byte_for_byte() -> None:
    generator = np.random.default_rng(0)
    pictures = [encode_jpeg(generator.integers(0, 256, (48, 64, 3), np.uint8), 80) for _ in range(7)]
    with MjpegCamera(pictures) as server, watched(server.url) as watching:
        watching.wait_for_frames(20)
    shown = [pictures.index(frame.content) for frame in watching.frames]
    assert [(b - a) % 7 for a, b in pairwise(shown)] == [1] * (len(shown) - 1)


def test_frames_beyond_the_rate_are_dropped_evenly_and_counted(port: int) -> None:
    with RtspCamera(port, "mjpeg", rate=20) as server, watched(server.url, rate_hz=5.0) as watching:
        watching.wait_for_frames(12)
    steps_ms = np.diff([frame.capture_ns for frame in watching.frames])[1:] / 1e6
    assert np.median(steps_ms) == pytest.approx(200, abs=20)
    assert watching.camera.dropped["thinned"] >= 2 * len(watching.frames) - 2
    assert set(watching.camera.dropped) <= {"thinned", "stopped"}


def take_slowly(url: str, count: int, sleep_s: Callable[[int], float]) -> tuple[list[int], LiveCamera]:
    """Takes `count` frames, sleeping after each; returns the numbers in their pictures."""
    live = camera(url)
    frames, taken = live.live(), []
    for frame in frames:
        if frame is not None:
            taken.append(number_of(frame.content))
            time.sleep(sleep_s(len(taken)))
        if len(taken) == count:
            break
    frames.close()
    assert taken == sorted(set(taken))
    assert live.received == live.emitted + live.dropped.total()
    return taken, live


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_a_slow_consumer_gets_the_newest_frames_and_the_others_are_counted(port: int, codec: str) -> None:
    with RtspCamera(port, codec, rate=30) as server:
        taken, live = take_slowly(server.url, 40, lambda _: 0.1)
    superseded = live.dropped["superseded"]
    assert superseded >= 10
    assert superseded == taken[-1] - taken[0] + 1 - len(taken)
    assert not live.dropped["undecodable"]


def test_a_short_stall_costs_no_frame(port: int) -> None:
    with RtspCamera(port) as server:
        taken, live = take_slowly(server.url, 40, lambda count: 1.5 * (count == 10))
    assert taken == list(range(taken[0], taken[0] + 40))
    assert not live.dropped["superseded"]


def test_a_wrong_address_fails_at_once_with_a_remedy(port: int) -> None:
    with RtspCamera(port) as server, MjpegCamera([encode_jpeg(np.zeros((16, 16, 3), np.uint8))]) as jpegs:
        for url, expected in {
            f"rtsp://u:hunter2@127.0.0.1:{free_ports(1)[0]}/cam": r"nobody listens at rtsp://127.*is the camera on",
            server.url + "/no": r"has no stream \(404\).*the camera's manual",
            "rtsp://u:hunter2@camera.invalid/x": r"can't be reached or read .*check name",
            "77": r"no camera at /dev/video77; expected one of",
            jpegs.url.replace("video", "single"): r"sends a single picture.*use the MJPEG address",
        }.items():
            with pytest.raises(CameraError, match=expected) as error:
                list(camera(url))
            assert "hunter2" not in str(error.value)


def test_a_silent_host_fails_after_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started_s = time.monotonic()
        with pytest.raises(CameraError, match=r"sent nothing for 5 s"):
            list(camera(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"))
        assert time.monotonic() - started_s < LIMIT_S


def test_with_wait_a_camera_may_start_later(port: int) -> None:
    server = RtspCamera(port)
    with watched(server.url, wait=True) as watching:
        wait_until(lambda: watching.count(Disturbance.DISCONNECTED, BEGIN) > 0, LIMIT_S, "disconnected begin")
        with server:
            watching.wait_for_frames()
    assert [r.state for r in watching.records if r.disturbance is Disturbance.DISCONNECTED][:2] == [BEGIN, END]
