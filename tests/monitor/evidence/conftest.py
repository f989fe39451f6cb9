"""A broker for the service: Apache Kafka where there is one, else the embedded one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradwatch.streams.wire.topics import Topics

from ...brokers import temporary_topics


@pytest.fixture
def broker(best_broker: str) -> str:
    """Its address."""
    return best_broker


@pytest.fixture
def topics(broker: str) -> Iterator[Topics]:
    """Fresh topics, frames with two partitions."""
    with temporary_topics(broker, 2) as topics:
        yield topics
