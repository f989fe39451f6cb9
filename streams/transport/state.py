"""The state topic: what workers remember of their streams, for whoever gets the frames next.

Compacted, one value a key; the keys of a stream lie in the partition of its frames. Keys and values mean nothing
here. Every record carries a version: of all records of a key the highest version counts, among equals the latest.
So a worker that lost a partition and has not noticed can't push its old state before the new owner's.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from ..wire.topics import MAX_RECORD_BYTES
from .connection import BrokerUnavailableError, Settings, connect
from .producer import BoundedProducer, Delivery

log = logging.getLogger(__name__)

VERSION_HEADER = "gw_version"
NUMBER = re.compile(rb"-?[0-9]{1,19}")
SAY_EVERY_S = 2.0


class StateTopic:
    """Writes records of the state topic."""

    def __init__(self, producer: BoundedProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    def try_write(self, partition: int, key: str, value: bytes | None, version: int = 0) -> Delivery | None:
        """Sends `value` (None removes the key), or returns None while the producer has no room.

        Raises `RecordTooLargeError` and `BrokerUnavailableError`.
        """
        headers = [(VERSION_HEADER, str(version).encode())]
        return self._producer.try_send(self._topic, key.encode(), value, headers, partition=partition)


class Values:
    """The values of one partition as they are found while its records are read in order."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, bytes]] = {}

    def put(self, key: bytes | None, value: bytes | None, headers: Collection[tuple[str, bytes]]) -> None:
        """Takes one record; one without a value removes the key, whatever its version."""
        name, version = (key or b"").decode("utf-8", "replace"), _version(headers)
        if value is None:
            self._found.pop(name, None)
        elif name not in self._found or version >= self._found[name][0]:
            self._found[name] = (version, value)

    def by_key(self) -> dict[str, bytes]:
        """The values that count."""
        return {name: value for name, (_, value) in self._found.items()}


class StateReader:
    """Reads whole partitions of the state topic, from the first record to the end as it is when reading starts.

    `start` names the partitions, `step` reads on until it returns them; so the caller can poll its frames between
    the steps. `timeout_s` is how long nothing may come. One thread uses it.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        client_settings: Settings = {},  # noqa: B006 (only read)
        timeout_s: float = 30.0,
    ) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.topic = topic
        self.timeout_s = timeout_s
        self._settings = dict(client_settings)
        self._client: Any = None
        self._ends: dict[TopicPartition, int] = {}
        self._values: dict[int, Values] = {}
        self._records = 0
        self._started_s = self._progress_s = self._say_s = 0.0

    def start(self, partitions: Collection[int]) -> None:
        """Begins with `partitions`. Raises `BrokerUnavailableError`, ValueError where the topic lacks one of them."""
        settings: dict[str, Any] = {
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "max_partition_fetch_bytes": MAX_RECORD_BYTES,
            "allow_auto_create_topics": False,
        }
        self._client = connect(KafkaConsumer, self.bootstrap_servers, settings | self._settings)
        present = self._client.partitions_for_topic(self.topic) or set()
        if not set(partitions) <= present:
            self.close()
            raise ValueError(
                f"topic {self.topic}: expected the partitions of the frames topic, {sorted(partitions)} among them, "
                f"got {len(present)} partitions; make it anew with `gradwatch topics`"
            )
        assigned = [TopicPartition(self.topic, partition) for partition in sorted(partitions)]
        self._client.assign(assigned)
        self._client.seek_to_beginning(*assigned)
        self._ends = self._client.end_offsets(assigned)
        self._values = {partition: Values() for partition in partitions}
        self._records = 0
        self._started_s = self._progress_s = time.monotonic()
        self._say_s = self._started_s + SAY_EVERY_S

    def step(self, timeout_s: float) -> Mapping[int, Mapping[str, bytes]] | None:
        """The values by key of each partition once all are read, else None. Raises `BrokerUnavailableError`."""
        if not self._behind():
            return self._done()
        polled = self._client.poll(timeout_ms=max(0, int(timeout_s * 1000)))
        for partition, batch in polled.items():
            for raw in batch:
                self._values[partition.partition].put(raw.key, raw.value, raw.headers or ())
            self._records += len(batch)
        behind = self._behind()
        if not behind:
            return self._done()
        now_s = time.monotonic()
        if polled:
            self._progress_s = now_s
        elif now_s - self._progress_s > self.timeout_s:
            self.close()
            raise BrokerUnavailableError(
                f"topic {self.topic}: expected the records up to {behind} within {self.timeout_s} s, got nothing more "
                f"from {self.bootstrap_servers}"
            )
        if now_s > self._say_s:
            self._say_s = now_s + SAY_EVERY_S
            log.info("reading %s: %d records, %d still to come", self.topic, self._records, sum(behind.values()))
        return None

    def close(self) -> None:
        """Stops reading; `start` may be called again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> StateReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _behind(self) -> dict[int, int]:
        """How many offsets are still to come, by partition; compacted ones among them."""
        missing = {tp.partition: end - (self._client.position(tp) or 0) for tp, end in self._ends.items() if end}
        return {partition: count for partition, count in missing.items() if count > 0}

    def _done(self) -> dict[int, dict[str, bytes]]:
        self.close()
        found = {partition: values.by_key() for partition, values in self._values.items()}
        size, seconds = sum(len(v) for values in found.values() for v in values.values()), time.monotonic()
        log.info(
            "read %s: partitions %s, %d records, %d keys of %d kB in %.2f s",
            *(self.topic, sorted(found), self._records, sum(map(len, found.values())), size // 1000),
            seconds - self._started_s,
        )
        return found


def _version(headers: Collection[tuple[str, bytes]]) -> int:
    text = dict(headers).get(VERSION_HEADER) or b""
    return int(text) if NUMBER.fullmatch(text) else 0
