"""Which frames belong to an alert, exact to the frame; `test_service.py` reads them from real brokers."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gradwatch.monitor.evidence.window import MissingCause, window_of
from gradwatch.streams.wire.messages import AlertState, EncodedFrame, Outcome

from .scenes import (
    PUBLISHED_MS,
    RUN,
    SECOND_NS,
    TOPICS,
    MemoryRecords,
    Window,
    alert,
    capture_ns,
    frame,
    read_window,
    stamped,
)

RATES = (5, 10, 30)


def stage(
    rate_hz: int, frames: int, gaps: frozenset[int] = frozenset(), others: int = 1
) -> tuple[MemoryRecords, dict[int, EncodedFrame]]:
    """A run of `frames` frames without those in `gaps`, among `others` streams that share its partition."""
    records, own = MemoryRecords(), {}
    for seq in range(frames):
        for other in range(others):
            records.judge(records.publish(frame(seq, rate_hz, f"other-{other}")))
        if seq not in gaps:
            own[seq] = records.publish(frame(seq, rate_hz))
            records.judge(own[seq])
    return records, own


def seqs(window: Window) -> list[int]:
    return [one.stamp.identity.seq for one in window.frames]


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("length_s", [1, 58])
def test_edges_are_exact_to_the_frame(rate_hz: int, length_s: int) -> None:
    records, own = stage(rate_hz, 75 * rate_hz)
    onset, last = 7 * rate_hz + 1, (7 + length_s) * rate_hz + 1
    window = read_window(records, alert(own[onset], own[last]))
    first, end = onset - 5 * rate_hz, min(last + 5 * rate_hz, onset + 60 * rate_hz)
    assert seqs(window) == list(range(first, end + 1))
    assert [one.identity.seq for one in window.reports] == seqs(window)
    assert window.frames == [own[seq] for seq in range(first, end + 1)]  # bytes, times and places unchanged
    assert window.missing == {}


@settings(deadline=None, max_examples=30)
@given(
    rate_hz=st.sampled_from(RATES),
    onset=st.integers(0, 600),
    length=st.integers(0, 600),
    gaps=st.frozensets(st.integers(0, 1000), max_size=400),
    others=st.integers(0, 3),
)
def test_any_gaps_and_edges(rate_hz: int, onset: int, length: int, gaps: frozenset[int], others: int) -> None:
    gaps -= {onset, onset + length, 0}
    total = onset + length + 7 * rate_hz
    gaps -= {total - 1}
    records, own = stage(rate_hz, total, gaps, others)
    about = alert(own[onset], own[onset + length])
    window = read_window(records, about, PUBLISHED_MS + (onset + length) * 1000 // rate_hz)
    start_ns, end_ns = about.onset_capture_ns - 5 * SECOND_NS, about.last_capture_ns + 5 * SECOND_NS
    end_ns = min(end_ns, about.onset_capture_ns + 60 * SECOND_NS)
    inside = [seq for seq in range(total) if start_ns <= capture_ns(seq, rate_hz) <= end_ns]
    assert seqs(window) == [seq for seq in inside if seq not in gaps]
    assert list(window.missing) == [seq for seq in inside if seq in gaps]
    assert set(window.missing.values()) <= {MissingCause.NEVER_PUBLISHED}


def test_the_window_of_an_open_alert_has_all_frames_up_to_now() -> None:
    records, own = stage(10, 200)
    about = alert(own[80], own[84], AlertState.OPEN)
    assert window_of(about).end_ns == about.onset_capture_ns + 60 * SECOND_NS
    assert seqs(read_window(records, about)) == list(range(30, 200))


def test_other_runs_of_the_stream_are_skipped() -> None:
    records, own = stage(10, 120, others=0)
    for seq in range(40):
        records.judge(records.publish(frame(seq + 120, 10, run_id="01JE0000000000000000000000")))
    window = read_window(records, alert(own[100], own[110]))
    assert seqs(window) == list(range(50, 120))
    assert {one.stamp.identity.run_id for one in window.frames} == {RUN}


def test_causes_of_missing_frames_are_told_apart() -> None:
    records, own = stage(10, 60)
    records.topics.clear()
    own = {}
    for seq in range(200):
        made = frame(seq, 10)
        if seq == 90:  # no picture: its source's headers say who it was
            made = replace(made, content=b"no picture")
        if seq == 91:
            continue
        own[seq] = records.publish(made)
        outcome = {60: Outcome.DROPPED, 90: Outcome.REJECTED}.get(seq, Outcome.JUDGED)
        if seq != 62:  # its report is lost with the worker
            records.judge(own[seq], outcome)
    records.oldest[TOPICS.frames] = 65
    window = read_window(records, alert(own[105], own[110]))
    causes = dict(window.missing)
    assert causes.pop(60) is MissingCause.DROPPED
    assert causes.pop(90) is MissingCause.REJECTED
    assert causes.pop(91) is MissingCause.NEVER_PUBLISHED
    assert causes == dict.fromkeys([55, 56, 57, 58, 59, 61, 62, 63, 64], MissingCause.EXPIRED)


def test_all_frames_expired() -> None:
    records, own = stage(10, 200)
    records.oldest[TOPICS.frames] = len(records.topics[TOPICS.frames])
    window = read_window(records, alert(own[80], own[90]), PUBLISHED_MS + 9_000)
    assert window.frames == []
    assert list(window.missing) == list(range(30, 141)) == [one.identity.seq for one in window.reports]
    assert set(window.missing.values()) == {MissingCause.EXPIRED}


def test_a_run_that_began_within_the_window() -> None:
    records, own = stage(10, 100)
    window = read_window(records, alert(own[3], own[8]))
    assert seqs(window) == list(range(59))
    assert window.missing == {}


def test_the_number_of_missing_frames_is_bounded() -> None:
    records, own = stage(10, 50)
    leap = frame(50, 10)
    records.judge(records.publish(stamped(leap, identity=replace(leap.stamp.identity, seq=2**62))))
    assert len(read_window(records, alert(own[30], own[45])).missing) <= 10_000


def test_redelivered_frames_appear_once_and_judged_wins() -> None:
    records, own = stage(10, 100, others=0)
    for seq in (60, 61):
        records.judge(own[seq], Outcome.DROPPED)
    records.publish(frame(70, 10))
    window = read_window(records, alert(own[60], own[80]))
    assert seqs(window) == list(range(10, 100))
    assert {one.outcome for one in window.reports} == {Outcome.JUDGED}


@pytest.mark.parametrize("clock_ms", [0, -(10**11), 10**11], ids=["right", "years behind", "years ahead"])
def test_a_camera_with_a_wrong_clock(clock_ms: int) -> None:
    """Frames have the source's timestamps; the alert's timestamp locates the reports."""
    records, own = MemoryRecords(), {}
    for seq in range(200):
        made = frame(seq, 10)
        own[seq] = records.publish(stamped(made, published_ns=made.stamp.published_ns + clock_ms * 1_000_000))
        records.judge(own[seq])
        reports = records.topics[TOPICS.reports]
        reports[-1] = dataclasses.replace(reports[-1], timestamp_ms=PUBLISHED_MS + seq * 100)
    window = read_window(records, alert(own[80], own[90]), PUBLISHED_MS + 9_500)
    assert seqs(window) == [one.identity.seq for one in window.reports] == list(range(30, 141))


def test_little_more_than_the_window_is_read() -> None:
    records, own = stage(10, 6000, others=2)
    read_window(records, alert(own[3000], own[3020]), PUBLISHED_MS + 302_500)
    window = 3 * 121
    assert records.read[TOPICS.frames] <= window + 6
    assert records.read[TOPICS.reports] <= 3 * window
