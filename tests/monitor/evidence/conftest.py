"""A broker with topics: Apache Kafka if KAFKA_HOME names a folder with `libs/*.jar`, else the embedded broker."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.wire.topics import Topics

from .live import RunPublisher


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> str:
    """Address of an Apache Kafka if there is one, else of the embedded broker."""
    has_kafka = (Path(os.environ.get("KAFKA_HOME", "/nonexistent")) / "libs").is_dir()
    address: str = request.getfixturevalue("kafka" if has_kafka else "tansu")
    return address


@pytest.fixture
def topics(broker: str) -> Iterator[Topics]:
    """Fresh topics, frames with two partitions."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    topics = Topics(prefix, prefix + "frames")
    ensure_topics(broker, topics, 2)
    yield topics
    delete_topics(broker, topics.settings())


@pytest.fixture
def runs(broker: str, topics: Topics) -> Iterator[RunPublisher]:
    """Publishes runs and alerts to the fresh topics."""
    made = RunPublisher(broker, topics)
    yield made
    made.close()
