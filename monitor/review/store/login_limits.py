"""How often a password may be guessed: wrong ones cost time, more with each, and are forgiven with time.

Kept by address and by name. A name is never shut out for long, or anybody could lock anybody out by guessing.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE = 5.0  # wrong passwords that cost nothing
HALF_LIFE_S = 300.0  # in which half of them are forgiven
ADDRESS_LIMIT_S, NAME_LIMIT_S = 900.0, 60.0  # the longest wait
MAX_KEPT = 10_000  # addresses and names; the one that was silent longest is forgotten


@dataclass(slots=True)
class _Record:
    wrong: float
    at_s: float


class LoginLimits:
    """Thread-safe; `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str, username: str) -> float:
        """How long this address must wait before it may try this name, 0 where it may now."""
        with self._lock:
            return self._longest_s(address, username)

    def attempt(self, address: str, username: str) -> float:
        """As `wait_s`; where it is 0, counts as a wrong password from now on, until `right` says that it was not.

        A password takes a while to check, and whoever sends many at once must not be ahead of the count.
        """
        with self._lock:
            wait_s = self._longest_s(address, username)
            if wait_s == 0:
                self._count(address, username)
            return wait_s

    def wrong(self, address: str, username: str) -> None:
        """Counts a wrong password."""
        with self._lock:
            self._count(address, username)

    def right(self, address: str, username: str) -> None:
        """Takes an attempt back and forgives the name; the address may have guessed other names."""
        with self._lock:
            self._records.pop(("name", username), None)
            if (record := self._records.get(("address", address))) is not None:
                record.wrong = max(0.0, record.wrong - 1)

    def _count(self, address: str, username: str) -> None:
        for key in (("address", address), ("name", username)):
            self._records[key] = _Record(self._left(key) + 1, self._clock())
            self._records.move_to_end(key)
        while len(self._records) > MAX_KEPT:
            self._records.popitem(last=False)

    def _longest_s(self, address: str, username: str) -> float:
        return max(self._wait_s(("address", address), ADDRESS_LIMIT_S), self._wait_s(("name", username), NAME_LIMIT_S))

    def _left(self, key: tuple[str, str]) -> float:
        record = self._records.get(key)
        if record is None:
            return 0.0
        return record.wrong * math.pow(0.5, (self._clock() - record.at_s) / HALF_LIFE_S)

    def _wait_s(self, key: tuple[str, str], limit_s: float) -> float:
        record = self._records.get(key)
        if record is None or record.wrong <= FREE:
            return 0.0
        lock_out_s = min(limit_s, math.pow(2.0, min(record.wrong - FREE, 20.0)))
        return max(0.0, record.at_s + lock_out_s - self._clock())
