"""What a broker says of itself: how many brokers there are, how new their protocol is, and what time it is for them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError
from ulid import ULID

from .connection import Settings, connect

PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class BrokerAnswer:
    """Brokers of the cluster, the version of Apache Kafka whose protocol they speak, and how long the answer took.

    `protocol` is what their requests tell, so another make of broker has one too; None where it is not told.
    """

    brokers: int
    protocol: str | None
    answer_ms: float


def ask_broker(bootstrap_servers: str, client_settings: Settings = {}) -> BrokerAnswer:  # noqa: B006 (only read)
    """Who answers at `bootstrap_servers`. Raises BrokerUnavailableError, BrokerRefusedError."""
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        begun_s = time.perf_counter()
        brokers = admin.describe_cluster()["brokers"]
        answer_ms = 1000 * (time.perf_counter() - begun_s)
        return BrokerAnswer(len(brokers), _protocol(admin, brokers), answer_ms)


def newest_record_age_ms(
    bootstrap_servers: str,
    topic: str,
    client_settings: Settings = {},  # noqa: B006 (only read)
) -> float | None:
    """How long ago the latest timestamp of a topic is by this machine's clock; negative when it lies ahead.

    None where the topic is empty or the broker does not tell (KIP-734: Apache Kafka from 3.0). Nothing is read.
    Raises BrokerUnavailableError, BrokerRefusedError, KafkaError for a topic that is not there.
    """
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        partitions = admin.describe_topics([topic])[0]["partitions"]
        newest = {TopicPartition(topic, told["partition_index"]): OffsetSpec.MAX_TIMESTAMP for told in partitions}
        try:
            stamps_ms = [found.timestamp for found in admin.list_partition_offsets(newest).values()]
        except KafkaError:
            return None
        now_ms = time.time() * 1000
    latest_ms = max(stamps_ms, default=-1)
    return now_ms - latest_ms if latest_ms > 0 else None


def broker_clock_ahead_ms(bootstrap_servers: str, client_settings: Settings = {}) -> float | None:  # noqa: B006
    """How far the broker's clock is ahead of this machine's; None where it does not stamp records.

    A broker tells its time only as that of a record, so one is written to a topic made for it and deleted after. Half
    of the time between sending it and the answer is the error. Raises BrokerUnavailableError, BrokerRefusedError, KafkaError.
    """
    topic = f"gradwatch-clock-{ULID()}"
    creation = {
        "num_partitions": 1,
        "replication_factor": -1,
        "configs": {"message.timestamp.type": "LogAppendTime", "retention.ms": "60000"},
    }
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        admin.create_topics({topic: creation})
        try:
            admin.wait_for_topics([topic], timeout_ms=int(PROBE_TIMEOUT_S * 1000))
            return _ahead_ms(bootstrap_servers, topic, client_settings)
        finally:
            admin.delete_topics([topic])


def _ahead_ms(bootstrap_servers: str, topic: str, client_settings: Settings) -> float | None:
    producer = connect(KafkaProducer, bootstrap_servers, client_settings)
    try:
        for _ in range(2):  # the first one also finds its way to the leader
            sent_ms = time.time() * 1000
            # Of 1970, so that a stamp of the broker's own can be told from ours.
            stamped_ms = producer.send(topic, b"", timestamp_ms=1).get(PROBE_TIMEOUT_S).timestamp
            answered_ms = time.time() * 1000
    finally:
        producer.close(1)
    return None if stamped_ms <= 1 else stamped_ms - (sent_ms + answered_ms) / 2


def _protocol(admin: Any, brokers: list[dict[str, Any]]) -> str | None:
    try:
        version = admin.get_broker_version_data(brokers[0]["broker_id"]).broker_version
    except (KafkaError, AttributeError, IndexError, KeyError):
        return None
    return ".".join(map(str, version))
