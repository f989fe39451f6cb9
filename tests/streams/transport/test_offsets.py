from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.streams.transport.offsets import DeliveryError, FinishedOffsets
from gradwatch.streams.transport.producer import Delivery


def arrived(*offsets: int, partition: int = 0) -> FinishedOffsets:
    finished = FinishedOffsets()
    for offset in offsets:
        finished.arrive(partition, offset, size=10)
    return finished


def test_only_the_finished_prefix_is_committable() -> None:
    offsets = arrived(5, 6, 7, 8)
    offsets.finish(0, 6)
    offsets.finish(0, 8)
    assert offsets.committable() == {}
    offsets.finish(0, 5)
    assert offsets.committable() == {0: 7}
    offsets.finish(0, 7)
    assert offsets.committable() == {0: 9}
    assert offsets.unfinished == 0


def test_a_finished_frame_waits_for_its_deliveries() -> None:
    offsets, report, alert = arrived(5), Delivery(), Delivery()
    offsets.finish(0, 5, [report, alert])
    report.finish(offset=1)
    assert offsets.committable() == {}
    alert.finish(offset=2)
    assert offsets.committable() == {0: 6}


def test_a_failed_delivery_is_never_committed() -> None:
    offsets, report = arrived(5, 6), Delivery()
    offsets.finish(0, 5, [report])
    offsets.finish(0, 6)
    report.finish(exception=RuntimeError("broker gone"))
    for _ in range(2):
        with pytest.raises(DeliveryError, match="partition 0 offset 5 were not delivered: broker gone"):
            offsets.committable()


def test_a_failure_counts_at_once_though_a_state_still_waits_for_that_very_delivery() -> None:
    offsets, report, state = arrived(5), Delivery(), Delivery()
    offsets.finish(0, 5, [report, state])
    report.finish(exception=RuntimeError("broker gone"))
    with pytest.raises(DeliveryError, match="broker gone"):
        offsets.committable()


def test_partitions_do_not_wait_for_each_other() -> None:
    offsets = arrived(1, 2)
    offsets.arrive(1, 70)
    offsets.finish(1, 70)
    assert offsets.committable() == {1: 71}


def test_gaps_between_offsets_do_not_stop_the_prefix() -> None:
    offsets = arrived(1, 4, 9)
    for offset in (1, 4):
        offsets.finish(0, offset)
    assert offsets.committable() == {0: 5}


def test_a_revoked_partition_is_forgotten_and_late_frames_of_it_are_ignored() -> None:
    offsets = arrived(1, 2)
    offsets.arrive(1, 7, size=10)
    offsets.finish(0, 1)
    offsets.forget([0])
    offsets.finish(0, 2)
    assert offsets.committable() == {}
    assert (offsets.unfinished, offsets.unfinished_bytes) == (1, 10)


def test_bytes_count_until_finished() -> None:
    offsets, report = arrived(1, 2), Delivery()
    assert offsets.unfinished_bytes == 20
    offsets.finish(0, 2, [report])
    offsets.finish(0, 2, [report])
    assert offsets.unfinished_bytes == 10
    offsets.forget([0])
    assert offsets.unfinished_bytes == 0


@given(st.lists(st.integers(0, 30), unique=True, min_size=1).map(sorted), st.randoms(use_true_random=False))
def test_in_any_order_of_finishing_no_unfinished_offset_is_ever_passed(offsets: list[int], random) -> None:
    finished, done = arrived(*offsets), set()
    order = list(offsets)
    random.shuffle(order)
    for offset in order:
        finished.finish(0, offset)
        done.add(offset)
        following = finished.committable().get(0, 0)
        assert all(o in done for o in offsets if o < following)
        prefix = next((i for i, o in enumerate(offsets) if o not in done), len(offsets))
        assert following == (offsets[prefix - 1] + 1 if prefix else 0)


def test_callbacks_are_called_once_whether_early_or_late() -> None:
    delivery, calls = Delivery(), []
    delivery.add_done_callback(lambda done: calls.append(done.offset))
    delivery.finish(offset=3)
    delivery.add_done_callback(lambda done: calls.append(done.offset))
    assert calls == [3, 3]
    assert delivery.wait(0)
