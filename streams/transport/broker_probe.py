"""Probes a cluster: how many brokers, which protocol version, and how its clock stands to this machine's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError
from ulid import ULID

from .client.settings import NO_SETTINGS, Settings
from .connection import connect

PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class ClusterDescription:
    """Number of brokers, the Apache Kafka version whose protocol they speak (None if unknown), and the response time.

    `protocol` is inferred from the requests that a broker supports, so other makes of broker have one too.
    """

    brokers: int
    protocol: str | None
    answer_ms: float


def describe_cluster(bootstrap_servers: str, client_settings: Settings = NO_SETTINGS) -> ClusterDescription:
    """Describes the cluster at `bootstrap_servers`. Raises BrokerUnavailableError, BrokerRefusedError."""
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        begun_s = time.perf_counter()
        brokers = admin.describe_cluster()["brokers"]
        answer_ms = 1000 * (time.perf_counter() - begun_s)
        return ClusterDescription(len(brokers), _protocol(admin, brokers), answer_ms)


def newest_record_age_ms(bootstrap_servers: str, topic: str, client_settings: Settings = NO_SETTINGS) -> float | None:
    """How long ago the latest timestamp of a topic is by this machine's clock; negative when it lies ahead.

    None where the topic is empty or the broker can't tell (KIP-734: Apache Kafka from 3.0). No record is read.
    Raises BrokerUnavailableError, BrokerRefusedError, KafkaError for a missing topic.
    """
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        partitions = admin.describe_topics([topic])[0]["partitions"]
        newest = {TopicPartition(topic, one["partition_index"]): OffsetSpec.MAX_TIMESTAMP for one in partitions}
        try:
            stamps_ms = [found.timestamp for found in admin.list_partition_offsets(newest).values()]
        except KafkaError:
            return None
        now_ms = time.time() * 1000
    latest_ms = max(stamps_ms, default=-1)
    return now_ms - latest_ms if latest_ms > 0 else None


def broker_clock_ahead_ms(bootstrap_servers: str, client_settings: Settings = NO_SETTINGS) -> float | None:
    """How far the broker's clock is ahead of this machine's; None where it does not stamp records.

    A broker shows its time only in the timestamp of a record, so one is written to a temporary topic. The error is
    at most half of the round trip. Raises BrokerUnavailableError, BrokerRefusedError, KafkaError.
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
        for _ in range(2):  # the first one also looks up the leader
            sent_ms = time.time() * 1000
            # Stamped 1970, so that the broker's own stamp differs from ours.
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
