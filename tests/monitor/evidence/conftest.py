"""A broker with topics: Apache Kafka if KAFKA_HOME names a folder with `libs/*.jar`, else the embedded broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradwatch.streams.wire.topics import Topics

from ...brokers import temporary_topics
from .live import RunPublisher


@pytest.fixture
def broker(best_broker: str) -> str:
    """Its address."""
    return best_broker


@pytest.fixture
def topics(broker: str) -> Iterator[Topics]:
    """Fresh topics, frames with two partitions."""
    with temporary_topics(broker, 2) as topics:
        yield topics


@pytest.fixture
def runs(broker: str, topics: Topics) -> Iterator[RunPublisher]:
    """Publishes runs and alerts to the fresh topics."""
    made = RunPublisher(broker, topics)
    yield made
    made.close()
