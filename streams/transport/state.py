"""The state topic: workers store the state of their streams for the next owner of the partition.

Compacted; the keys of a stream lie in the partition of its frames. Keys and values are opaque here. Every record
carries a version: of all records of a key the highest version counts, among equals the latest. So a worker that lost
a partition and has not noticed can't replace the new owner's state by its old one.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Mapping

from kafka import TopicPartition

from ..observability.metrics import OUTPUTS_LOST
from .client.settings import NO_SETTINGS, Settings
from .connection import BrokerUnavailableError, TopicMissingError
from .partitions import PartitionReader
from .producer import Delivery, RecordTooLargeError, Sender

log = logging.getLogger(__name__)

VERSION_HEADER = "gw_version"
NUMBER = re.compile(rb"-?[0-9]{1,19}")
LOG_EVERY_S = 2.0


class StateTopic:
    """Writes records of the state topic."""

    def __init__(self, sender: Sender, topic: str) -> None:
        self._sender = sender
        self._topic = topic

    def try_write(self, partition: int, key: str, value: bytes | None, version: int = 0) -> Delivery | None:
        """Sends `value` (None removes the key), or returns None while there is no room or no such partition.

        A value that is larger than any topic may take is lost and counted: its stream goes on, and begins anew, or
        with an older state, after a restart.
        """
        headers = [(VERSION_HEADER, str(version).encode())]
        try:
            return self._sender.try_send(self._topic, key.encode(), value, headers, partition)
        except BrokerUnavailableError:
            return None
        except RecordTooLargeError as error:
            OUTPUTS_LOST.labels(key.partition("/")[0], "state", error.cause).inc()
            log.error("the state %s is not stored: %s", key, error)
            lost = Delivery()
            lost.finish()
            return lost


class Values:
    """The values of one partition, collected while its records are read in order."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, bytes]] = {}

    def put(self, key: bytes | None, value: bytes | None, headers: Collection[tuple[str, bytes | None]]) -> None:
        """Adds one record; one without a value removes the key, whatever its version."""
        name, version = (key or b"").decode("utf-8", "replace"), _version(headers)
        if value is None:
            self._found.pop(name, None)
        elif name not in self._found or version >= self._found[name][0]:
            self._found[name] = (version, value)

    def by_key(self) -> dict[str, bytes]:
        """The value of each key with the highest version."""
        return {name: value for name, (_, value) in self._found.items()}


class StateReader:
    """Reads whole partitions of the state topic, from the first record to the end as it is when reading starts.

    `start` names the partitions, `step` reads on until it returns them; so the caller can poll its frames between
    the steps. `timeout_s` is how long nothing may arrive. One thread uses it. `add_partitions` is called once where
    partitions are missing, because the frames topic was given more.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        client_settings: Settings = NO_SETTINGS,
        timeout_s: float = 30.0,
        add_partitions: Callable[[], object] = lambda: None,
    ) -> None:
        self.bootstrap_servers, self.topic, self.timeout_s = bootstrap_servers, topic, timeout_s
        self._settings, self._add_partitions = client_settings, add_partitions
        self._reader: PartitionReader | None = None
        self._ends: dict[TopicPartition, int] = {}
        self._values: dict[int, Values] = {}
        self._records = 0
        self._started_s = self._log_at_s = 0.0

    def start(self, partitions: Collection[int]) -> None:
        """Begins with `partitions`. Raises `BrokerUnavailableError`, `TopicMissingError` where one is missing."""
        wanted = [TopicPartition(self.topic, partition) for partition in sorted(partitions)]
        self._reader = reader = self._opened(wanted)
        with reader.closed_on_error():
            present = reader.partitions(self.topic)
            if not set(wanted) <= set(present):
                raise TopicMissingError(
                    f"topic {self.topic}: expected the partitions of the frames topic, {sorted(partitions)} among "
                    f"them, got {len(present)} partitions; run `gradwatch topics --mend`"
                )
            self._ends = reader.end_offsets(wanted)
            reader.seek(reader.first_offsets(wanted))
        self._values = {partition: Values() for partition in partitions}
        self._records = 0
        self._started_s = time.monotonic()
        self._log_at_s = self._started_s + LOG_EVERY_S

    def _opened(self, wanted: Collection[TopicPartition]) -> PartitionReader:
        reader = PartitionReader(self.bootstrap_servers, self._settings)
        with reader.closed_on_error():
            if set(wanted) <= set(reader.partitions(self.topic)):
                return reader
        reader.close()
        self._add_partitions()
        return PartitionReader(self.bootstrap_servers, self._settings)

    def step(self, timeout_s: float) -> Mapping[int, Mapping[str, bytes]] | None:
        """The values by key of each partition once all are read, else None. Raises `BrokerUnavailableError`."""
        assert self._reader is not None, "`start` comes first"
        with self._reader.closed_on_error():
            if self._reader.missing(self._ends):
                for record in self._reader.poll(timeout_s):
                    self._values[record.partition].put(record.key, record.value, record.headers)
                    self._records += 1
            missing = self._reader.missing(self._ends)
            if missing:
                self._reader.check_silence(self.timeout_s, f"{sum(missing.values())} more records of {self.topic}")
        if not missing:
            return self._finish()
        if time.monotonic() > self._log_at_s:
            self._log_at_s = time.monotonic() + LOG_EVERY_S
            log.info("reading %s: %d records, %d still to come", self.topic, self._records, sum(missing.values()))
        return None

    def close(self) -> None:
        """Stops reading; `start` may be called again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _finish(self) -> dict[int, dict[str, bytes]]:
        self.close()
        found = {partition: values.by_key() for partition, values in self._values.items()}
        size = sum(len(value) for values in found.values() for value in values.values())
        log.info(
            "read %s: partitions %s, %d records, %d keys of %d kB in %.2f s",
            *(self.topic, sorted(found), self._records, sum(map(len, found.values())), size // 1000),
            time.monotonic() - self._started_s,
        )
        return found


def _version(headers: Collection[tuple[str, bytes | None]]) -> int:
    text = dict(headers).get(VERSION_HEADER) or b""
    return int(text) if NUMBER.fullmatch(text) else 0
