"""What kafka-python alone needs: the yardsticks that `gradwatch bench path` holds our loop against."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from ..wire.topics import MAX_RECORD_BYTES
from .connection import BrokerUnavailableError, Settings


class Consumed(NamedTuple):
    """How long `records` took from the first poll that brought any, in wall time and in this process's CPU time."""

    records: int
    wall_s: float
    cpu_s: float


def consume_raw(
    bootstrap_servers: str,
    topic: str,
    count: int,
    client_settings: Settings = {},  # noqa: B006 (only read)
    timeout_s: float = 60.0,
) -> Consumed:
    """Reads the first `count` records of `topic` and forgets them, with the fetch sizes of `FrameConsumer`.

    Raises BrokerUnavailableError where they don't come within `timeout_s`.
    """
    return _consume(bootstrap_servers, topic, count, client_settings, timeout_s, lambda record: None, lambda: None)


def relay_raw(
    bootstrap_servers: str,
    topic: str,
    count: int,
    outputs: Sequence[tuple[str, bytes]],
    client_settings: Settings = {},  # noqa: B006 (only read)
    timeout_s: float = 60.0,
) -> Consumed:
    """Reads as `consume_raw` and sends `outputs` (topic and value) for each record, until all are acknowledged.

    The producer has the settings of `BoundedProducer`, the records no headers: the least that a loop with these
    outputs can cost with this client. Raises BrokerUnavailableError as `consume_raw`.
    """
    settings = {"acks": "all", "enable_idempotence": True, "linger_ms": 5, "batch_size": 256 * 1024}
    settings["max_request_size"] = MAX_RECORD_BYTES
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, **(settings | dict(client_settings)))

    def send(record: Any) -> None:
        for to, value in outputs:
            producer.send(to, value, record.key)

    try:
        return _consume(bootstrap_servers, topic, count, client_settings, timeout_s, send, producer.flush)
    finally:
        producer.close()


def _consume(
    bootstrap_servers: str,
    topic: str,
    count: int,
    client_settings: Settings,
    timeout_s: float,
    each: Callable[[Any], None],
    finish: Callable[[], object],
) -> Consumed:
    settings = {
        "group_id": None,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": MAX_RECORD_BYTES,
        "fetch_max_bytes": 2 * MAX_RECORD_BYTES,
        "max_poll_records": 64,
        "bootstrap_timeout_ms": 10_000,
    }
    client = KafkaConsumer(bootstrap_servers=bootstrap_servers, **(settings | dict(client_settings)))
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(client.partitions_for_topic(topic) or ())]
        client.assign(partitions)
        client.seek_to_beginning(*partitions)
        deadline_s = time.monotonic() + timeout_s
        records, started_s, started_cpu_s = 0, 0.0, 0.0
        while records < count:
            if time.monotonic() > deadline_s:
                raise BrokerUnavailableError(f"expected {count} records of {topic} in {timeout_s:.0f} s, got {records}")
            polled = client.poll(timeout_ms=50)
            if polled and not records:
                started_s, started_cpu_s = time.perf_counter(), time.process_time()
            for batch in polled.values():
                records += len(batch)
                for record in batch:
                    each(record)
        finish()
        return Consumed(records, time.perf_counter() - started_s, time.process_time() - started_cpu_s)
    finally:
        client.close()
