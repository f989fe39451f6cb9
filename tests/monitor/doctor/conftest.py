"""A broker with all topics, for the tests of the doctor."""

from __future__ import annotations

import pytest

from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.wire.topics import Topics


@pytest.fixture(scope="session")
def broker(embedded: str) -> str:
    """Its address."""
    ensure_topics(embedded, Topics(), partitions=2)
    return embedded
