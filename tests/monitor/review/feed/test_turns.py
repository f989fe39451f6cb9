"""A few at a time, and a share of the queue for each."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gradwatch.monitor.review.feed.turns import BusyError, Turns

from ....waiting import LIMIT_S, wait_until


def test_few_work_at_once_and_one_asker_leaves_room_for_another() -> None:
    turns, leave = Turns(at_once=2, waiting=4, of_one=4), threading.Event()
    inside: list[str] = []

    def work(asker: str) -> str:
        with turns.turn(asker):
            inside.append(asker)
            leave.wait(LIMIT_S)
        return asker

    with ThreadPoolExecutor(8) as pool:
        greedy = [pool.submit(work, "eve") for _ in range(4)]
        wait_until(lambda: len(inside) == 2 and turns._inside["eve"] == 4)
        with pytest.raises(BusyError, match="of one visitor"), turns.turn("eve"):
            pass
        other = pool.submit(work, "ada")
        wait_until(lambda: turns._inside["ada"] == 1)
        assert len(inside) == 2
        leave.set()
        assert (other.result(), [one.result() for one in greedy]) == ("ada", ["eve"] * 4)
    assert not turns._inside
