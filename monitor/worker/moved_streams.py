"""Finds the states of streams that came from partitions of other workers, or that this worker has forgotten.

A stream moves when partitions are added, or when its source is given another one. Its new owner sees it for the first
time, and looks for it in the partitions that it does not own; one reading serves all streams that came meanwhile.

A forgotten stream takes no memory but its name; its state stays in the topic, in the partition where it was.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gradwatch.streams.transport.state import StateReader

from .stored_state import Found, found_in


class Elsewhere(NamedTuple):
    """The newest state of a stream, and the partition where it lies."""

    partition: int
    found: Found


class MovedStreams:
    """Looks for streams, with `source` for itself; one thread uses it."""

    def __init__(self, source: StateReader) -> None:
        self._source = source
        self._asked: set[str] = set()
        self._looking: set[str] = set()  # of the reading at work
        self.forgotten: dict[str, int] = {}  # the partitions of forgotten streams, which this worker owns

    def ask(self, stream_id: str) -> None:
        """Has `step` look for a stream; one that is asked for while it reads waits for the next reading."""
        if stream_id not in self._looking:
            self._asked.add(stream_id)

    def step(self, foreign: Collection[int]) -> dict[str, Elsewhere | None]:
        """Reads on in partitions of other workers, and in those of forgotten streams that are looked for.

        Returns at the end of a reading the streams looked for, with what was found; they are not forgotten any more.

        Raises what the source raises.
        """
        if not self._looking:
            if not self._asked:
                return {}
            self._looking, self._asked = self._asked, set()
            own = {self.forgotten[stream_id] for stream_id in self._looking & self.forgotten.keys()}
            self._source.start({*foreign, *own})
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
        self._source.close()
