"""What is lost is counted once, for the stream that it belongs to, with its cause; nothing else is."""

from __future__ import annotations

import math
import time
from collections import Counter

import pytest
from prometheus_client import REGISTRY

from gradwatch.monitor.worker.losses import Losses
from gradwatch.monitor.worker.stream_health import StreamHealth
from gradwatch.streams.transport.offsets import Loss
from gradwatch.streams.wire.messages import FrameIdentity


class Book:
    """Losses of streams that no other test uses, and what was reported."""

    def __init__(self, name):
        self.records = []
        self.name = name
        self.losses = Losses(StreamHealth(self.records.append))

    def arrive(self, *seqs, stream="a", run="run", partition=0):
        for seq in seqs:
            self.losses.note_arrival(partition, FrameIdentity(self.name + stream, run, seq))

    def gap(self, first, end, cause="retention", partition=0, judged_below=0):
        self.losses.note_gap(Loss(partition, cause, first, end), judged_below)

    def settle(self, stream="a", now_s=math.inf, partitions=None):
        self.losses.settle(partitions, lambda partition: self.name + stream, now_s)

    def lost(self, stream="a"):
        """Frames by cause."""
        return {
            cause: count
            for cause in ("retention", "topic_deleted", "seq_gap")
            if (count := REGISTRY.get_sample_value("gradwatch_frames_lost_total", self.labels(stream, cause)))
        }

    def labels(self, stream, cause):
        return {"stream_id": self.name + stream, "cause": cause}


@pytest.fixture
def book(request):
    return Book(f"{abs(hash(request.node.name)) % 10**8}-")


def test_a_run_without_holes_loses_nothing(book):
    book.arrive(0, 1, 2, 1, 2, 3)  # frames are read again after a rebalance
    book.arrive(0, 1, run="next")
    book.settle()
    assert (book.lost(), book.records) == ({}, [])


def test_missing_numbers_are_counted_reported_and_named(book):
    book.arrive(0, 1, 5)
    assert book.lost() == {"seq_gap": 3}
    (record,) = book.records
    assert (record.disturbance, record.detail, record.last_seq, record.run_id) == (
        "frames_lost",
        "3 frames (seq_gap)",
        1,
        "run",
    )


def test_a_stream_seen_first_in_mid_run_has_lost_nothing(book):
    """A worker that is started for the first time does not know what was before it."""
    book.arrive(1000)
    assert book.lost() == {}


def test_a_new_run_may_begin_anywhere(book):
    book.arrive(0, 1)
    book.arrive(7, run="next")
    assert book.lost() == {}


def test_offsets_of_bare_pictures_may_have_holes(book):
    book.arrive(0, 2, 4, run="bare")  # a transaction ends with a record that nobody sees
    book.settle()
    assert book.lost() == {}


def test_deleted_offsets_count_once_for_the_streams_that_miss_them(book):
    book.arrive(0, 1)
    book.arrive(0, 1, stream="b")
    book.gap(4, 14)
    book.arrive(8, 9)  # 6 of the 10
    book.arrive(6, stream="b")  # the other 4
    book.settle(stream="partition")
    assert (book.lost(), book.lost("b"), book.lost("partition")) == ({"retention": 6}, {"retention": 4}, {})


def test_a_stream_that_does_not_return_is_counted_at_last(book):
    book.arrive(0, 1)
    book.gap(2, 12)
    book.settle(now_s=0.0)
    assert book.lost() == {}  # it has time to return
    book.settle()
    book.settle()
    assert book.lost() == {"retention": 10}


def test_the_lost_head_of_a_new_run_is_its_own_and_the_tail_of_the_old_one_the_rest(book):
    book.arrive(0, 1)
    book.gap(2, 12)
    book.arrive(4, 5, run="next")
    book.settle()
    assert book.lost() == {"retention": 10}


def test_a_new_stream_claims_no_more_than_is_gone(book):
    book.gap(0, 3)
    book.arrive(5000, run="old")
    book.settle()
    assert book.lost() == {"retention": 3}


def test_what_was_judged_before_the_gap_is_not_lost(book):
    """The state covers more than the committed offset."""
    book.gap(10, 20, judged_below=16)
    book.settle()
    assert book.lost() == {"retention": 4}


def test_a_hole_after_the_gap_is_another_loss(book):
    book.arrive(0)
    book.gap(1, 3)
    book.arrive(3, 4, 6)
    book.settle()
    assert book.lost() == {"retention": 2, "seq_gap": 1}


def test_gaps_of_other_partitions_explain_nothing(book):
    book.arrive(0)
    book.gap(5, 6, partition=1)
    book.arrive(2)
    book.settle(partitions={0})
    assert book.lost() == {"seq_gap": 1}


def test_the_next_worker_goes_on_from_what_the_last_one_saw(book):
    book.losses.resume(book.name + "a", "run", 41)
    book.arrive(42, 44)
    assert book.lost() == {"seq_gap": 1}
    book.losses.forget(book.name + "a")
    book.arrive(50)
    assert book.lost() == {"seq_gap": 1}


def test_a_stream_that_loses_all_the_time_is_reported_in_sums(book, monkeypatch):
    now_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    for seq in range(0, 200, 2):
        now_s[0] += 1.0
        book.arrive(seq)
    book.losses.report(math.inf)
    counts = Counter(int(record.detail.split()[0]) for record in book.records)
    assert sum(count * times for count, times in counts.items()) == book.lost()["seq_gap"] == 99
    assert len(book.records) == 3


def test_a_frame_with_broken_headers_is_reported_and_so_not_lost(book):
    book.arrive(0, 1)
    book.losses.note_unnumbered(book.name + "a")  # it was number 2
    book.arrive(3)
    assert book.lost() == {}
    book.losses.note_unnumbered(book.name + "unknown")
    book.arrive(5)
    assert book.lost() == {"seq_gap": 1}
