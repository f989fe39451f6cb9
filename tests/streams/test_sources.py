from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from gradwatch.streams.challenges.table import apply_challenge
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.curetsd import RecordingNameError
from gradwatch.streams.recordings.video import write_video
from gradwatch.streams.sources import (
    SOURCES,
    ChallengeOnset,
    Playback,
    SourceFrame,
    jpegs,
    legal_stream_id,
    pictures,
    video,
)
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import Delivery, RecordTooLargeError
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

RECORDING = Path(__file__).resolve().parents[1] / "recordings" / "motorway.mp4"
PICTURES = [encode_jpeg(np.full((24, 32, 3), 20 * i, np.uint8)) for i in range(6)]
TOPICS = Topics("p.", "frames")


class FakeProducer:
    """Takes `room` records at a time and acknowledges them unless `silent`."""

    def __init__(self, room: int = 10**9, silent: bool = False, largest: int = 10**9) -> None:
        self.records: list[Record] = []
        self.deliveries: list[Delivery] = []
        self.room, self.silent, self.largest = room, silent, largest

    def try_send(self, topic, key, value, headers, partition=None, timestamp_ms=None) -> Delivery | None:
        if len(value) > self.largest:
            raise RecordTooLargeError("too large")
        if self.room <= 0:
            return None
        self.room -= 1
        record = Record(topic, partition or 0, len(self.records), timestamp_ms, key, value, tuple(headers))
        self.records.append(record)
        self.deliveries.append(Delivery())
        if not self.silent:
            self.deliveries[-1].finish(offset=record.offset)
        return self.deliveries[-1]

    def send(self, *arguments, **options) -> Delivery:
        delivery = self.try_send(*arguments, **options)
        if delivery is None:
            raise BrokerUnavailableError("no room")
        return delivery

    def flush(self, timeout_s: float | None = None) -> bool:
        return not self.silent

    def frames(self) -> list:
        return [decode_frame(record) for record in self.records]


def levels(frames) -> list[int]:
    """Which of PICTURES each frame shows."""
    return [round(float(decode_picture(frame.content).mean()) / 20) for frame in frames]


# --- playing ------------------------------------------------------------------------------------------------------


def test_bytes_of_jpegs_pass_unchanged() -> None:
    frames = list(jpegs(PICTURES))
    assert [frame.content for frame in frames] == PICTURES
    assert [frame.capture_ns for frame in frames] == [i * 100_000_000 for i in range(6)]
    assert {frame.clock for frame in frames} == {"media"}


def test_a_range_is_played_with_both_ends() -> None:
    assert levels(jpegs(PICTURES, Playback(first=2, last=4))) == [2, 3, 4]
    assert levels(jpegs(PICTURES, Playback(first=4))) == [4, 5]
    assert levels(jpegs(PICTURES, Playback(first=1, frames=2))) == [1, 2]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 3, [0, 1, 2, 3, 2, 1, 0, 1, 2]), (2, 3, [2, 3, 2, 3, 2, 3, 2, 3, 2]), (5, 5, [5] * 9)],
)
def test_to_and_fro_turns_without_showing_an_end_twice(first: int, last: int, expected: list[int]) -> None:
    source = jpegs(PICTURES, Playback(first=first, last=last, to_and_fro=True, rate_hz=5, frames=9))
    frames = list(source)
    assert levels(frames) == expected
    assert [frame.capture_ns for frame in frames] == [i * 200_000_000 for i in range(9)]


def test_to_and_fro_has_no_end() -> None:
    source = jpegs(PICTURES, Playback(to_and_fro=True, rate_hz=5))
    assert len(list(itertools.islice(source, 1000))) == 1000


def test_an_uneven_rate_does_not_drift() -> None:
    frames = list(jpegs(PICTURES, Playback(rate_hz=3)))
    assert frames[3].capture_ns == 1_000_000_000


def test_a_challenge_sets_in_where_asked_and_only_there() -> None:
    challenge = ChallengeOnset("darkening", 3, seed=7, onset_seq=4)
    frames = list(jpegs(PICTURES, Playback(challenge=challenge)))
    assert [frame.content for frame in frames[:4]] == PICTURES[:4]
    for seq in (4, 5):
        expected = apply_challenge(decode_picture(PICTURES[seq]), "darkening", 3, 7, seq)
        assert frames[seq].content == encode_jpeg(expected)
        assert levels([frames[seq]])[0] < seq


@pytest.mark.parametrize("wrong", [{"rate_hz": 0}, {"first": -1}, {"first": 3, "last": 2}, {"to_and_fro": True}])
def test_wrong_playback_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"rate_hz|frames to play"):
        Playback(**wrong)


def test_a_video_keeps_its_own_times(tmp_path: Path) -> None:
    frames = list(video(RECORDING, Playback(first=10, last=12)))
    assert len(frames) == 3
    steps_ns = np.diff([frame.capture_ns for frame in frames])
    assert abs(steps_ns - 40_000_000).max() < 1_000_000
    assert decode_picture(frames[0].content).shape == (540, 960, 3)
    assert video(RECORDING).name == "motorway"


def test_a_recording_is_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "01_07_00_00_00.mp4"
    write_video(path, [np.full((32, 48, 3), 60 * i, np.uint8) for i in range(4)], rate_hz=10, lossless=True)
    source = SOURCES["recording"](path, Playback(first=1))
    assert source.name == "01_07_00_00_00"
    assert levels(source) == [3, 6, 9]
    with pytest.raises(RecordingNameError):
        SOURCES["recording"](RECORDING)


def test_a_folder_is_read_by_name_and_unchanged(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        (tmp_path / f"{i}.JPG").write_bytes(PICTURES[i])
    (tmp_path / "notes.txt").write_text("no picture")
    assert [frame.content for frame in pictures(tmp_path)] == PICTURES[:3]
    with pytest.raises(FileNotFoundError, match=r"expected \.jpg, \.jpeg, \.png files in"):
        pictures(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("my clip (1)", "my-clip--1-"), ("..x", "x"), ("é", "-"[:0] or "source"), ("a" * 99, "a" * 63)],
)
def test_any_name_gives_a_legal_stream_id(name: str, expected: str) -> None:
    assert legal_stream_id(name) == expected


def test_the_table_names_what_issues_ask_for() -> None:
    assert {"video", "pictures", "recording", "jpegs"} <= set(SOURCES)


# --- publishing ---------------------------------------------------------------------------------------------------


def test_a_run_numbers_its_frames_and_a_second_one_is_another() -> None:
    producer = FakeProducer()
    first = publish(jpegs(PICTURES), producer, TOPICS, "north", pace=False, partition=2)
    second = publish(jpegs(PICTURES), producer, TOPICS, "north", pace=False)
    identities = [frame.identity for frame in producer.frames()]
    assert [identity.seq for identity in identities] == [0, 1, 2, 3, 4, 5] * 2
    assert first.run_id == identities[0].run_id != identities[6].run_id == second.run_id
    assert (first.frames, first.published, first.dropped) == (6, 6, {})
    assert first.published_bytes == sum(map(len, PICTURES))
    assert producer.records[0].partition == 2


def test_paced_frames_leave_at_their_capture_times() -> None:
    producer, started_s = FakeProducer(), time.time()
    summary = publish(jpegs(PICTURES, Playback(rate_hz=20)), producer, TOPICS, "north", pace=True)
    left_s = np.array([frame.published_ns / 1e9 for frame in producer.frames()]) - started_s
    assert (left_s - np.arange(6) / 20 > -0.002).all()
    assert left_s[-1] < 1.0
    assert summary.max_lag_s < 0.5


def test_a_dead_broker_costs_the_oldest_frames_and_each_is_counted() -> None:
    producer = FakeProducer(room=2)
    newest = sum(len(content) for content in PICTURES[4:])
    playback = Playback(rate_hz=200)
    summary = publish(jpegs(PICTURES, playback), producer, TOPICS, "north", pace=True, queue_bytes=newest, flush_s=0.05)
    assert [frame.identity.seq for frame in producer.frames()] == [0, 1]
    assert (summary.frames, summary.published, summary.dropped) == (6, 2, {"broker_unavailable": 4})


def test_when_the_broker_is_back_the_newest_are_sent_in_order() -> None:
    producer = FakeProducer(room=1)
    threading.Timer(0.3, lambda: setattr(producer, "room", 100)).start()
    newest = sum(len(content) for content in PICTURES[4:])
    summary = publish(
        jpegs(PICTURES, Playback(rate_hz=200)), producer, TOPICS, "north", pace=True, queue_bytes=newest, flush_s=5
    )
    assert [frame.identity.seq for frame in producer.frames()] == [0, 4, 5]
    assert (summary.published, summary.dropped) == (3, {"broker_unavailable": 3})


def test_without_pace_nothing_is_dropped_and_a_dead_broker_is_an_error() -> None:
    with pytest.raises(BrokerUnavailableError):
        publish(jpegs(PICTURES), FakeProducer(room=3), TOPICS, "north", pace=False)


def test_frames_without_an_answer_or_with_a_refusal_are_counted() -> None:
    silent = publish(jpegs(PICTURES), FakeProducer(silent=True), TOPICS, "north", pace=False, flush_s=0)
    assert (silent.published, silent.dropped) == (0, {"broker_unavailable": 6})
    noisy = encode_jpeg(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
    largest = max(map(len, PICTURES))
    small = publish(jpegs([*PICTURES, noisy]), FakeProducer(largest=largest), TOPICS, "north", pace=False)
    assert (small.frames, small.published, small.dropped) == (7, 6, {"too_large": 1})


def test_a_source_can_be_stopped_while_it_waits() -> None:
    stop, producer = threading.Event(), FakeProducer()
    threading.Timer(0.2, stop.set).start()
    started_s = time.monotonic()
    summary = publish(jpegs(PICTURES, Playback(rate_hz=0.1)), producer, TOPICS, "north", pace=True, stop=stop)
    assert time.monotonic() - started_s < 2
    assert (summary.frames, summary.published) == (1, 1)


def test_any_iterable_of_frames_is_a_source() -> None:
    frames = [SourceFrame(PICTURES[0], "image/jpeg", 1_790_000_000_000_000_000, "utc")]
    producer = FakeProducer()
    assert publish(frames, producer, TOPICS, "north", pace=True).published == 1
    assert producer.frames()[0].clock == "utc"
