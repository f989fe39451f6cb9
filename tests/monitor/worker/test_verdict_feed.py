"""The corrections of a compacted topic, read record by record and from a real broker."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gradwatch.monitor.worker.verdict_feed import MAX_CORRECTIONS, CorrectionBook, CorrectionFeed
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import ClassOverride, RegionMute
from gradwatch.streams.wire.outputs import encode_correction
from gradwatch.streams.wire.records import Record

from ...brokers import make_topics
from ...waiting import wait_until

OVERRIDE = ClassOverride("v1", "north", "ada", 1000, "01JD0000000000000000000000", track_id=7, label="yield")
NORTH = RegionMute("v2", "north", "ada", 2000, [(10.0, 10.0), (50.0, 10.0), (50.0, 50.0)], ["sign"])
MUTE = RegionMute("v1", "town", "ada", 1, [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0)])


def record(key: str, value: bytes | None) -> Record:
    return Record("gradwatch.verdicts", 0, 0, 0, key.encode(), value)


def book_of(*corrections: ClassOverride | RegionMute) -> CorrectionBook:
    book = CorrectionBook()
    for one in corrections:
        book.update(record(f"{one.stream_id}/{one.verdict_id}", encode_correction(one)))
    return book


def test_the_last_record_of_a_key_counts() -> None:
    book = book_of(OVERRIDE, NORTH, replace(OVERRIDE, label="stop"), replace(NORTH, stream_id="south"))
    assert book.of("north") == (NORTH, replace(OVERRIDE, label="stop"))
    book.update(record("north/v1", None))
    assert book.of("north") == (NORTH,)
    book.update(record("north/v2", None))
    book.update(record("north/v2", None))
    assert (book.of("north"), book.of("nobody"), book.refused) == ((), (), 0)
    assert len(book.of("south")) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("north/v1", b"no correction"),
        ("south/v1", encode_correction(OVERRIDE)),
        ("north/v9", encode_correction(OVERRIDE)),
    ],
)
def test_a_record_without_the_correction_of_its_key_is_counted_and_ignored(key: str, value: bytes) -> None:
    book = book_of(NORTH)
    book.update(record(key, value))
    assert (book.of("north"), book.of("south"), book.refused) == ((NORTH,), (), 1)


def test_only_the_newest_corrections_of_a_stream_are_kept() -> None:
    book = book_of(*(replace(OVERRIDE, verdict_id=f"v{number}") for number in range(MAX_CORRECTIONS + 5)))
    assert len(book.of("north")) == MAX_CORRECTIONS
    assert book.of("north")[-1].verdict_id == f"v{MAX_CORRECTIONS + 4}"


def test_corrections_are_read_and_withdrawn(embedded: str) -> None:
    topics = make_topics(embedded, 2)
    feed = CorrectionFeed(lambda: TopicReader(embedded, [topics.verdicts]))
    with BoundedProducer(embedded) as producer:
        producer.send(topics.verdicts, b"town/v1", encode_correction(MUTE), partition=1)
        producer.send(topics.verdicts, b"town/v2", b"no correction", partition=1)
        feed.start()
        wait_until(lambda: feed.book.of("town") == (MUTE,) and feed.book.refused == 1)
        producer.send(topics.verdicts, b"town/v1", None, partition=1)
        wait_until(lambda: feed.book.of("town") == ())
    feed.stop()
    feed.join(10.0)
    assert not feed.is_alive()


def test_an_unavailable_broker_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradwatch.monitor.worker.verdict_feed.RETRY_S", 0.01)
    asked: list[int] = []

    def away() -> TopicReader:
        asked.append(1)
        raise BrokerUnavailableError("nobody there")

    feed = CorrectionFeed(away)
    feed.start()
    wait_until(lambda: len(asked) > 2)
    feed.stop()
    feed.join(10.0)
    assert not feed.is_alive()
