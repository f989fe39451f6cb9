"""Brokers that may be killed, topics of a test's own, and figures that are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.wire.topics import Topics

from ..brokers import unused_names
from ..places import RUNS
from .cluster import Cluster
from .figures import Figures, is_quick, open_figures


@pytest.fixture(scope="session")
def cluster(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One broker for all tests that leave it whole."""
    one = Cluster(kafka_home, tmp_path_factory.mktemp("kafka"), 1)
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def mortal_cluster(
    request: pytest.FixtureRequest, kafka_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """As many brokers as the parameter says, for tests that kill them."""
    mortal = Cluster(kafka_home, tmp_path_factory.mktemp("kafka"), request.param)
    try:
        mortal.start()
        yield mortal
    finally:
        mortal.close()


@pytest.fixture
def names() -> Topics:
    """Names that no other test uses; the topics are not made."""
    return unused_names()


@pytest.fixture
def topics(cluster: Cluster, names: Topics) -> Iterator[Topics]:
    """Fresh topics on `cluster`, frames with four partitions."""
    ensure_topics(cluster.bootstrap_servers, names, 4)
    yield names
    delete_topics(cluster.bootstrap_servers, names.settings())


@pytest.fixture(autouse=True)
def quiet_client() -> None:
    """The client of this process logs every attempt at a broker that is away, which is what is tested."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@pytest.fixture
def quick() -> bool:
    """Whether the short form of a long test was asked for."""
    return is_quick()


@pytest.fixture
def figures(request: pytest.FixtureRequest, quick: bool) -> Figures:
    """Skips the test where its figures are kept already."""
    name = request.function.__name__.removeprefix("test_")
    return open_figures(RUNS / "faults" / f"{name}.json", quick=quick)
