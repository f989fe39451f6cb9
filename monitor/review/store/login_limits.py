"""Slows down guessing of passwords: each wrong one lengthens the wait, and time forgives them.

Only whoever guesses waits: a browser in which the user has logged in before, else an address. Guesses for one name from
many addresses make nobody else wait, since otherwise anybody could lock a user out; they only leave each new address
one guess without a wait instead of several.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

FREE = 5.0  # wrong passwords without a wait ...
ATTACKED = 10.0  # ... until there are this many for a name
HALF_LIFE_S = 300.0  # in which half of the wrong passwords are forgiven
ADDRESS_LIMIT_S, DEVICE_LIMIT_S = 900.0, 60.0  # the longest wait
MAX_RECORDS = 10_000  # addresses and names; the one without an attempt for longest is dropped


@dataclass(slots=True)
class _Record:
    wrong: float
    at_s: float


def network_of(host: str) -> str:
    """What a client can't choose of its address: all of IPv4, the /64 of IPv6. Other text stays as it is."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))


class LoginLimits:
    """Wrong passwords by address, name and browser, in memory. Thread-safe; `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()
        self._lock = threading.Lock()

    def attempt(self, address: str, username: str, device: str | None = None) -> float:
        """The time to wait before this name may be tried; if 0, counts a wrong password.

        `device` names a browser that is known to be the user's. `succeeded` takes the count back: a password takes a
        while to check, and whoever sends many at once must not get ahead of it.
        """
        with self._lock:
            if device is not None:
                wait_s = self._wait_s(("device", device), DEVICE_LIMIT_S, FREE)
            else:
                free = FREE if self._wrong(("name", username)) < ATTACKED else 0.0
                wait_s = self._wait_s(("address", address), ADDRESS_LIMIT_S, free)
            if wait_s == 0:
                for key in self._counted(address, username, device):
                    self._records[key] = _Record(self._wrong(key) + 1, self._clock())
                    self._records.move_to_end(key)
                while len(self._records) > MAX_RECORDS:
                    self._records.popitem(last=False)
            return wait_s

    def succeeded(self, address: str, username: str, device: str | None = None) -> None:
        """Takes an attempt back; others from there, or for that name, may have been guesses."""
        with self._lock:
            for key in self._counted(address, username, device):
                if (record := self._records.get(key)) is not None:
                    record.wrong = max(0.0, record.wrong - 1)

    @staticmethod
    def _counted(address: str, username: str, device: str | None) -> list[tuple[str, str]]:
        return [("device", device)] if device is not None else [("address", address), ("name", username)]

    def _wrong(self, key: tuple[str, str]) -> float:
        """Wrong passwords that are not forgiven yet."""
        record = self._records.get(key)
        return 0.0 if record is None else record.wrong * math.pow(0.5, (self._clock() - record.at_s) / HALF_LIFE_S)

    def _wait_s(self, key: tuple[str, str], limit_s: float, free: float) -> float:
        record = self._records.get(key)
        if record is None or record.wrong <= free:
            return 0.0
        lock_out_s = min(limit_s, math.pow(2.0, min(record.wrong - free, 20.0)))
        return max(0.0, record.at_s + lock_out_s - self._clock())
