"""Of two sources under one stream id the newest run is judged, and stays it."""

from __future__ import annotations

import pytest

from gradwatch.monitor.judging.runs import KEPT_RUNS, WINS_AFTER_FRAMES, Runs, begun, is_older, rejected

from ...builders import SECOND_NS, frame_stamp

OLD, NEW = "01JD0000000000000000000000", "01JD0000010000000000000000"


def play(*frames, current="", runs=None):
    """Which run is judged after each (run, second) and whether its frame was."""
    runs, seen = runs or Runs(), []
    for run_id, second in frames:
        is_rejected = is_older(runs, current, run_id)
        if is_rejected:
            runs = rejected(runs, frame_stamp("town", 0, run_id, published_ns=int(second * SECOND_NS)))
        elif run_id != current:
            runs, current = begun(runs, current, run_id), run_id
        else:
            runs = Runs(runs.replaced)
        seen.append((current, not is_rejected))
    return seen


@pytest.mark.parametrize(("first", "second"), [(OLD, NEW), ("b", "a"), ("a", OLD), (NEW, "a")])
def test_what_starts_later_wins_and_frames_of_the_other_are_rejected(first, second):
    seen = play(*[(first, 0)] * 3, *[(second, 1), (first, 1)] * 100)
    assert seen[:3] == [(first, True)] * 3
    assert seen[3:] == [(second, True), (second, False)] * 100


def test_the_time_in_the_ulid_counts_in_whatever_order_frames_arrive():
    assert play((NEW, 0), (OLD, 0), (NEW, 1)) == [(NEW, True), (NEW, False), (NEW, True)]
    twins = ["01JD000000ZZZZZZZZZZZZZZZZ", "01JD0000000000000000000000"]  # of the same ms: the order of arrival counts
    assert play(*((run, 0) for run in twins)) == [(run, True) for run in twins]


def test_a_late_frame_does_not_win_an_old_run_back():
    many = [f"run{number}" for number in range(KEPT_RUNS)]
    seen = play(*((run, 0) for run in many), *((run, 1) for run in many))
    assert [judged for _, judged in seen] == [True] * KEPT_RUNS + [False] * (KEPT_RUNS - 1) + [True]


def test_an_older_run_that_alone_goes_on_is_judged_again():
    alone = [(OLD, 1 + second) for second in range(WINS_AFTER_FRAMES + 2)]
    seen = play((NEW, 0), *alone)
    assert seen[WINS_AFTER_FRAMES] == (NEW, False)
    assert seen[-1] == (OLD, True)
    mixed = play((NEW, 0), *alone[:-5], (NEW, 40), *alone[-5:])
    assert mixed[-1] == (NEW, False)
    at_once = play((NEW, 0), *[(OLD, second / 100) for _, second in alone])
    assert at_once[-1] == (NEW, False)


def test_a_stream_without_a_run_takes_any():
    assert not is_older(Runs(), "", OLD)
