"""Brokers for the integration tests: the embedded one always, Apache Kafka where KAFKA_HOME names one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradwatch.streams.wire.topics import Topics

from ...brokers import temporary_topics

PARTITIONS = 3


@pytest.fixture(scope="session")
def broker(every_broker: str) -> str:
    """Address of a running broker; each test that uses it runs once on every kind."""
    return every_broker


@pytest.fixture
def topics(broker: str) -> Iterator[Topics]:
    """Fresh topics, frames with three partitions."""
    with temporary_topics(broker, PARTITIONS) as topics:
        yield topics
