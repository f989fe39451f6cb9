"""Everything goes wrong in one run, and the accounts balance: published = reports + losses, each with its cause."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from gradwatch.streams.transport.admin import ensure_topics

from ..stub_worker import START_S, WorkerProcess, write_configuration
from .audit import (
    Audit,
    add_partitions,
    assert_accounts_balance,
    committed,
    delete_below,
    end_of,
    lost,
    make_anew,
    put_poison,
    put_run,
    reported,
)
from .traffic import Load, wait

pytestmark = pytest.mark.faults

STREAMS, RATE_HZ = 2, 5.0
AHEAD_S = 1800.0


class Run:
    """The broker, the topics and the worker at work."""

    def __init__(self, cluster, names, config, pause_s):
        self.cluster, self.servers, self.names, self.pause_s = cluster, cluster.bootstrap_servers, names, pause_s
        self.config = config
        self.expected = Counter()

    def put(self, stream_id, seqs, partition, **rest):
        put_run(self.servers, self.names, stream_id, list(seqs), partition, **rest)

    def wait_for_reports(self, audit, worker, but=0):
        """Until all that is published has a report, but for so many frames."""
        audit.catch_up()

        def done():
            return len(audit.published - reported(self.servers, self.names).keys()) <= but

        wait(done, START_S, "all reports", worker)

    def wait_for_commit(self, partition, worker):
        end, group = end_of(self.servers, self.names, partition), self.names.prefix + "group"
        wait(lambda: committed(self.servers, self.names, partition, group) == end, START_S, "a commit", worker)

    def wait_for_loss(self, cause, worker):
        counted = self.expected[cause]
        wait(lambda: lost(self.servers, self.names)[cause] == counted, START_S, f"{counted} frames of {cause}", worker)


@pytest.mark.parametrize("mortal_cluster", [1], indirect=True)
def test_published_is_reported_or_counted(mortal_cluster, names, tmp_path, figures, quick):
    """A broker killed, workers killed and stopped, poison, partitions added, the topic made anew, a clock ahead."""
    ensure_topics(mortal_cluster.bootstrap_servers, names, 4)
    config = write_configuration(tmp_path, mortal_cluster.bootstrap_servers, names, session_timeout_s=6.0)
    run = Run(mortal_cluster, names, config, 3.0 if quick else 20.0)
    with Audit(run.servers, names) as audit:
        kill_and_poison(run, audit)
        lose_what_is_not_read(run, audit)
        before = set(audit.published)
    with Audit(run.servers, names) as anew:
        make_all_anew(run, anew)
    published = before | anew.published
    assert_accounts_balance(run.servers, names, published, run.expected)
    counted = {"published": len(published), "reported": len(reported(run.servers, names)), "lost": dict(run.expected)}
    figures.keep(counted)


def kill_and_poison(run, audit):
    """The broker and then the worker are killed under load; some records are no frames, some numbers are missing."""
    load = Load(run.servers, run.names, STREAMS, RATE_HZ)
    with WorkerProcess(run.config) as worker:
        run.put("holes", [*range(10), *range(15, 20)], 2)
        run.expected["seq_gap"] += 5
        put_poison(run.servers, run.names, 7, 3)
        run.put("ahead", range(20), 3, ahead_s=AHEAD_S)
        run.wait_for_loss("seq_gap", worker)
        run.wait_for_commit(2, worker)  # else the next worker, which takes over from the killed one, counts it again
        run.cluster.kill(1)
        time.sleep(run.pause_s)
        run.cluster.restart(1)
        time.sleep(run.pause_s)
        worker.kill()
    time.sleep(run.pause_s)
    with WorkerProcess(run.config) as worker:
        time.sleep(run.pause_s)
        load.stop()
        run.wait_for_reports(audit, worker)
        assert worker.stop() == 0


def lose_what_is_not_read(run, audit):
    """Records are deleted while no worker is there; then partitions are added."""
    read_to = end_of(run.servers, run.names, 0)
    run.put("gone", range(30), 0)
    kept_from = end_of(run.servers, run.names, 0) - 4
    audit.catch_up()
    delete_below(run.servers, run.names, 0, kept_from)
    run.expected["retention"] += kept_from - read_to
    with WorkerProcess(run.config) as worker:
        run.wait_for_loss("retention", worker)
        add_partitions(run.servers, run.names, 6)
        run.put("late", range(20), 5)
        run.wait_for_reports(audit, worker, but=run.expected["retention"])
        assert worker.stop() == 0


def make_all_anew(run, audit):
    """The frames topic is made anew under a worker, and the clock that was ahead is right now."""
    with WorkerProcess(run.config) as worker:
        time.sleep(run.pause_s)
        make_anew(run.servers, run.names, 6)
        run.put("ahead", range(20), 3, run="again")
        again = Load(run.servers, run.names, STREAMS, RATE_HZ)
        time.sleep(run.pause_s)
        again.stop()
        run.wait_for_reports(audit, worker)
        assert worker.stop() == 0
