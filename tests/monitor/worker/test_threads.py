"""The worker's threads and order, with a consumer, an observer and a sink that follow a script."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from gradwatch.monitor.config import WorkerSettings
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.threads import Worker
from gradwatch.streams.sinks import MemorySink
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.offsets import FinishedOffsets
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.messages import Outcome, OutcomeCause, StreamState
from gradwatch.streams.wire.records import Record

from ...builders import StubObserver, draw_observations, encoded_frame, frame_record, gray_jpeg

JPEG = gray_jpeg(0, (16, 16))
IDLE_S = 0.15
REVOKED = object()
LIMIT_S = 30.0  # after which a worker counts as hanging


class ScriptedConsumer:
    """Hands out `batches`, one a poll while not paused; keeps what was finished.

    Instead of a batch REVOKED may stand: partition 0 is taken away and given back.
    """

    assigned = frozenset({0, 1})

    def __init__(self, batches):
        self.batches = list(batches)
        self.polled, self.finished, self.calls, self.losses = [], [], [], []
        self.offsets = FinishedOffsets()
        self.paused = False

    def poll(self, timeout_s):
        self.offsets.committable()
        if self.paused or not self.batches:
            time.sleep(min(timeout_s, 0.005))
            return []
        batch = self.batches.pop(0)
        if batch is REVOKED:
            self.offsets.forget({0})
            return []
        for record in batch:
            self.offsets.arrive(record.partition, record.offset, len(record.value or b""))
        self.polled += batch
        return batch

    def finish(self, partition, offset, deliveries=()):
        self.finished.append((partition, offset))
        self.offsets.finish(partition, offset, deliveries)

    def pause(self, max_bytes=0):
        self.calls.append("pause")
        self.paused = True
        return True

    def resume(self):
        self.calls.append("resume")
        self.paused = False

    def close(self, drain_s=5.0):
        self.calls.append("close")
        self.committed = self.offsets.committable()


class DeadLetterBox:
    def __init__(self):
        self.letters = []

    def publish(self, record, error, stage):
        self.letters.append(record)
        delivery = Delivery()
        delivery.finish(0)
        return delivery


class UnsteadySink(MemorySink):
    """A broker that takes nothing for the first `failures` tries."""

    def __init__(self, failures):
        super().__init__()
        self.failures = failures

    def publish(self, report, overlay, alerts):
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailableError("no broker")
        return super().publish(report, overlay, alerts)


def records(count, stream="town", partition=0, age_s=0.0, content=JPEG):
    published_ms = round((time.time() - age_s) * 1000)
    frames = [encoded_frame(stream, seq, capture_ns=seq * 10**8, content=content) for seq in range(count)]
    return [frame_record(frame, partition, 100 + seq, published_ms) for seq, frame in enumerate(frames)]


@pytest.fixture
def make():
    """A worker over a scripted consumer."""

    def worker(batches, before=lambda seq: None, sink=None, **settings):
        settings = {"policy": "every_frame", "drain_s": 5.0} | settings
        observer = StubObserver(draw_observations(64, seed=0), before)
        pipeline = Pipeline(observer, Judge({}, "models", JudgeSettings()), sink or MemorySink(), DeadLetterBox())
        return Worker(ScriptedConsumer(batches), pipeline, WorkerSettings(**settings))

    return worker


def run(worker, until_idle_s=IDLE_S):
    """Runs the worker to its end and returns what it raised; fails where it hangs."""
    raised = []

    def target():
        try:
            worker.run(until_idle_s)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert not thread.is_alive(), "the worker hangs"
    assert worker.consumer.calls[-1] == "close"
    return raised


def observed(worker):
    """The seqs that the networks looked at."""
    return [seq for *_, seq in worker.pipeline.observer.asked]


def places(reports):
    return [(r.partition, r.offset) for r in reports]


def assert_one_report_each(worker):
    """Every record that was polled has one report and was finished once."""
    expected = sorted((r.partition, r.offset) for r in worker.consumer.polled)
    reports = worker.pipeline.sink.reports
    assert sorted(places(reports)) == expected
    assert sorted(worker.consumer.finished) == expected
    assert worker.consumer.offsets.unfinished == 0
    assert worker.reports == len(reports)
    assert not worker._records  # the originals are let go


def test_every_frame_judges_all_in_order(make):
    sent = records(40)
    worker = make([sent[:1], sent[1:15], [], sent[15:]])
    assert run(worker) == []
    assert_one_report_each(worker)
    reports = worker.pipeline.sink.reports
    assert [r.identity.seq for r in reports] == list(range(40))
    assert {r.outcome for r in reports} == {Outcome.JUDGED}
    assert {"decode", "observe", "judge", "age"} <= set(reports[0].latency_ms)
    assert worker.consumer.committed == {0: 140}


def test_order_holds_with_several_decoding_threads(make):
    worker = make([records(60)], decode_threads=4)
    assert run(worker) == []
    assert [r.identity.seq for r in worker.pipeline.sink.reports] == list(range(60))


def test_bad_records_among_good_ones(make):
    good, cut = records(10), records(10, content=JPEG[:40])
    alien = Record("frames", 0, 105, 0, None, b"no picture")
    batch = [*good[:3], cut[3], *good[4:5], alien, *good[6:]]
    worker = make([batch])
    assert run(worker) == []
    assert_one_report_each(worker)
    outcomes = {r.offset: (r.outcome, r.cause) for r in worker.pipeline.sink.reports}
    assert outcomes[103] == outcomes[105] == (Outcome.REJECTED, OutcomeCause.UNDECODABLE)
    assert Counter(outcome for outcome, _ in outcomes.values())[Outcome.JUDGED] == 8
    assert sorted(r.offset for r in worker.pipeline.dead_letters.letters) == [103, 105]
    assert cut[3] in worker.pipeline.dead_letters.letters  # the very record, bytes and headers


def test_live_overload_reports_every_frame(make):
    """Two streams, ten times faster than the observer: the newest are judged, the others say why not."""
    town, gate = records(60), records(60, "gate", partition=1)
    batches = [[*town[i : i + 4], *gate[i : i + 4]] for i in range(0, 60, 4)]
    worker = make(batches, before=lambda seq: time.sleep(0.02), policy="live", max_frame_age_s=60.0)
    assert run(worker) == []
    assert_one_report_each(worker)
    reports = worker.pipeline.sink.reports
    assert len(reports) == 120
    causes = Counter(r.cause for r in reports)
    assert set(causes) == {None, OutcomeCause.SUPERSEDED}
    assert causes[OutcomeCause.SUPERSEDED] > causes[None] > 0
    judged = [r.identity for r in reports if r.outcome == Outcome.JUDGED]
    for stream in ("town", "gate"):
        seqs = [i.seq for i in judged if i.stream_id == stream]
        assert seqs == sorted(seqs)
        assert seqs[-2:] == [58, 59]  # the newest win
    by_stream = Counter(i.stream_id for i in judged)
    assert abs(by_stream["town"] - by_stream["gate"]) <= 2  # served in turn
    assert len(observed(worker)) == len(judged)  # what is dropped is not looked at


def test_live_drops_what_is_too_old(make):
    old, new = records(5, age_s=30.0), records(8)[5:]
    worker = make([old[:2], old[2:], [], new], policy="live", max_frame_age_s=20.0, max_pending_frames=100)
    assert run(worker) == []
    assert_one_report_each(worker)
    outcomes = {r.identity.seq: r.cause for r in worker.pipeline.sink.reports}
    assert outcomes == dict.fromkeys(range(5), OutcomeCause.STALE) | dict.fromkeys(range(5, 8))


def test_holds_the_consumer_back_and_lets_go(make):
    sent = records(40)
    worker = make([sent[i : i + 4] for i in range(0, 40, 4)], lambda seq: time.sleep(0.003), max_pending_bytes=1)
    assert run(worker) == []
    assert_one_report_each(worker)
    assert worker.consumer.calls.count("pause") > 1
    assert worker.consumer.calls.count("pause") == worker.consumer.calls.count("resume")
    assert "judged" in {str(r.outcome) for r in worker.pipeline.sink.reports}


def test_nothing_is_consumed_while_an_output_that_must_not_be_lost_is_blocked(make):
    worker, asked = make([[record] for record in records(3)]), []
    worker.blocked = lambda: asked.append(len(worker.consumer.polled)) or ("topic alerts" if len(asked) < 20 else "")
    assert run(worker) == []
    assert asked[:20] == [1] * 20
    assert (worker.consumer.calls[:2], worker.reports) == (["pause", "resume"], 3)


def test_stop_finishes_what_was_begun_and_leaves_the_rest(make):
    def stop_at_ten(seq):
        while len(worker.admission) < 49 - seq - worker.settings.decode_threads:
            time.sleep(0.001)  # until all are admitted
        if seq == 10:
            worker.stop()

    worker = make([records(50)], stop_at_ten)
    assert run(worker, until_idle_s=None) == []
    reports = worker.pipeline.sink.reports
    assert places(reports) == worker.consumer.finished
    count = len(reports)
    assert [r.identity.seq for r in reports] == list(range(count))
    assert count == 11 + worker.settings.decode_threads  # those being decoded are finished too
    assert observed(worker) == list(range(count))  # nothing observed is thrown away
    assert worker.consumer.committed == {0: 100 + count}
    assert worker.consumer.offsets.unfinished == 50 - count


def test_stop_before_anything_came(make):
    worker = make([])
    worker.stop()
    assert run(worker, until_idle_s=None) == []
    assert worker.consumer.finished == []


def test_a_frame_that_can_not_be_judged_fails_alone(make):
    town, gate = records(60), records(60, "gate", partition=1)
    worker = make([[frame for pair in zip(town, gate, strict=True) for frame in pair]])
    judge = worker.pipeline.judge_frame

    def failing(stamp, observation, state):
        if (stamp.identity.stream_id, stamp.identity.seq) == ("town", 5):
            raise ZeroDivisionError("judge")
        return judge(stamp, observation, state)

    failing.watch = judge.watch
    worker.pipeline.judge_frame = failing
    assert run(worker) == []
    assert_one_report_each(worker)
    outcomes = {stream: Counter() for stream in ("town", "gate")}
    for report in worker.pipeline.sink.reports:
        outcomes[report.identity.stream_id][report.outcome, report.cause] += 1
    assert outcomes["gate"] == {(Outcome.JUDGED, None): 60}
    failed, waited = (Outcome.FAILED, OutcomeCause.JUDGING_ERROR), (Outcome.FAILED, OutcomeCause.BACK_OFF)
    assert outcomes["town"] == {(Outcome.JUDGED, None): 58, failed: 1, waited: 1}


def test_a_picture_that_the_networks_fail_on_is_found_in_its_batch(make):
    def failing(seq):
        if seq == 5:
            raise ValueError("network")

    worker = make([records(60)], failing, max_batch=8, max_wait_s=0.2)
    assert run(worker) == []
    assert_one_report_each(worker)
    causes = {r.identity.seq: r.cause for r in worker.pipeline.sink.reports if r.outcome is Outcome.FAILED}
    assert causes.pop(5) is OutcomeCause.JUDGING_ERROR
    assert list(causes.values()) == [OutcomeCause.BACK_OFF]


def test_networks_that_fail_on_any_picture_stop_the_worker(make):
    def failing(seq):
        if seq >= 5 or len(worker.pipeline.observer.asked) >= 5:
            raise ValueError("device lost")

    worker = make([records(60)], failing, max_batch=1)
    (error,) = run(worker, until_idle_s=None)
    assert str(error) == "device lost"
    assert worker.consumer.committed == {0: 105}  # the frame that failed will be read again


def test_an_observer_that_fails_stops_the_worker_with_its_error(make):
    def failing(seq):
        if seq == 5:
            raise MemoryError("network")

    worker = make([records(60)], failing)
    (error,) = run(worker, until_idle_s=None)
    assert isinstance(error, MemoryError)
    assert worker.consumer.finished == [(0, 100 + seq) for seq in range(5)]


def test_a_consumer_that_fails_stops_the_worker_with_its_error(make):
    worker = make([records(5)])
    poll = worker.consumer.poll

    def failing(timeout_s):
        if not worker.consumer.batches:
            raise ConnectionError("group")
        return poll(timeout_s)

    worker.consumer.poll = failing
    (error,) = run(worker, until_idle_s=None)
    assert isinstance(error, ConnectionError)
    assert worker.consumer.finished == [(0, 100 + seq) for seq in range(len(worker.consumer.finished))]


@pytest.mark.parametrize("policy", ["every_frame", "live"])
def test_a_broker_that_is_away_for_a_while_loses_nothing(make, policy):
    sent = records(20)
    sink = UnsteadySink(failures=7)
    worker = make([sent[:8], sent[8:]], sink=sink, policy=policy, max_frame_age_s=60.0)
    assert run(worker) == []
    assert sink.failures == 0
    assert_one_report_each(worker)
    judged = [r.identity.seq for r in sink.reports if r.outcome == Outcome.JUDGED]
    assert judged == observed(worker)  # judged once each, however often they were published
    assert worker.pipeline.states["town"].next_seq == 20
    assert len(worker.pipeline.states["town"].clean) == len(judged)


def test_a_broker_that_stays_away_does_not_keep_a_stopping_worker(make):
    sink = UnsteadySink(failures=10**9)
    worker = make([records(20)], sink=sink)
    take = sink.publish

    def stop_at_first(*results):
        worker.stop()
        return take(*results)

    sink.publish = stop_at_first
    (error,) = run(worker, until_idle_s=None)
    assert isinstance(error, BrokerUnavailableError)
    assert worker.consumer.finished == []  # so all will be read again


def test_a_redelivered_frame_is_finished_again(make):
    """After a rebalance the same offsets may come again; each coming is finished, the second time as well."""
    sent = [*records(4), records(5, content=JPEG[:40])[4]]
    worker = make([sent, REVOKED, sent])
    assert run(worker) == []
    assert worker.consumer.offsets.unfinished == 0
    assert set(places(worker.pipeline.sink.reports)) == {(0, 100 + seq) for seq in range(5)}
    assert worker.consumer.committed == {0: 105}
    assert not worker._records


def test_is_ready_once_it_has_partitions_and_only_then_idle(make):
    worker = make([[], [], records(1)])
    worker.consumer.assigned = frozenset()
    ready = []

    def assign():
        ready.append("not yet")
        worker.consumer.assigned = frozenset({0})

    timer = threading.Timer(3 * IDLE_S, assign)
    timer.start()
    worker.run(IDLE_S, on_ready=lambda: ready.append("ready"))
    timer.join()
    assert ready == ["not yet", "ready"]
    assert_one_report_each(worker)


def test_reports_say_where_the_stream_stands(make):
    worker = make([records(3)])
    assert run(worker) == []
    assert {r.state for r in worker.pipeline.sink.reports} == {StreamState.CALIBRATING}
