"""Brokers for the integration tests: Tansu always, Apache Kafka where KAFKA_HOME names a folder with `libs/*.jar`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.wire.topics import Topics

PARTITIONS = 3


@pytest.fixture(scope="session", params=["tansu", "kafka"])
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a running broker; each test that uses it runs once on every kind."""
    if request.param == "kafka":
        yield request.getfixturevalue("kafka")
        return
    with EmbeddedBroker() as tansu:
        yield tansu.bootstrap_servers


@pytest.fixture
def topics(broker: str) -> Iterator[Topics]:
    """Fresh topics, frames with three partitions."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    topics = Topics(prefix, prefix + "frames")
    ensure_topics(broker, topics, PARTITIONS)
    yield topics
    delete_topics(broker, topics.settings())
