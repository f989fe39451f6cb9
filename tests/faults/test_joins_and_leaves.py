"""A second worker that comes and goes: its frames change hands, and nobody can tell from what is said."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from ..stub_worker import START_S, WorkerProcess, write_configuration
from .test_worker_kills import judge_undisturbed
from .traffic import (
    Load,
    Outputs,
    assert_repeats_are_equal,
    assert_same,
    make_calibration,
    places,
    wait,
)

STREAMS, RATE_HZ = 4, 5.0
STAYS_S = 1.0
QUICK, LONG = 3, 20


def come_and_go(config, folder, times):
    for time_number in range(times):
        ready = folder / f"ready{time_number}"
        with WorkerProcess(config, "--ready-file", ready) as second:
            second.wait_for(ready)
            time.sleep(STAYS_S)
            assert second.stop() == 0, second.said()
        time.sleep(STAYS_S)


def run_joins(cluster, topics, folder, times, compare):
    """Figures of one run, once all of it has been checked; `compare` it with an undisturbed one too."""
    servers = cluster.bootstrap_servers
    calibrations = {number: make_calibration(folder, number, RATE_HZ) for number in range(STREAMS)}
    first, second = (
        write_configuration(folder, servers, topics, calibrations, instance_id=name) for name in ("one", "two")
    )
    with Outputs(servers, topics) as outputs, WorkerProcess(first) as worker:
        load = Load(servers, topics, STREAMS, RATE_HZ)
        wait(lambda: bool(outputs.came_s), START_S, "a first report", worker)
        come_and_go(second, folder, times)
        published = places(load.stop())
        wait(lambda: len(outputs.reports) >= len(published), START_S, "all reports", worker)
        assert worker.stop() == 0
        time.sleep(0.5)
    assert set(outputs.reports) == published
    assert_repeats_are_equal(outputs)
    if compare:
        assert_same(outputs, judge_undisturbed(cluster, topics, calibrations, folder, len(published)))
    gaps_s = [after - before for before, after in pairwise(outputs.came_s)]
    return {
        "joins": times,
        "frames": len(published),
        "reports_repeated": outputs.repeated(),
        "alert_revisions": len(outputs.alerts),
        "longest_gap_s": round(max(gaps_s), 2),
    }


def test_a_few_joins_and_leaves(cluster, topics, tmp_path):
    run_joins(cluster, topics, tmp_path, QUICK, compare=False)


@pytest.mark.faults
def test_many_joins_and_leaves(cluster, topics, tmp_path, figures, quick):
    figures.keep(run_joins(cluster, topics, tmp_path, QUICK if quick else LONG, compare=True))
