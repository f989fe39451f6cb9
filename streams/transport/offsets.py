"""Tracks which offsets may be committed: per partition those of the longest finished prefix."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class DeliveryError(RuntimeError):
    """A finished frame's report or alert could not be delivered, so the frame must be judged again."""


class Awaited(Protocol):
    """A delivery, as `FinishedOffsets` sees it."""

    @property
    def exception(self) -> BaseException | None:
        """Why it failed, None unless it has."""

    def done(self) -> bool:
        """Whether it is delivered or has failed."""


class Loss(NamedTuple):
    """Offsets of a partition, from `first` to below `end`, that are gone before they were read, and why.

    They are at most as many records: what a producer's transactions begin and end with takes offsets too. Without
    any, it only says where records may be missing.
    """

    partition: int
    cause: str
    first: int
    end: int


@dataclass(slots=True)
class _Entry:
    offset: int
    size: int
    deliveries: Sequence[Awaited] | None = None  # None until the frame is finished


class FinishedOffsets:
    """Records in order of arrival, and which of them are finished. Thread-safe; without I/O and clock.

    Offsets of a partition need not be consecutive: compaction and transactions leave gaps.
    """

    def __init__(self) -> None:
        self._arrived: dict[int, deque[_Entry]] = {}
        self._by_offset: dict[tuple[int, int], _Entry] = {}
        self._next: dict[int, int] = {}
        self.unfinished_bytes = 0  # of the records that arrived and for which `finish` was not called yet
        self._lock = threading.Lock()

    @property
    def unfinished(self) -> int:
        """Number of records that arrived and can't be committed yet."""
        return len(self._by_offset)

    @property
    def awaiting(self) -> int:
        """Number of finished records whose deliveries are not done."""
        with self._lock:
            return sum(entry.deliveries is not None for entry in self._by_offset.values())

    def arrive(self, partition: int, offset: int, size: int = 0) -> None:
        """Adds a polled record of `size` bytes."""
        with self._lock:
            entry = _Entry(offset, size)
            self._arrived.setdefault(partition, deque()).append(entry)
            self._by_offset[partition, offset] = entry
            self.unfinished_bytes += size

    def finish(self, partition: int, offset: int, deliveries: Iterable[Awaited] = ()) -> None:
        """Marks a record as finished once its `deliveries` are done; unknown (revoked) records are ignored."""
        with self._lock:
            entry = self._by_offset.get((partition, offset))
            if entry is not None and entry.deliveries is None:
                entry.deliveries = tuple(deliveries)
                self.unfinished_bytes -= entry.size

    def committable(self) -> dict[int, int]:
        """The next offset to read, by partition. Raises `DeliveryError` where a delivery failed."""
        with self._lock:
            for partition, entries in self._arrived.items():
                while entries and _delivered(partition, entries[0]):
                    entry = entries.popleft()
                    del self._by_offset[partition, entry.offset]
                    self._next[partition] = entry.offset + 1
            return dict(self._next)

    def forget(self, partitions: Collection[int]) -> None:
        """Drops the records of partitions that now belong to another member."""
        with self._lock:
            for partition in partitions:
                for entry in self._arrived.pop(partition, ()):
                    del self._by_offset[partition, entry.offset]
                    self.unfinished_bytes -= entry.size if entry.deliveries is None else 0
                self._next.pop(partition, None)

    def first_unfinished(self, partition: int, default: int | None) -> int | None:
        """The lowest offset of the partition that can't be committed yet; `default` where there is none."""
        with self._lock:
            entries = self._arrived.get(partition)
            return entries[0].offset if entries else default

    def unfinished_in(self, partitions: Collection[int]) -> int:
        """Number of records of these partitions that can't be committed yet."""
        with self._lock:
            return sum(len(self._arrived.get(partition, ())) for partition in partitions)


def _delivered(partition: int, entry: _Entry) -> bool:
    if entry.deliveries is None:
        return False
    # Fails even while others are open: a state waits for the reports that it covers, and would wait for ever.
    for delivery in entry.deliveries:
        if (error := delivery.exception) is not None:
            message = f"outputs of the frame at partition {partition} offset {entry.offset} were not delivered: {error}"
            raise DeliveryError(message) from error
    return all(delivery.done() for delivery in entry.deliveries)
