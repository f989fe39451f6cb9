"""Bad records of every sort among good ones, through a real worker on every broker: all accounted for.

The networks are stubbed; broker, producers, decoding and judge are real, and the worker has its own process.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from gradwatch.streams.dead_letters import Letter, read_letter
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.history import TopicHistory
from gradwatch.streams.transport.producer import BoundedProducer, RecordTooLargeError
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import FrameReport, Outcome
from gradwatch.streams.wire.outputs import decode_report
from gradwatch.streams.wire.records import Headers, Record
from gradwatch.streams.wire.topics import MAX_RECORD_BYTES, Topics

from ..brokers import temporary_topics
from ..builders import encoded_frame
from ..streams.wire import bad_records
from ..streams.wire.bad_records import BAD, JPEG
from ..stub_worker import WorkerProcess, write_configuration

GOOD_STREAMS = ("north", "south", "west")
GROWTH_MB = 20.0
REST_S = 0.5  # after a burst, for what is under way
PENDING_BYTES = 8 << 20  # small: what may wait for a worker that a busy machine slows is no growth with the records
CALIBRATED = 400  # frames after which a stream has calibrated on its own start
START_S = 120.0  # for a worker, and for what was sent, on a machine that is busy with other things
SILENCE_S = 60.0  # without a new report, after which the worker counts as stuck

PARTITIONS = 3


@pytest.fixture
def topics(every_broker: str) -> Iterator[Topics]:
    with temporary_topics(every_broker, PARTITIONS) as topics:
        yield topics


class Load:
    """Publishes good and bad records and knows what must become of each."""

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self.sent = 0
        self.bad: dict[tuple[int, int], tuple[str, Any]] = {}  # name and record, by partition and offset
        self.judged: Counter[str] = Counter()
        self._producer, self._topic = producer, topics.frames
        self._sorts = itertools.cycle(BAD.items())

    def publish(self, bad: int, good: int) -> None:
        """`bad` records of all sorts in turn, `good` ones of each good stream's next seqs spread evenly among them."""
        started = []
        for i in range(bad + good):
            if (i + 1) * good // (bad + good) > i * good // (bad + good):
                self._good(GOOD_STREAMS[i % len(GOOD_STREAMS)])
            else:
                name, wire = next(self._sorts)
                headers = [(key, value or b"") for key, value in wire.headers]
                partition = i % PARTITIONS
                sent = self._producer.send(self._topic, wire.key, wire.value or _empty(wire), headers, partition)
                started.append((partition, sent, name, wire))
            self.sent += 1
        assert self._producer.flush(START_S)
        for partition, delivery, name, wire in started:
            assert delivery.exception is None
            self.bad[partition, delivery.offset] = name, wire

    def _good(self, stream: str) -> None:
        wire = encode_frame(encoded_frame(stream, self.judged[stream], content=JPEG))
        self._producer.send(self._topic, *wire, partition=GOOD_STREAMS.index(stream))
        self.judged[stream] += 1


def _empty(wire: Any) -> bytes | None:
    """The client sends a null value only beside a key."""
    return None if wire.value is None and wire.key is not None else b""


@contextmanager
def running_worker(broker: str, topics: Topics, folder: Path) -> Iterator[WorkerProcess]:
    """`gradwatch work` with the stub observer; must leave by itself when asked."""
    config = write_configuration(folder, broker, topics, session_timeout_s=6.0, max_pending_bytes=PENDING_BYTES)
    ready = folder / "ready"
    with WorkerProcess(config, "--ready-file", ready) as worker:
        worker.wait_for(ready)
        yield worker
        assert worker.stop() == 0, worker.said()


def rss_mb(worker: WorkerProcess) -> float:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def everything_on(broker: str, topic: str) -> list[Record]:
    with TopicHistory(broker, topic) as history:
        return list(history.oldest_first())


class Reports:
    """Reads the reports as they come: the first of each record, since they are delivered at least once."""

    def __init__(self, broker: str, topics: Topics, worker: WorkerProcess) -> None:
        self.by_place: dict[tuple[int, int], FrameReport] = {}
        self.repeated = 0
        self._reader, self._worker = TopicReader(broker, [topics.reports]), worker

    def wait_for(self, count: int) -> list[FrameReport]:
        """All reports once `count` records have one; fails where no new one comes, or one contradicts an earlier."""
        heard_s = time.monotonic()
        while len(self.by_place) < count:
            records = self._reader.poll(0.2)
            for report in (decode_report(record.value or b"") for record in records):
                first = self.by_place.setdefault((report.partition, report.offset), report)
                assert (first.identity, first.outcome, first.cause) == (report.identity, report.outcome, report.cause)
                self.repeated += first is not report
            heard_s = time.monotonic() if records else heard_s
            assert self._worker.running, f"the worker has ended:\n{self._worker.said()}"
            assert time.monotonic() - heard_s < SILENCE_S, (
                f"expected {count} reports, got {len(self.by_place)} and no more"
            )
        return list(self.by_place.values())


def check_accounts(load: Load, reports: list[FrameReport], letters: list[Letter]) -> None:
    """Every record has one report, every bad one its letter with bytes and headers, every good one is judged."""
    assert len(reports) == load.sent
    rejected = {(r.partition, r.offset): r.cause for r in reports if r.outcome is Outcome.REJECTED}
    assert rejected.keys() == load.bad.keys()
    assert sorted((letter.record.partition, letter.record.offset) for letter in letters) == sorted(load.bad)
    for letter in letters:
        place = letter.record.partition, letter.record.offset
        name, wire = load.bad[place]
        assert rejected[place] == letter.cause == wire.cause, name
        assert (letter.record.key, letter.record.value or b"") == (wire.key, wire.value or b""), name
        assert letter.record.headers == tuple((key, value or b"") for key, value in wire.headers), name
    for stream in GOOD_STREAMS:
        seqs = [r.identity.seq for r in reports if r.outcome is Outcome.JUDGED and r.identity.stream_id == stream]
        assert seqs == list(range(load.judged[stream])), f"{stream} was interrupted"


def run(broker: str, topics: Topics, folder: Path, bad: int, good: int, warm_up: int) -> dict[str, float]:
    """What was seen, by name.

    Warm-up, then the load in two halves of equal bursts; RSS is read before, half-way and after.

    The warm-up is `warm_up` good frames with every sort three times, then as many bursts as a half has: what waits in a
    burst fills buffers up to their bounds, and the allocator keeps what they took. Growth with the *number* of records
    is the bar, so what counts of each part is the least memory at rest after a burst (the largest is shown beside it).
    """
    bursts = max(1, bad // 2500)  # in each half
    burst = bad // 2 // bursts, good // 2 // bursts
    with BoundedProducer(broker) as producer, running_worker(broker, topics, folder) as worker:
        load, reports = Load(producer, topics), Reports(broker, topics, worker)
        rss = [[rss_mb(worker)]]
        for sizes in ([(3 * len(BAD), warm_up), *[burst] * bursts], [burst] * bursts, [burst] * bursts):
            started_s = time.monotonic()
            rss.append([])
            for size in sizes:
                load.publish(*size)
                reports.wait_for(load.sent)
                time.sleep(REST_S)
                rss[-1].append(rss_mb(worker))
        took_s = time.monotonic() - started_s - bursts * REST_S
    letters = map(read_letter, everything_on(broker, topics.dlq))
    put_aside = {(letter.record.partition, letter.record.offset): letter for letter in letters}
    check_accounts(load, reports.wait_for(load.sent), list(put_aside.values()))
    at_rest = [min(part[-bursts:]) for part in rss]
    seen = {"bad records": bad, "of sorts": len(BAD), "among good ones": good, "repeated reports": reports.repeated}
    seen["second half, s"] = round(took_s, 1)
    moments = ("idle", "warm-up", "first half", "second half")
    seen |= {f"RSS at rest, {moment}, MB": round(least, 1) for moment, least in zip(moments, at_rest, strict=True)}
    seen["RSS largest, MB"] = round(max(map(max, rss)), 1)
    print(f"\n{seen}")
    assert at_rest[3] <= at_rest[1] + GROWTH_MB
    return seen


def test_bad_records_are_put_aside_and_good_streams_go_on(every_broker: str, topics: Topics, tmp_path: Path) -> None:
    run(every_broker, topics, tmp_path, bad=300, good=100, warm_up=60)


@pytest.mark.faults
def test_ten_thousand_bad_records_leave_no_trace_in_memory(
    cluster: Any, names: Topics, tmp_path: Path, figures: Any
) -> None:
    ensure_topics(cluster.bootstrap_servers, names, PARTITIONS)
    # The streams calibrate in the warm-up: that takes memory, whatever the records are.
    warm_up = len(GOOD_STREAMS) * CALIBRATED
    figures.keep(run(cluster.bootstrap_servers, names, tmp_path, bad=10_000, good=3_000, warm_up=warm_up))
    delete_topics(cluster.bootstrap_servers, names.settings())


def test_a_record_above_8_mib_is_refused_at_the_source_or_put_aside(
    every_broker: str, topics: Topics, tmp_path: Path
) -> None:
    """Our producer refuses it, Apache Kafka too; where neither does, the worker puts it aside without its value."""
    value = JPEG + bytes(MAX_RECORD_BYTES + 1 - len(JPEG))
    with BoundedProducer(every_broker) as producer:
        with pytest.raises(RecordTooLargeError):
            producer.send(topics.frames, None, value)
        good: Headers = [(name, content or b"") for name, content in bad_records.headers()]
        careless = KafkaProducer(bootstrap_servers=every_broker, max_request_size=2 * MAX_RECORD_BYTES)
        sent = careless.send(topics.frames, value, partition=0)
        careless.close()
        producer.send(topics.frames, b"north", JPEG, good, partition=0)
        producer.flush(10)
    arrived = len(everything_on(every_broker, topics.frames))
    with running_worker(every_broker, topics, tmp_path) as worker:
        reports = Reports(every_broker, topics, worker).wait_for(arrived)
    letters = [read_letter(record) for record in everything_on(every_broker, topics.dlq)]
    assert Counter(report.cause for report in reports) == Counter(["too_large", None][2 - arrived :])
    assert [(letter.cause, letter.left_out) for letter in letters] == [("too_large", ("value",))][2 - arrived :]
    assert arrived == (1 if sent.failed() else 2)
