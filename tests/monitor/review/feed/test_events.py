"""Events are resumed from a bounded ring; a reader that does not keep up is disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from gradwatch.monitor.review.feed import events as module
from gradwatch.monitor.review.feed.events import Asker, Events, TooManyReadersError

ADA = Asker("ada", "192.0.2.7")

Result = TypeVar("Result")


def run(task: Coroutine[Any, Any, Result]) -> Result:
    """In another thread: that of the tests may already run a loop, Playwright's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, task).result()


async def first(stream: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await anext(stream) for _ in range(count)]


def ids(found: list[bytes]) -> list[str]:
    return [line[4:] for event in found for line in event.decode().splitlines() if line.startswith("id: ")]


def names(found: list[bytes]) -> list[str]:
    return [line[7:] for event in found for line in event.decode().splitlines() if line.startswith("event: ")]


def test_a_reader_hears_what_is_published_from_another_thread() -> None:
    events = Events()

    async def listen() -> list[bytes]:
        stream = events.read(None, ADA)
        found = await first(stream, 2)
        await asyncio.to_thread(events.publish, "alert", {"number": 7})
        return found + await first(stream, 1)

    retry, hello, alert = run(listen())
    assert retry == b"retry: 2000\n\n"
    assert names([hello]) == ["hello"]
    assert alert == b'id: %s-1\nevent: alert\ndata: {"number":7}\n\n' % events.boot.encode()


def test_missed_events_are_sent_again_and_lost_ones_cause_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RING_EVENTS", 5)
    events = Events()
    for number in range(10):
        events.publish("alert", {"number": number})
    events.publish("cameras", {}, is_kept=False)

    async def missed(last: str, count: int) -> list[bytes]:
        return (await first(events.read(last, ADA), count + 1))[1:]

    assert ids(run(missed(f"{events.boot}-7", 3))) == [f"{events.boot}-{n}" for n in (8, 9, 10)]
    assert len(run(missed(f"{events.boot}-5", 5))) == 5
    for last in (
        f"{events.boot}-4",
        f"{events.boot}-11",
        "other-7",
        "x",
        f"{events.boot}-",
        f"{events.boot}-" + "9" * 99,
    ):
        assert names(run(missed(last, 1))) == ["reset"]


def test_the_ring_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RING_BYTES", 10_000)
    events = Events()
    for _ in range(100):
        events.publish("alert", {"text": "x" * 1_000})
        assert events.held_bytes <= 10_000


def test_a_slow_reader_is_disconnected_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_EVENTS", 10)
    events = Events()

    async def listen() -> tuple[int, int]:
        slow, quick = events.read(None, ADA), events.read(None, ADA)
        await first(slow, 2)
        await first(quick, 2)
        heard = 0
        for number in range(50):
            events.publish("alert", {"number": number})
            await anext(quick)
            heard += 1
        left = [event async for event in slow]
        await quick.aclose()  # type: ignore[attr-defined]
        return heard, len(left)

    assert run(listen()) == (50, 0)
    assert events.readers == 0


def test_the_number_of_readers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_READERS", 1)
    events = Events()

    async def listen() -> None:
        one = events.read(None, ADA)
        await anext(one)
        with pytest.raises(TooManyReadersError):
            await anext(events.read(None, ADA))
        await one.aclose()  # type: ignore[attr-defined]
        await anext(events.read(None, ADA))

    run(listen())


@pytest.mark.parametrize(
    ("others", "bound"), [(Asker("ada", "{}"), "MAX_OF_ACCOUNT"), (Asker("{}", "192.0.2.7"), "MAX_OF_ADDRESS")]
)
def test_one_reader_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch, others: Asker, bound: str) -> None:
    monkeypatch.setattr(module, bound, 3)

    async def scenario() -> None:
        events = Events()
        opened = []
        for n in range(3):
            opened.append(events.read(None, Asker(others.account.format(n), others.address.format(n))))
            await anext(opened[-1])
        with pytest.raises(TooManyReadersError, match="of one"):
            await anext(events.read(None, ADA))
        await anext(events.read(None, Asker("bob", "198.51.100.1")))

    run(scenario())
