"""Brokers for the integration tests: Tansu always, Apache Kafka where KAFKA_HOME names a folder with `libs/*.jar`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.streams.topics import Topics
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.apache import apache_kafka
from gradwatch.streams.transport.embedded import EmbeddedBroker

PARTITIONS = 3


@pytest.fixture(scope="session", params=["tansu", "kafka"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running broker; each test that uses it runs once on every kind."""
    if request.param == "tansu":
        with EmbeddedBroker() as tansu:
            yield tansu.bootstrap_servers
        return
    home = Path(os.environ.get("KAFKA_HOME", "/nonexistent"))
    if not (home / "libs").is_dir():
        pytest.skip("KAFKA_HOME names no folder with libs/*.jar of an Apache Kafka")
    with apache_kafka(home, tmp_path_factory.mktemp("kafka")) as address:
        yield address


@pytest.fixture
def topics(broker: str) -> Iterator[Topics]:
    """Fresh topics, frames with three partitions."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    topics = Topics(prefix, prefix + "frames")
    ensure_topics(broker, topics, PARTITIONS)
    yield topics
    delete_topics(broker, topics.settings())
