"""Reads topics from their start without a group: for those who look on and own nothing."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from kafka import KafkaConsumer, TopicPartition

from ..codec import Record
from ..topics import MAX_RECORD_BYTES
from .connection import Settings, connect


class TopicReader:
    """`with TopicReader(servers, topics) as reader:` reads every partition from its first record on.

    Partitions are looked up once, so the topics must exist. Raises BrokerUnavailable, BrokerRefused, and ValueError
    for a missing topic.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Iterable[str],
        client_settings: Settings = {},  # noqa: B006 (only read)
    ) -> None:
        settings = {
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "max_partition_fetch_bytes": MAX_RECORD_BYTES,
            "reconnect_backoff_max_ms": 2_000,
        }
        self._client = connect(KafkaConsumer, bootstrap_servers, settings | dict(client_settings))
        partitions = []
        for topic in topics:
            numbers = self._client.partitions_for_topic(topic)
            if not numbers:
                raise ValueError(f"expected topic {topic} at {bootstrap_servers}, got none of that name")
            partitions += [TopicPartition(topic, number) for number in sorted(numbers)]
        self._client.assign(partitions)
        self._client.seek_to_beginning(*partitions)

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def poll(self, timeout_s: float) -> list[Record]:
        """What has come, waiting for at most `timeout_s`."""
        polled = self._client.poll(timeout_ms=max(0, int(timeout_s * 1000)))
        return [
            Record(raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, tuple(raw.headers or ()))
            for batch in polled.values()
            for raw in batch
        ]
