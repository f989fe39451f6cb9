"""kafka-python without our loop around it: the yardstick of `gradwatch bench path`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from kafka import KafkaProducer

from ..wire.topics import MAX_RECORD_BYTES
from .client.settings import NO_SETTINGS, Settings
from .connection import BrokerUnavailableError, connect
from .partitions import PartitionReader
from .producer import SETTINGS as PRODUCER_SETTINGS

TIMEOUT_S = 60.0


class Consumed(NamedTuple):
    """How long `records` took from the first poll that brought any, in wall time and in this process's CPU time."""

    records: int
    wall_s: float
    cpu_s: float


def consume_raw(
    bootstrap_servers: str,
    topic: str,
    count: int,
    client_settings: Settings = NO_SETTINGS,
    outputs: Sequence[tuple[str, bytes]] = (),
) -> Consumed:
    """Reads the first `count` records of `topic` with the fetch sizes of `FrameConsumer`.

    For each record it sends `outputs` (topic and value) with the settings of `BoundedProducer` and without headers,
    and waits until all are acknowledged: the least that a loop with these outputs can cost with this client. Raises
    BrokerUnavailableError where the records don't arrive within `TIMEOUT_S`.
    """
    with ExitStack() as opened:
        settings = {"fetch_max_bytes": 2 * MAX_RECORD_BYTES, "max_poll_records": 64}
        reader = opened.enter_context(PartitionReader(bootstrap_servers, client_settings, **settings))
        if outputs:
            producer = connect(KafkaProducer, bootstrap_servers, PRODUCER_SETTINGS | dict(client_settings))
            opened.callback(producer.close)
        reader.seek(reader.first_offsets(reader.partitions(topic)))
        deadline_s = time.monotonic() + TIMEOUT_S
        records, started_s, started_cpu_s = 0, 0.0, 0.0
        while records < count:
            if time.monotonic() > deadline_s:
                raise BrokerUnavailableError(f"expected {count} records of {topic} in {TIMEOUT_S:.0f} s, got {records}")
            polled = reader.client.poll(timeout_ms=50)
            if polled and not records:
                started_s, started_cpu_s = time.perf_counter(), time.process_time()
            for batch in polled.values():
                records += len(batch)
                for record in batch:
                    for to, value in outputs:
                        producer.send(to, value, record.key)
        if outputs:
            producer.flush()
        return Consumed(records, time.perf_counter() - started_s, time.process_time() - started_cpu_s)
