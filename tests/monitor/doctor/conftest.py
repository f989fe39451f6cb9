"""A broker with all topics, for the tests of the doctor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.wire.topics import Topics


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """Its address."""
    with EmbeddedBroker() as running:
        ensure_topics(running.bootstrap_servers, Topics(), partitions=2)
        yield running.bootstrap_servers
