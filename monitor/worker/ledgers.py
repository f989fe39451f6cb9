"""The ledgers of a worker's streams: one in each partition in which a stream's frames come.

That is one partition, unless the stream moved: to another partition of this worker, or here from one of another
worker. The state with the highest version is the stream's; what it left behind is removed from the topic. The caller
locks around each call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, ItemsView, Sequence
from functools import partial

from gradwatch.streams.transport.offsets import Awaited

from .checkpoints import StreamLedger
from .failures import MACHINE
from .stored_state import Found, Part

Key = tuple[int, str]  # partition, stream_id

MOVED_AFTER_S = 10.0  # without a frame in its old partition, by when the offsets there are committed


class Ledgers:
    """The ledgers by partition and stream.

    `write` sends a record to a partition of the state topic. Where a state can't be encoded or written (`StateTopic`
    itself leaves out one that is too large), `begin_anew` gives its stream another one, and returns the deliveries that
    this one awaits.
    """

    def __init__(
        self,
        write: Callable[[int, Part], Awaited | None],
        begin_anew: Callable[[str, Exception], Sequence[Awaited]],
    ) -> None:
        self._write, self._begin_anew = write, begin_anew
        self._ledgers: dict[Key, StreamLedger] = {}
        self._homes: dict[str, set[int]] = {}  # the partitions of a stream
        self._left: dict[Key, StreamLedger] = {}  # states that streams left in partitions of other workers

    def items(self) -> ItemsView[Key, StreamLedger]:
        """All ledgers by partition and stream."""
        return self._ledgers.items()

    def get(self, key: Key) -> StreamLedger | None:
        """The ledger of a stream in a partition, None where there is none."""
        return self._ledgers.get(key)

    def add(self, key: Key, ledger: StreamLedger) -> StreamLedger:
        """Adds a ledger and returns it."""
        self._homes.setdefault(key[1], set()).add(key[0])
        self._ledgers[key] = ledger
        return ledger

    def drop(self, key: Key) -> bool:
        """Drops a ledger; returns whether it was the last one of its stream."""
        del self._ledgers[key]
        homes = self._homes[key[1]]
        homes.discard(key[0])
        if not homes:
            del self._homes[key[1]]
        return not homes

    @property
    def streams(self) -> Collection[str]:
        """All streams."""
        return self._homes.keys()

    def of(self, stream_id: str) -> list[StreamLedger]:
        """The ledgers of a stream."""
        return [self._ledgers[partition, stream_id] for partition in self._homes.get(stream_id, ())]

    def keys_of(self, stream_id: str) -> list[Key]:
        """The keys of a stream."""
        return [(partition, stream_id) for partition in self._homes.get(stream_id, ())]

    def keys_in(self, partitions: Collection[int]) -> list[Key]:
        """The keys of these partitions."""
        return [key for key in self._ledgers if key[0] in partitions]

    def stored_below(self, partition: int) -> int:
        """The offset below which the stored state of some stream covers its frames; 0 where there is none."""
        return max((self._ledgers[key].stored for key in self.keys_in([partition])), default=0)

    def newest_version(self, stream_id: str) -> int:
        """The highest version of the stream's states, 0 where there is none."""
        return max((ledger.covered.version for ledger in self.of(stream_id)), default=0)

    def advance(self, key: Key, given_id: str = "") -> bool:
        """Writes on with the state begun for `key`; returns whether one more is stored. `given_id` as for `parts`."""
        ledger = self._ledgers[key]
        before = ledger.stored
        try:
            ledger.advance(partial(self._write, key[0]), given_id)
        except MACHINE:
            raise
        except Exception as error:
            ledger.give_up()
            ledger.change(self._begin_anew(key[1], error))
        return ledger.stored > before

    def left(self, partition: int, found: Found, now_s: float) -> None:
        """Has the state removed that a stream left in a partition of another worker, once there is a newer one."""
        if found.stored is not None:
            self._left[partition, found.stream_id] = StreamLedger(found.stored.covered, found.shelf, now_s)

    def remove_what_was_left(self, now_s: float) -> list[Key]:
        """Removes states of which another partition has a newer one; returns the keys whose ledgers can be dropped."""
        moved = [stream_id for stream_id, homes in self._homes.items() if len(homes) > 1]
        here = [(partition, stream_id) for stream_id in moved for partition in self._homes[stream_id]]
        removed = [key for key in here if self._is_removed(key, self._ledgers[key], now_s)]
        for key, ledger in list(self._left.items()):
            if key[1] not in self._homes or key in self._ledgers or self._is_removed(key, ledger, now_s):
                del self._left[key]
        return removed

    def _is_removed(self, key: Key, ledger: StreamLedger, now_s: float) -> bool:
        is_old = any(other.stored_version > ledger.covered.version for other in self.of(key[1]))
        if not is_old or ledger.idle_s(now_s) <= MOVED_AFTER_S:
            return False
        ledger.remove_all(key[1])
        ledger.advance(partial(self._write, key[0]))
        return ledger.removed
