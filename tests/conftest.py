"""Fixtures that several tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.streams.transport import apache
from gradwatch.streams.transport.embedded import EmbeddedBroker, EmbeddedBrokerMissingError
from tests.places import ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("GRADWATCH_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"development data not found at {folder} (set GRADWATCH_SHARED)")
    return folder


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """Address of an embedded broker, for all tests that leave it whole and use topics of their own."""
    try:
        with EmbeddedBroker() as broker:
            yield broker.bootstrap_servers
    except EmbeddedBrokerMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """The folder of a downloaded Apache Kafka; tests that need one skip where it is absent."""
    home = Path(os.environ.get("KAFKA_HOME", "/nonexistent"))
    if not (home / "libs").is_dir():
        pytest.skip("KAFKA_HOME names no folder with libs/*.jar of an Apache Kafka")
    return home


@pytest.fixture(scope="session")
def kafka(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an Apache Kafka of one broker, for all tests that leave it whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apache, "START_TIMEOUT_S", 300.0)  # on a machine that others keep busy
        with apache.apache_kafka(kafka_home, tmp_path_factory.mktemp("kafka")) as address:
            yield address
