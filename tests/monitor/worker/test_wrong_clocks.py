"""A producer's clock that is wrong by years, or jumps: every frame is judged, and the numbers stay numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradwatch.models.outputs import Detections, Observation
from gradwatch.monitor.alarms.calibration import AlarmBudget
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.sinks import MemorySink
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import Outcome
from gradwatch.streams.wire.outputs import encode_report
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.records import Record

from ...builders import encoded_frame

STEP_NS = 100_000_000
YEAR_NS = 365 * 86_400 * 10**9
LAST_NS = 2**63 - 1
FRAMES = 160


class StubObserver:
    """Gives the observations of a clean drive, with one walker in each."""

    def __init__(self, observations: list[Observation]) -> None:
        box = Detections(np.array([[20, 5, 30, 40]], np.float32), np.array([0.9], np.float32), np.array([1], np.int32))
        self.observations = [Observation(o.size, box, o.heads, o.tiles, o.image_statistics) for o in observations]

    def observe(self, images: list[np.ndarray], seqs: list[int]) -> list[Observation]:
        return [self.observations[seq] for seq in seqs]


CLOCKS: dict[str, Callable[[int], int]] = {
    "stands still": lambda seq: 5,
    "in 1970": lambda seq: seq * STEP_NS,
    "in 2262": lambda seq: LAST_NS - (FRAMES - seq) * STEP_NS,
    "goes back a year": lambda seq: 50 * YEAR_NS + seq * STEP_NS - (YEAR_NS if seq >= 130 else 0),
    "jumps by two hundred years and back": lambda seq: LAST_NS if seq == 130 else seq * STEP_NS,
    "runs backwards": lambda seq: (FRAMES - seq) * STEP_NS,
    "at random": lambda seq: int(np.random.default_rng(seq).integers(0, 2**63)),
}


TIMES = [(clock, 1_790_000_000_000) for clock in CLOCKS] + [("in 1970", -1), ("in 1970", 2**62)]


@pytest.mark.filterwarnings("error::RuntimeWarning")  # numpy's overflows and divisions
@pytest.mark.parametrize(("clock", "timestamp_ms"), TIMES)
def test_every_frame_is_judged(observations: Callable[..., list[Observation]], clock: str, timestamp_ms: int) -> None:
    sink = MemorySink()
    judge = Judge({}, "models", JudgeSettings(calibration_frames=100, alarms=AlarmBudget(bootstrap_hours=1)))
    pipeline = Pipeline(StubObserver(observations(FRAMES, seed=0)), judge, sink, DeadLetters(None, None))
    jpeg = encode_jpeg(np.zeros((54, 96, 3), np.uint8))
    for seq in range(FRAMES):
        frame = encoded_frame("north", seq, capture_ns=CLOCKS[clock](seq), content=jpeg)
        wire = encode_frame(frame)
        pipeline.step(Record("frames", 0, seq, timestamp_ms, wire.key, wire.value, tuple(wire.headers)))
    assert [report.outcome for report in sink.reports] == [Outcome.JUDGED] * FRAMES
    for report in sink.reports:
        encode_report(report)
        assert report.tracks is not None
        assert np.isfinite(report.tracks.xyxy).all()
        assert np.isfinite(report.tracks.covariance).all()
        assert all(np.isfinite(ratio) for ratio in report.change.values())
