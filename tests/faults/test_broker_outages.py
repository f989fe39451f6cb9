"""Brokers that die, flap and fall silent under load: nothing that was accepted is lost, and memory stays bounded."""

from __future__ import annotations

import os
import time
from collections import Counter
from itertools import pairwise

import pytest

from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.wire.messages import Outcome

from ..stub_worker import START_S, WorkerProcess, write_configuration
from .traffic import (
    Load,
    Memory,
    Outputs,
    assert_repeats_are_equal,
    frames_in,
    make_calibration,
    wait,
)

pytestmark = pytest.mark.faults

STREAMS, RATE_HZ = 2, 5.0
CAMERA = (640, 360)  # about 170 kB a frame: a dead broker fills the source's budget
RECOVERY_S = 10.0
SOURCE_MIB, WORKER_MIB = 160, 260  # budgets of producer and queues (64 + 2 x 8; 64 + 128 fetched) and room to work


@pytest.fixture
def outputs(mortal_cluster, names):
    ensure_topics(mortal_cluster.bootstrap_servers, names, 4)
    with Outputs(mortal_cluster.bootstrap_servers, names) as reading:
        yield reading


@pytest.fixture
def calibrations(tmp_path):
    return {number: make_calibration(tmp_path, number, RATE_HZ) for number in range(STREAMS)}


def recovery_s(outputs, since_s):
    """Seconds from `since_s` to the next new report."""
    wait(lambda: outputs.new_since(since_s) is not None, START_S, "a new report")
    return outputs.new_since(since_s) - since_s


def settle(cluster, names, outputs, load, worker):
    """Ends the load and checks that every frame in the log was reported, once and with equal words."""
    summaries = load.stop()
    kept = frames_in(cluster.bootstrap_servers, names)
    wait(lambda: kept <= set(outputs.reports), START_S, f"reports of all {len(kept)} frames", worker)
    assert worker.running, f"the worker ended by itself:\n{worker.said()}"
    assert worker.stop() == 0
    time.sleep(0.5)
    assert set(outputs.reports) == kept
    assert_repeats_are_equal(outputs)
    accepted = sum(summary.published for summary in summaries)
    dropped = Counter()
    for summary in summaries:
        dropped.update(summary.dropped)
        assert summary.frames == summary.published + sum(summary.dropped.values())
    assert len(kept) >= accepted  # more: written, but the answer was lost with the broker
    assert set(dropped) <= {"broker_unavailable"}
    return {"frames": sum(s.frames for s in summaries), "accepted": accepted, "dropped": dict(dropped)}


@pytest.mark.parametrize("mortal_cluster", [1], indirect=True)
def test_a_dead_broker_and_then_a_flapping_one(mortal_cluster, names, outputs, calibrations, tmp_path, figures, quick):
    dead_s, flaps = (15.0, 2) if quick else (60.0, 10)
    servers = mortal_cluster.bootstrap_servers
    config = write_configuration(tmp_path, servers, names, calibrations)
    took_s = []
    with WorkerProcess(config) as worker:
        load = Load(servers, names, STREAMS, RATE_HZ, CAMERA)
        wait(lambda: bool(outputs.came_s), START_S, "a first report", worker)
        with Memory(worker=worker.process.pid, source=os.getpid()) as memory:
            for down_s, up_s in [(dead_s, 5.0), *[(5.0, 5.0)] * flaps]:
                mortal_cluster.kill(1)
                time.sleep(down_s)
                mortal_cluster.restart(1)
                up_at_s = time.monotonic()
                took_s.append(recovery_s(outputs, up_at_s))
                time.sleep(max(0.0, up_at_s + up_s - time.monotonic()))
            kept = settle(mortal_cluster, names, outputs, load, worker)
    grown = memory.grown_mib()
    assert grown["source_grown_mib"] < SOURCE_MIB
    assert grown["worker_grown_mib"] < WORKER_MIB
    figures.keep(kept | grown | {"dead_s": dead_s, "flaps": flaps, "recovery_longest_s": round(max(took_s), 2)})
    assert max(took_s) <= RECOVERY_S, took_s


@pytest.mark.parametrize("mortal_cluster", [3], indirect=True)
def test_the_leader_of_three_dies(mortal_cluster, names, outputs, calibrations, tmp_path, figures, quick):
    deaths = 1 if quick else 3
    servers = mortal_cluster.bootstrap_servers
    config = write_configuration(tmp_path, servers, names, calibrations)
    took_s = []
    with WorkerProcess(config) as worker:
        load = Load(servers, names, STREAMS, RATE_HZ, CAMERA)
        wait(lambda: bool(outputs.came_s), START_S, "a first report", worker)
        with Memory(worker=worker.process.pid, source=os.getpid()) as memory:
            for _ in range(deaths):
                leader = mortal_cluster.leader(names.frames, partition=0)
                mortal_cluster.kill(leader)
                killed_s = time.monotonic()
                wait(lambda since_s=killed_s: gap_over(outputs, since_s), START_S, "reports of both streams")
                took_s.append(longest_gap_s(outputs, killed_s))
                mortal_cluster.restart(leader)
                time.sleep(10.0)  # until it is in sync again: of three only one may be away
            kept = settle(mortal_cluster, names, outputs, load, worker)
    figures.keep(kept | memory.grown_mib() | {"deaths": deaths, "longest_gap_s": round(max(took_s), 2)})
    assert kept["dropped"] == {}
    assert max(took_s) <= RECOVERY_S, took_s


def gap_over(outputs, since_s):
    """Whether reports come at the pace of the load again, for two seconds."""
    return sum(came_s > time.monotonic() - 2.0 for came_s in list(outputs.came_s)) >= 1.5 * STREAMS * RATE_HZ and (
        time.monotonic() - since_s > 5.0
    )


def longest_gap_s(outputs, since_s):
    came_s = [since_s, *(at for at in list(outputs.came_s) if at > since_s)]
    return max(after - before for before, after in pairwise(came_s))


@pytest.mark.parametrize("mortal_cluster", [1], indirect=True)
def test_a_sink_and_a_model_that_are_slow(mortal_cluster, names, outputs, calibrations, tmp_path, figures, quick):
    """The broker falls silent for two seconds in every three, and observing takes longer than the frames are apart."""
    rounds = 5 if quick else 20
    node, servers = mortal_cluster.nodes[1], mortal_cluster.bootstrap_servers
    config = write_configuration(tmp_path, servers, names, calibrations, policy="live")
    with WorkerProcess(config, sleep_s=0.3) as worker:
        load = Load(servers, names, STREAMS, RATE_HZ, CAMERA)
        wait(lambda: bool(outputs.came_s), START_S, "a first report", worker)
        with Memory(worker=worker.process.pid, source=os.getpid()) as memory:
            for _ in range(rounds):
                node.stop_answering()
                time.sleep(2.0)
                node.go_on()
                time.sleep(1.0)
            kept = settle(mortal_cluster, names, outputs, load, worker)
    reports = [known[0] for known in outputs.reports.values()]
    outcomes = Counter(f"{report.outcome}{':' + report.cause if report.cause else ''}" for report in reports)
    assert outcomes["judged"] > 0
    assert set(outcomes) <= {"judged", "dropped:superseded", "dropped:stale"}
    assert sum(report.outcome is Outcome.DROPPED for report in reports) > 0
    grown = memory.grown_mib()
    assert grown["source_grown_mib"] < SOURCE_MIB
    assert grown["worker_grown_mib"] < WORKER_MIB
    figures.keep(kept | grown | {"silences": rounds, "outcomes": dict(outcomes)})
