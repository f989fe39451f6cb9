from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradwatch.streams import outbox as outboxes
from gradwatch.streams.outbox import Outbox
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import Delivery, RecordTooLargeError, TopicUnavailableError

from ..waiting import wait_until

REFUSED = TopicUnavailableError("the broker does not allow writing to topic alerts", "not_allowed")


class Broker:
    """A producer whose topics take records or refuse them."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.refused: dict[str, Exception] = {}
        self.tried = 0

    def try_send(self, topic, key, value, headers=None, partition=None) -> Delivery | None:
        self.tried += 1
        if len(value) > 1000:
            raise RecordTooLargeError("too large")
        delivery = Delivery()
        if topic in self.refused:
            delivery.finish(exception=self.refused[topic])
        else:
            self.taken.append((topic, value))
            delivery.finish(len(self.taken))
        return delivery

    def close(self, timeout_s: float) -> bool:
        return True


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def now_s() -> list[float]:
    return [100.0]


@pytest.fixture
def outbox(broker: Broker, now_s: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Outbox]:
    monkeypatch.setattr(outboxes, "RETRY_S", 0.02)
    made = Outbox(broker, max_bytes=10_000, timeout_s=0.1, clock=lambda: now_s[0])
    yield made
    made.close(0.0)


def test_what_a_topic_refuses_waits_in_order_and_the_others_go_on(broker: Broker, outbox: Outbox) -> None:
    broker.refused["alerts"] = REFUSED
    alerts = [outbox.send("alerts", b"cam", b"%d" % number) for number in range(3)]
    assert outbox.send("reports", b"cam", b"report").done()
    wait_until(lambda: broker.tried > 8, what="some attempts")
    assert broker.taken == [("reports", b"report")]
    assert not any(alert.done() for alert in alerts)
    del broker.refused["alerts"]
    assert outbox.flush(5.0)
    assert broker.taken[1:] == [("alerts", b"0"), ("alerts", b"1"), ("alerts", b"2")]
    assert all(alert.exception is None for alert in alerts)


def test_a_topic_is_blocked_once_it_has_taken_nothing_for_ten_seconds(
    broker: Broker, outbox: Outbox, now_s: list[float]
) -> None:
    outbox.send("alerts", b"cam", b"taken")
    now_s[0] += 60.0  # without anything to take
    assert outbox.blocked() == ""
    broker.refused["alerts"] = REFUSED
    outbox.send("alerts", b"cam", b"refused")
    now_s[0] += 9.0
    assert outbox.blocked() == ""
    now_s[0] += 2.0
    assert outbox.blocked() == f"topic alerts has taken no record for 11 s, 1 wait: {REFUSED}"
    del broker.refused["alerts"]
    assert outbox.flush(5.0)
    assert outbox.blocked() == ""


def test_a_record_larger_than_any_topic_may_take_is_refused_at_once_and_blocks_nothing(outbox: Outbox) -> None:
    with pytest.raises(RecordTooLargeError):
        outbox.send("reports", b"cam", bytes(2000))
    assert outbox.send("reports", b"cam", b"next").done()
    assert outbox.flush(0.0)


def test_what_waits_is_bounded(broker: Broker, outbox: Outbox) -> None:
    broker.refused["reports"] = REFUSED
    taken = 0
    while outbox.try_send("reports", b"cam", bytes(900)) is not None:
        taken += 1
    assert 0 < taken * 900 <= 10_000
    with pytest.raises(BrokerUnavailableError, match="unacknowledged"):
        outbox.send("reports", b"cam", bytes(900))


def test_closing_gives_up_what_waits(broker: Broker, outbox: Outbox) -> None:
    broker.refused["reports"] = REFUSED
    delivery = outbox.send("reports", b"cam", b"report")
    assert not outbox.close(0.05)
    wait_until(delivery.done)
    assert isinstance(delivery.exception, BrokerUnavailableError)
