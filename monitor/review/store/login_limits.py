"""Slows down guessing of passwords: each wrong one lengthens the wait, and time forgives them.

Counts by address and by user name. The wait for a name is short, or anybody could lock out anybody by guessing.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

FREE = 5.0  # wrong passwords without a wait
HALF_LIFE_S = 300.0  # in which half of the wrong passwords are forgiven
ADDRESS_LIMIT_S, NAME_LIMIT_S = 900.0, 60.0  # the longest wait
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
    """Wrong passwords by address and user name, in memory. Thread-safe; `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()
        self._lock = threading.Lock()

    def attempt(self, address: str, username: str) -> float:
        """The time to wait before this address may try this name; if 0, counts a wrong password.

        The count is taken back by `succeeded`: a password takes a while to check, and whoever sends many at once must
        not get ahead of it.
        """
        with self._lock:
            wait_s = max(
                self._wait_s(("address", address), ADDRESS_LIMIT_S), self._wait_s(("name", username), NAME_LIMIT_S)
            )
            if wait_s == 0:
                for key in (("address", address), ("name", username)):
                    self._records[key] = _Record(self._wrong(key) + 1, self._clock())
                    self._records.move_to_end(key)
                while len(self._records) > MAX_RECORDS:
                    self._records.popitem(last=False)
            return wait_s

    def succeeded(self, address: str, username: str) -> None:
        """Takes an attempt back and forgives the name; the address may have guessed other names."""
        with self._lock:
            self._records.pop(("name", username), None)
            if (record := self._records.get(("address", address))) is not None:
                record.wrong = max(0.0, record.wrong - 1)

    def _wrong(self, key: tuple[str, str]) -> float:
        """Wrong passwords that are not forgiven yet."""
        record = self._records.get(key)
        return 0.0 if record is None else record.wrong * math.pow(0.5, (self._clock() - record.at_s) / HALF_LIFE_S)

    def _wait_s(self, key: tuple[str, str], limit_s: float) -> float:
        record = self._records.get(key)
        if record is None or record.wrong <= FREE:
            return 0.0
        lock_out_s = min(limit_s, math.pow(2.0, min(record.wrong - FREE, 20.0)))
        return max(0.0, record.at_s + lock_out_s - self._clock())
