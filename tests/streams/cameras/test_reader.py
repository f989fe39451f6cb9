from __future__ import annotations

import threading
import time

from gradwatch.streams.cameras.camera_error import CameraError
from gradwatch.streams.cameras.clock import Instant
from gradwatch.streams.cameras.connection import CodecSetup, Packet
from gradwatch.streams.cameras.reader import ConnectionLost, ConnectionOpened, EventQueue, PacketArrived

from ...waiting import LIMIT_S

OPENED = ConnectionOpened(CodecSetup("mjpeg", None, 0, 0, None, True), Instant(0, 0))


def packet(size: int, number: int = 0) -> Packet:
    return Packet(bytes(size), number, True)


def test_events_are_taken_in_order() -> None:
    events = EventQueue()
    lost = ConnectionLost(CameraError("gone"), Instant(1, 1))
    events.put(OPENED)
    events.put_packet(packet(3), Instant(0, 0))
    events.put(lost)
    taken, dropped = events.take(0.0)
    assert taken == [OPENED, PacketArrived(packet(3), Instant(0, 0), after_loss=False), lost]
    assert dropped == 0
    assert events.take(0.0) == ([], 0)


def test_the_queue_is_bounded_and_dropped_packets_are_counted() -> None:
    events = EventQueue(max_bytes=10)
    events.put(OPENED)
    for number in range(5):
        events.put_packet(packet(4, number), Instant(number, number))
    taken, dropped = events.take(0.0)
    assert taken[0] == OPENED
    arrived = [event for event in taken if isinstance(event, PacketArrived)]
    assert [event.packet.media_ns for event in arrived] == [4]
    assert [event.after_loss for event in arrived] == [True]
    assert dropped == 4
    events.put_packet(packet(4), Instant(9, 9))
    ((again,), _) = events.take(0.0)
    assert isinstance(again, PacketArrived)
    assert not again.after_loss


def test_a_waiting_consumer_is_woken() -> None:
    events = EventQueue()
    threading.Timer(0.05, events.put, [OPENED]).start()
    started_s = time.monotonic()
    assert events.take(600.0) == ([OPENED], 0)
    assert time.monotonic() - started_s < LIMIT_S
