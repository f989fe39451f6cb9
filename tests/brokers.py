"""Topics of a test's own, so that tests may share a broker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from .waiting import LIMIT_S


def unused_names() -> Topics:
    """Names that no other test uses."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    return Topics(prefix, prefix + "frames")


def make_topics(servers: str, partitions: int) -> Topics:
    """Topics under unused names, on a broker that ends with the test's module or session."""
    names = unused_names()
    ensure_topics(servers, names, partitions)
    return names


@contextmanager
def temporary_topics(servers: str, partitions: int) -> Iterator[Topics]:
    """The same, deleted after use: the embedded broker keeps all records in memory."""
    names = make_topics(servers, partitions)
    yield names
    delete_topics(servers, names.settings())


def read_records(servers: str, topics: Collection[str], at_least: int, client: Mapping[str, Any] = {}) -> list[Record]:
    """All records of `topics` once there are `at_least`, with what comes within a second more; fails on too few."""
    found: list[Record] = []
    deadline_s = time.monotonic() + LIMIT_S
    with TopicReader(servers, list(topics), client) as reader:
        while len(found) < at_least:
            if time.monotonic() > deadline_s:
                pytest.fail(f"expected {at_least} records in {', '.join(topics)}, got {len(found)}")
            found += reader.poll(0.2)
        end_s = time.monotonic() + 1.0
        while time.monotonic() < end_s and (more := reader.poll(0.2)):
            found += more
    return found
