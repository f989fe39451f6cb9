"""A producer's clock that is wrong by years, or jumps: every frame is judged, and the numbers stay numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gradwatch.models.outputs import Detections
from gradwatch.monitor.alarms.calibration import AlarmBudget
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.stream_health import StreamHealth
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.sinks import MemorySink
from gradwatch.streams.wire.messages import Disturbance, HealthRecord, Outcome
from gradwatch.streams.wire.outputs import encode_report

from ...builders import StubObserver, draw_observations, encoded_frame, frame_record, gray_jpeg

STEP_NS = 100_000_000
YEAR_NS = 365 * 86_400 * 10**9
LAST_NS = 2**63 - 1
FRAMES = 160
WALKER = Detections(np.float32([[20, 5, 30, 40]]), np.float32([0.9]), np.int32([1]))


CLOCKS: dict[str, Callable[[int], int]] = {
    "stands still": lambda seq: 5,
    "in 1970": lambda seq: seq * STEP_NS,
    "in 2262": lambda seq: LAST_NS - (FRAMES - seq) * STEP_NS,
    "goes back a year": lambda seq: 50 * YEAR_NS + seq * STEP_NS - (YEAR_NS if seq >= 130 else 0),
    "jumps by two hundred years and back": lambda seq: LAST_NS if seq == 130 else seq * STEP_NS,
    "runs backwards": lambda seq: (FRAMES - seq) * STEP_NS,
    "at random": lambda seq: int(np.random.default_rng(seq).integers(0, 2**63)),
}


TOLD = {
    "stands still": {Disturbance.CLOCK_STOPPED},
    "goes back a year": {Disturbance.CLOCK_JUMP},
    "jumps by two hundred years and back": {Disturbance.CLOCK_JUMP},
    "runs backwards": {Disturbance.CLOCK_JUMP},
    "at random": {Disturbance.CLOCK_JUMP},
}
TIMES = [(clock, 1_790_000_000_000) for clock in CLOCKS] + [("in 1970", -1), ("in 1970", 2**62)]


@pytest.mark.filterwarnings("error::RuntimeWarning")  # numpy's overflows and divisions
@pytest.mark.parametrize(("clock", "timestamp_ms"), TIMES)
def test_every_frame_is_judged(clock: str, timestamp_ms: int) -> None:
    sink = MemorySink()
    judge = Judge({}, "models", JudgeSettings(calibration_frames=100, alarms=AlarmBudget(bootstrap_hours=1)))
    observed = [replace(one, detections=WALKER) for one in draw_observations(FRAMES, seed=0)]
    told: list[HealthRecord] = []
    pipeline = Pipeline(StubObserver(observed), judge, sink, DeadLetters(None, None), health=StreamHealth(told.append))
    jpeg = gray_jpeg(0)
    for seq in range(FRAMES):
        frame = encoded_frame("north", seq, capture_ns=CLOCKS[clock](seq), content=jpeg)
        pipeline.step(frame_record(frame, offset=seq, timestamp_ms=timestamp_ms))
    assert {record.disturbance for record in told} == TOLD.get(clock, set())
    assert [report.outcome for report in sink.reports] == [Outcome.JUDGED] * FRAMES
    for report in sink.reports:
        encode_report(report)
        assert report.tracks is not None
        assert np.isfinite(report.tracks.xyxy).all()
        assert np.isfinite(report.tracks.covariance).all()
        assert all(np.isfinite(ratio) for ratio in report.change.values())
