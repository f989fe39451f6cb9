"""`kill -9` of the worker at random points: every frame is reported, and nothing is said that would not have been."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.recordings.video import video
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.topics import Topics

from ..places import MOTORWAY
from ..stub_worker import START_S, WorkerProcess, write_configuration
from .traffic import (
    Load,
    Outputs,
    assert_repeats_are_equal,
    assert_same,
    make_calibration,
    places,
    wait,
)

STREAMS = 4
RECOVERY_S = 10.0
ECHO_S = 0.3  # reports of the killed worker may still come so long; no Python starts so fast
QUICK, SHORT, LONG = 3, 20, 100
FRAMES_A_KILL = 80  # more than the networks can look at between two kills


def kill_at_random(kills, config, outputs, randomness, real=False):
    """Seconds from each kill to the first new report; the last worker is left running."""
    worker, took_s = WorkerProcess(config, real=real), []
    wait(lambda: bool(outputs.came_s), START_S, "a first report", worker)
    try:
        for _ in range(kills):
            time.sleep(randomness.uniform(0.0, 2.0))
            worker.kill()
            killed_s = time.monotonic()
            worker = WorkerProcess(config, real=real)
            wait(lambda since=killed_s: outputs.new_since(since + ECHO_S) is not None, START_S, "a new report", worker)
            took_s.append(outputs.new_since(killed_s + ECHO_S) - killed_s)
    except BaseException:
        worker.kill()
        raise
    return worker, took_s


def judge_undisturbed(cluster, topics, calibrations, folder, expected, real=False):
    """What a worker says of the same frames that nobody kills, under another prefix."""
    reference = Topics(f"u{topics.prefix}", topics.frames)
    ensure_topics(cluster.bootstrap_servers, reference)
    config = write_configuration(folder, cluster.bootstrap_servers, reference, calibrations)
    with Outputs(cluster.bootstrap_servers, reference) as outputs, WorkerProcess(config, real=real) as worker:
        wait(lambda: len(outputs.reports) >= expected, 120 + expected, "all reports", worker)
        assert worker.stop() == 0
        time.sleep(0.5)
    delete_topics(cluster.bootstrap_servers, set(reference.settings()) - {topics.frames})
    return outputs


def run_kills(cluster, topics, folder, kills, rate_hz, calibrated, seed=0):
    """Figures of one run, once all of it has been checked."""
    calibrations = {number: make_calibration(folder, number, rate_hz) for number in range(calibrated)}
    servers = cluster.bootstrap_servers
    config = write_configuration(folder, servers, topics, calibrations, instance_id="one")
    with Outputs(servers, topics) as outputs:
        load = Load(servers, topics, STREAMS, rate_hz)
        worker, took_s = kill_at_random(kills, config, outputs, random.Random(seed))
        with worker:
            published = places(load.stop())
            wait(lambda: len(outputs.reports) >= len(published), 300, "all reports", worker)
            assert worker.stop() == 0
            time.sleep(0.5)
    reference = judge_undisturbed(cluster, topics, calibrations, folder, len(published))
    assert set(outputs.reports) == published
    assert_repeats_are_equal(outputs)
    assert_same(outputs, reference)
    return {
        "seed": seed,
        "kills": kills,
        "frames": len(published),
        "reports_repeated": outputs.repeated(),
        "alert_revisions": len(reference.alerts),
        "recovery_median_s": round(float(np.median(took_s)), 2),
        "recovery_p99_s": round(float(np.percentile(took_s, 99)), 2),
        "recovery_longest_s": [round(seconds, 2) for seconds in sorted(took_s)[-5:]],
    }


def test_a_few_kills(cluster, topics, tmp_path):
    figures = run_kills(cluster, topics, tmp_path, QUICK, rate_hz=10.0, calibrated=STREAMS)
    assert figures["alert_revisions"] >= STREAMS  # else nothing was at stake


@pytest.mark.faults
def test_many_kills(cluster, topics, tmp_path, figures, quick):
    kills = SHORT if quick else LONG
    kept = run_kills(cluster, topics, tmp_path, kills, rate_hz=5.0, calibrated=STREAMS // 2, seed=1)
    figures.keep(kept)
    assert kept["recovery_p99_s"] <= RECOVERY_S, kept


@pytest.mark.faults
def test_kills_of_the_real_networks(cluster, topics, tmp_path, figures, quick):
    """The networks look at a real recording; the stream calibrates on its own start, over the first kills."""
    kills = QUICK if quick else SHORT
    servers = cluster.bootstrap_servers
    config = write_configuration(tmp_path, servers, topics, {}, instance_id="one")
    with Outputs(servers, topics) as outputs, BoundedProducer(servers) as producer:
        source = video(MOTORWAY, Playback(rate_hz=5.0, to_and_fro=True, frames=FRAMES_A_KILL * kills))
        published = places([publish(source, producer, topics, "motorway", pace=False)])
        worker, took_s = kill_at_random(kills, config, outputs, random.Random(2), real=True)
        with worker:
            wait(lambda: len(outputs.reports) >= len(published), 1200, "all reports", worker)
            assert worker.stop() == 0
            time.sleep(0.5)
    reference = judge_undisturbed(cluster, topics, {}, tmp_path, len(published), real=True)
    assert set(outputs.reports) == published
    assert_repeats_are_equal(outputs)
    assert_same(outputs, reference)
    assert np.percentile(took_s, 99) <= RECOVERY_S, sorted(took_s)
    figures.keep(
        {
            "kills": kills,
            "frames": len(published),
            "reports_repeated": outputs.repeated(),
            "recovery_median_s": round(float(np.median(took_s)), 2),
            "recovery_p99_s": round(float(np.percentile(took_s, 99)), 2),
        }
    )
