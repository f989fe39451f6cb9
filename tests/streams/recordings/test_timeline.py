"""Times of recordings that misbehave: one wrong time moves one frame, and none decreases."""

from __future__ import annotations

import numpy as np
import pytest

from gradwatch.streams.recordings.damage import RecordingError
from gradwatch.streams.recordings.still import Still
from gradwatch.streams.recordings.timeline import StoredTime, steady

STEP_NS = 100_000_000
UTC = 17_900_000_000  # steps since 1970
HOUR = 36_000  # steps


def mended(own: list[float | None], logged: list[float] | None = None) -> list[float]:
    """The times that `steady` gives, all in steps."""
    stored = [
        (
            StoredTime(
                None if time is None else round(time * STEP_NS),
                None if logged is None else round(logged[i] * STEP_NS),
            ),
            Still(0, content=b""),
        )
        for i, time in enumerate(own)
    ]
    return [still.time_ns / STEP_NS for still in steady(stored, STEP_NS)]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        pytest.param([0, 1, 2.5, 3, 3, 9], [0, 1, 2.5, 3, 3, 9], id="right"),
        pytest.param([14, 15, 16], [14, 15, 16], id="begins late"),
        pytest.param([-5, -4, -3], [0, 1, 2], id="negative"),
        pytest.param([0, 1, 602, 3, 4], [0, 1, 2, 3, 4], id="leaps"),
        pytest.param([0, 1, 8, 3, 4], [0, 1, 2, 3, 4], id="leaps a little"),
        pytest.param([0, 1, 602, 603, 4, 5], [0, 1, 2, 3, 4, 5], id="leaps for two frames"),
        pytest.param([600, 1, 2, 3], [0, 1, 2, 3], id="leaps at once"),
        pytest.param([0, 1, 2, 600], [0, 1, 2, 3], id="leaps at the end"),
        pytest.param([0, 1, 2, -900, 4], [0, 1, 2, 3, 4], id="drops"),
        pytest.param([5, 6, 7, 0, 1, 2], [5, 6, 7, 8, 9, 10], id="begins anew"),
        pytest.param([0, 2, 1, 3], [0, 1, 1, 3], id="changes places"),
        pytest.param([0, 1, None, 3, None, None, 6], [0, 1, 2, 3, 4, 5, 6], id="missing"),
        pytest.param([None, None, None], [0, 1, 2], id="has none"),
        pytest.param([None, 5, 6], [4, 5, 6], id="has no first"),
        pytest.param([0, 1, 2**62, 2**62 + 1, 4, 5], [0, 1, 2, 3, 4, 5], id="no number of 64 bits"),
        pytest.param([0, 600, 1200, 1800], [0, 1, 2, 602], id="few frames, which the rate does not say"),
    ],
)
def test_of_the_recordings_own_times(own: list[float | None], expected: list[float]) -> None:
    assert mended(own) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("own", "logged", "expected"),
    [
        pytest.param([0, 1, HOUR, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], id="one stamp an hour ahead"),
        pytest.param([HOUR, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], id="the first an hour ahead"),
        pytest.param([0, 1 + HOUR, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], id="the second an hour ahead"),
        pytest.param(
            [HOUR, HOUR + 1, 2, 3, 4], [0, 1, 2, 3, 4], [HOUR + i for i in range(5)], id="set back after two frames"
        ),
        pytest.param([0, 1, 600, 601], [0, 1, 600, 601], [0, 1, 600, 601], id="a gap that the log confirms"),
        pytest.param([0, 1, 600, 601], [0, 1, 2, 3], [0, 1, 2, 3], id="a leap that the log denies"),
        pytest.param([-UTC, 1, 2], [0, 1, 2], [0, 1, 2], id="only the first without a stamp"),
        pytest.param([-UTC, None, None], [0, 1, 3], [0, 1, 3], id="no stamps at all"),
        pytest.param([0, None, None, 3], [0, 1, 2.5, 3], [0, 1, 2.5, 3], id="stamps missing"),
    ],
)
def test_with_log_times_as_the_witness(own: list[float | None], logged: list[float], expected: list[float]) -> None:
    times = mended([None if time is None else UTC + time for time in own], [UTC + time for time in logged])
    assert [time - UTC for time in times] == pytest.approx(expected)


def test_what_was_read_before_a_recording_breaks_off_is_played() -> None:
    def broken():
        yield StoredTime(0), Still(0, content=b"")
        yield StoredTime(STEP_NS), Still(0, content=b"")
        raise RecordingError("the rest is gone")

    played = []
    with pytest.raises(RecordingError, match="the rest is gone"):
        played.extend(still.time_ns for still in steady(broken(), STEP_NS))
    assert played == [0, STEP_NS]


def test_simulated_time_from_zero_is_kept_beside_a_wall_clock() -> None:
    assert mended([0, 1, 2, 3], [UTC, UTC + 2, UTC + 4, UTC + 6]) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(20))
def test_any_times_become_times_that_never_decrease(seed: int) -> None:
    generator = np.random.default_rng(seed)
    times = np.cumsum(generator.choice([0, 1, 1, 1, -1, -700, 700, 2**40], 300)).tolist()
    own = [None if missing else float(time) for time, missing in zip(times, generator.random(300) < 0.1, strict=True)]
    given = mended(own)
    assert given[0] >= 0
    assert given == sorted(given)
    assert max(given) < 2**63 / STEP_NS
