from __future__ import annotations

import threading
import time

from gradwatch.streams.cameras.clock import Arrival
from gradwatch.streams.cameras.connection import CameraError, CodecSetup, Packet
from gradwatch.streams.cameras.reader import Arrived, Events, Lost, Opened

OPENED = Opened(CodecSetup("mjpeg", None, 0, 0, None, True), Arrival(0, 0))


def packet(size: int, number: int = 0) -> Packet:
    return Packet(bytes(size), number, True)


def test_events_come_in_order() -> None:
    events = Events()
    lost = Lost(CameraError("gone"), Arrival(1, 1))
    events.tell(OPENED)
    events.arrived(packet(3), Arrival(0, 0))
    events.tell(lost)
    taken, thrown_away = events.take(0.0)
    assert taken == [OPENED, Arrived(packet(3), Arrival(0, 0), after_loss=False), lost]
    assert thrown_away == 0
    assert events.take(0.0) == ([], 0)


def test_what_waits_is_bounded_and_what_is_thrown_away_is_counted() -> None:
    events = Events(max_bytes=10)
    events.tell(OPENED)
    for number in range(5):
        events.arrived(packet(4, number), Arrival(number, number))
    taken, thrown_away = events.take(0.0)
    assert taken[0] == OPENED
    arrived = [event for event in taken if isinstance(event, Arrived)]
    assert [event.packet.media_ns for event in arrived] == [4]
    assert [event.after_loss for event in arrived] == [True]
    assert thrown_away == 4
    events.arrived(packet(4), Arrival(9, 9))
    ((again,), _) = events.take(0.0)
    assert isinstance(again, Arrived)
    assert not again.after_loss


def test_who_waits_is_woken() -> None:
    events = Events()
    threading.Timer(0.05, events.tell, [OPENED]).start()
    started_s = time.monotonic()
    assert events.take(10.0) == ([OPENED], 0)
    assert time.monotonic() - started_s < 5.0
