"""What a new run keeps of the state of the run before it, and when a state counts as alerting."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from gradwatch.monitor.alarms.calibration import Calibration, Origin
from gradwatch.monitor.alarms.episodes import Episode, Moment
from gradwatch.monitor.judging.expectation import Expectations
from gradwatch.monitor.judging.forecasts import empty_ledger
from gradwatch.monitor.judging.runs import Runs
from gradwatch.monitor.judging.state import JudgeState, new_run
from gradwatch.monitor.judging.tracking import TrackerSettings, advance, no_tracks
from gradwatch.monitor.worker.stored_state import dump
from gradwatch.streams.wire.messages import AlertKind, FrameIdentity

SHIFT = AlertKind.DISTRIBUTION_SHIFT
NOW = Moment(FrameIdentity("town", "run", 3), 5, 1, 2, {"gradcon": 1.25}, {"gradcon": 0.125}, 4, "stop", "yield")
FULL = JudgeState(
    stream_id="town",
    run_id="run",
    next_seq=4,
    tracks=advance(no_tracks(), 5, [[1, 2, 30, 40.5]], [0.9], [0], TrackerSettings())[0],
    expectations={"sign": Expectations(np.array([4]), np.array([3]), np.array([0.1]), np.array([[0.2, 0.8]]))},
    change={"gradcon": 1 / 3},
    episodes={SHIFT: Episode(NOW, NOW, 1.25, 0.125, ["gradcon"], NOW, revision=2)},
    calibration=Calibration("id", Origin("town", "models", "configuration", 960, 540), 100, 0.2, 1.0, 60.0, {}, {}, {}),
)


def test_a_new_run_keeps_the_calibration_and_what_it_replaces():
    fresh = new_run(FULL, "town", "next")
    kept = {"calibration": FULL.calibration, "runs": Runs(replaced=("run",))}
    assert fresh == JudgeState("town", "next", tracks=fresh.tracks, ledger=fresh.ledger, **kept)
    assert len(fresh.tracks) == 0
    assert dump(JudgeState("", "", ledger=fresh.ledger)) == dump(JudgeState("", "", ledger=empty_ledger()))
    assert new_run(None, "town", "run").calibration is None


def test_a_state_is_alerting_only_once_an_alert_was_opened():
    assert FULL.alerting
    pending = replace(FULL.episodes[SHIFT], revision=0)
    assert not replace(FULL, episodes={SHIFT: pending}).alerting
    assert not JudgeState("town", "run").alerting
