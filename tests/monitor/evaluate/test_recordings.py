from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gradwatch import MissingFileError
from gradwatch.models.outputs import Observation
from gradwatch.monitor.evaluate.recordings import (
    CALIBRATED_ON,
    CLIPS,
    RECORDINGS,
    check_recordings,
    evaluate_recordings,
    judge_weather,
    recordings_report,
)
from gradwatch.monitor.evaluate.replaying import broker_figures
from gradwatch.monitor.evaluate.reports import Figures
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.offline import Observed, offline_stamp
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.streams.wire.messages import (
    FrameReport,
    Outcome,
    OutcomeCause,
    ReportedForecasts,
)

from ...builders import frame_report

RATE_HZ = 10


def report(seq: int, outcome: Outcome = Outcome.JUDGED, checked: int = 0, achieved: float = np.nan) -> FrameReport:
    nothing = np.empty((0, 1), np.float32)
    return frame_report(
        "pets_a",
        seq,
        outcome=outcome,
        cause=OutcomeCause.UNDECODABLE if outcome == Outcome.REJECTED else None,
        forecasts=ReportedForecasts(nothing, nothing, nothing, 0.9, achieved, checked),
        latency_ms={"decode": 1.0, "observe": float(seq), "judge": 2.0},
    )


class TestThroughTheBroker:
    def test_one_report_a_frame(self) -> None:
        figures = broker_figures([report(seq) for seq in (2, 0, 1)], frames=3)
        assert figures["one_report_a_frame"]
        assert figures["outcomes"] == {"judged": 3}
        assert figures["latency_ms"]["observe"] == 1.0

    @pytest.mark.parametrize("seqs", [(0, 1), (0, 1, 1), (0, 1, 1, 2), (0, 1, 2, 3)])
    def test_missing_doubled_and_foreign_reports_are_noticed(self, seqs: tuple[int, ...]) -> None:
        assert not broker_figures([report(seq) for seq in seqs], frames=3)["one_report_a_frame"]

    def test_coverage_is_that_of_the_last_report(self) -> None:
        last, earlier = report(1, checked=40, achieved=0.85), report(0, checked=10, achieved=0.5)
        figures = broker_figures([last, earlier], frames=2)
        assert (figures["coverage_achieved"], figures["forecasts_checked"]) == (0.85, 40)

    def test_coverage_is_none_where_nothing_could_be_checked(self) -> None:
        assert broker_figures([report(0)], frames=1)["coverage_achieved"] is None

    def test_causes_are_counted_apart(self) -> None:
        figures = broker_figures([report(0), report(1, Outcome.REJECTED)], frames=2)
        assert figures["outcomes"] == {"judged": 1, "rejected (undecodable)": 1}

    def test_no_reports_at_all(self) -> None:
        assert not broker_figures([], frames=3)["one_report_a_frame"]


@pytest.fixture(scope="module")
def weather(observations: Callable[..., list[Observation]]) -> Figures:
    """Clips of which only the night is unlike the street."""

    def clip(name: str, seed: int, shift: float = 0.0, shifted_from: int | None = None) -> list[Observed]:
        frames = 900 if name == CALIBRATED_ON else 100
        drawn = observations(seed=seed, frames=frames, shift=shift, shifted_from=shifted_from)
        return [(offline_stamp(name, seq, seq * 10**9 // RATE_HZ), found) for seq, found in enumerate(drawn)]

    clips = {name: clip(name, seed) for seed, name in enumerate(CLIPS)} | {"night_night": clip("night_night", 9, 8, 40)}
    return judge_weather(clips, Judge({}, "models", JudgeSettings()))[0]


class TestWeather:
    def test_two_thirds_calibrate_and_the_last_third_is_judged(self, weather: Figures) -> None:
        assert weather["calibration"]["frames"] == 600
        assert weather["clips"][CALIBRATED_ON]["frames"] == 300
        assert weather["clips"]["clear_countryroad"]["frames"] == 100

    def test_the_clip_that_changes_alarms_after_it_does(self, weather: Figures) -> None:
        night = weather["clips"]["night_night"]
        assert night["alerts"] >= 1
        assert 40 <= night["first_alert_frame"] <= 60
        assert night["first_alert_s"] == pytest.approx(night["first_alert_frame"] / RATE_HZ)
        assert night["carried_by"]
        assert night["ratios"]["image_statistics"]["max"] > 1

    def test_the_others_stay_quiet(self, weather: Figures) -> None:
        for name in (CALIBRATED_ON, "clear_countryroad"):
            clip = weather["clips"][name]
            assert (clip["alerts"], clip["first_alert_s"], clip["share_alerting"]) == (0, None, 0), name

    def test_report_has_every_clip(self, weather: Figures) -> None:
        through = {"pets_a": broker_figures([report(0, checked=7, achieved=0.5)], frames=1)}
        figures = {"models_id": "m", "through_broker": through, "weather": weather}
        text = recordings_report(figures)
        assert "0.500 of 7 (asked 0.9)" in text
        assert "provisional" in text
        for name in CLIPS:
            assert f"| {name}" in text


def test_missing_recordings_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError) as caught:
        evaluate_recordings(tmp_path, tmp_path, Judge({}, "models", JudgeSettings()))
    assert all(recording.path in str(caught.value) for recording in RECORDINGS.values())


def test_the_recordings_exist(shared: Path) -> None:
    check_recordings(shared, [recording.path for recording in RECORDINGS.values()])
