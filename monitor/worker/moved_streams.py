"""Finds the states of streams that came from partitions of other workers, or that this worker has forgotten.

A stream moves when partitions are added, or when its source is given another one. Its new owner sees it for the first
time, and looks for it in the partitions that it does not own; one reading serves all streams that came meanwhile.

A forgotten stream takes no memory but its name; its state stays in the topic, in the partition where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from gradwatch.streams.transport.state import StateReader
from gradwatch.streams.wire.messages import BARE_RUN

from .ledgers import Key
from .stored_state import Found, found_in


class Elsewhere(NamedTuple):
    """The newest state of a stream, and the partition where it lies."""

    partition: int
    found: Found


class MovedStreams:
    """Looks for streams with `source`, which nothing else may use; without one, no stream is looked for.

    The caller locks; one thread calls `step`.
    """

    def __init__(self, source: StateReader | None) -> None:
        self._source = source
        self._asked: set[str] = set()
        self._looking: set[str] = set()  # of the reading at work
        self._runs: dict[Key, str] = {}  # the run for which the newest state of a stream is known
        self.foreign: frozenset[int] = frozenset()  # partitions of other workers
        self.forgotten: dict[str, int] = {}  # the partitions of forgotten streams, which this worker owns
        self.waiting: Counter[Key] = Counter()  # records that wait for the end of the search

    @property
    def can_look(self) -> bool:
        """Whether there is a source."""
        return self._source is not None

    def must_wait(self, key: Key, run_id: str, paused: bool) -> bool:
        """Whether a record of a stream waits until `step` has looked for its newest state; asks for that search.

        It waits where the stream is new in its partition, or begins a run after a pause: it may have moved here. The
        state of a forgotten stream is looked for in the partition where it was.
        """
        is_forgotten = key[1] in self.forgotten
        if not is_forgotten and (not self.foreign or run_id == BARE_RUN):
            return False
        is_known = not is_forgotten and key not in self.waiting and key in self._runs
        if is_known and not (paused and self._runs[key] != run_id):
            return False
        self.waiting[key] += 1
        self._runs[key] = run_id
        if key[1] not in self._looking:  # one that is asked for while its partitions are read waits for the next time
            self._asked.add(key[1])
        return True

    def note_run(self, key: Key, run_id: str) -> None:
        """Notes the run of a stream whose newest state is known."""
        self._runs[key] = run_id

    def drop(self, key: Key) -> None:
        """Drops what is known of a stream in a partition."""
        self._runs.pop(key, None)

    def step(self) -> dict[str, Elsewhere | None]:
        """Reads on in partitions of other workers, and in those of forgotten streams that are looked for.

        Returns the streams looked for and what was found once a reading is complete, else {}; these streams are no
        longer forgotten. Raises what the source raises.
        """
        if self._source is None:
            return {}
        if not self._looking:
            if not self._asked:
                return {}
            self._looking, self._asked = self._asked, set()
            own = {self.forgotten[stream_id] for stream_id in self._looking & self.forgotten.keys()}
            self._source.start({*self.foreign, *own})
        values = self._source.step(0.0)
        if values is None:
            return {}
        newest: dict[str, Elsewhere | None] = dict.fromkeys(self._looking)
        self._looking = set()
        for stream_id in newest:
            self.forgotten.pop(stream_id, None)
        for partition, keys in values.items():
            wanted = {key: value for key, value in keys.items() if key.partition("/")[0] in newest}
            for found in found_in(wanted):
                known = newest[found.stream_id]
                if found.stored is not None and (known is None or found.version > known.found.version):
                    newest[found.stream_id] = Elsewhere(partition, found)
        return newest

    def revoke(self, partitions: Collection[int]) -> None:
        """Drops the forgotten streams of partitions whose next owner reads their states."""
        self.forgotten = {name: home for name, home in self.forgotten.items() if home not in partitions}

    def close(self) -> None:
        """Stops reading."""
        if self._source is not None:
            self._source.close()
