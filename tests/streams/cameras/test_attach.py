"""Attaching a recording; `tests/monitor/commands/test_attach.py` attaches cameras."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from gradwatch.streams.cameras.attach import CameraPlan, attach, attach_all
from gradwatch.streams.recordings.played import SourceOptionError
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.topics import Topics

TOPICS = Topics("p.", "frames")


class Producer:
    """Acknowledges every record and keeps the values of frames."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def try_send(self, topic, key, value, headers, partition=None, timestamp_ms=None) -> Delivery:
        if topic == TOPICS.frames:
            self.values.append(value)
        delivery = Delivery()
        delivery.finish()
        return delivery

    def flush(self, timeout_s: float | None = None) -> bool:
        return True


def test_a_plan_does_not_show_its_source() -> None:
    assert "hunter2" not in repr(CameraPlan("gate", "rtsp://u:hunter2@h/x"))


def test_two_sources_of_one_stream_are_refused_at_once() -> None:
    plans = [CameraPlan("gate", "rtsp://a/1"), CameraPlan("yard", "rtsp://b/1"), CameraPlan("gate", "rtsp://c/1")]
    with pytest.raises(SourceOptionError, match="expected a stream of its own for each source, got several as gate"):
        attach_all(plans, Producer(), TOPICS, stop=threading.Event())


def test_a_folder_of_cure_tsr_is_attached_in_its_order(tmp_path: Path) -> None:
    """By level, then by class, where a plain folder of pictures would be played by file names, and without .bmp."""
    for i, name in enumerate(["Rain-2/01_06_09_02_0001.bmp", "Rain-1/01_07_09_01_0001.bmp"]):
        (tmp_path / name).parent.mkdir()
        assert cv2.imwrite(str(tmp_path / name), np.full((12, 16, 3), 20 * i, np.uint8))
    producer = Producer()
    summary = attach(CameraPlan("gate", str(tmp_path), rate_hz=50), producer, TOPICS, stop=threading.Event())
    assert (summary.frames, summary.published, summary.dropped, summary.failure) == (2, 2, {}, "")
    shown = [int(cv2.imdecode(np.frombuffer(value, np.uint8), cv2.IMREAD_COLOR).mean()) for value in producer.values]
    assert shown == [20, 0]
