"""Fixtures that several tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.streams.transport import apache
from gradwatch.streams.transport.embedded import EmbeddedBroker, EmbeddedBrokerMissingError
from tests.places import ROOT


def has_kafka() -> bool:
    """Whether KAFKA_HOME names a folder with `libs/*.jar` of an Apache Kafka."""
    return "KAFKA_HOME" in os.environ and (Path(os.environ["KAFKA_HOME"]) / "libs").is_dir()


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


@pytest.fixture(scope="session", params=["tansu", "kafka"])
def every_broker(request: pytest.FixtureRequest) -> str:
    """Address of a broker; each test that uses it runs on the embedded one, and on Apache Kafka where there is one."""
    address: str = request.getfixturevalue("embedded" if request.param == "tansu" else "kafka")
    return address


@pytest.fixture(scope="session")
def best_broker(request: pytest.FixtureRequest) -> str:
    """Address of an Apache Kafka where there is one, else of the embedded broker."""
    address: str = request.getfixturevalue("kafka" if has_kafka() else "embedded")
    return address


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """The folder of a downloaded Apache Kafka; tests that need one skip where it is absent."""
    if not has_kafka():
        pytest.skip("KAFKA_HOME names no folder with libs/*.jar of an Apache Kafka")
    return Path(os.environ["KAFKA_HOME"])


@pytest.fixture(scope="session")
def kafka(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an Apache Kafka of one broker, for all tests that leave it whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apache, "START_TIMEOUT_S", 300.0)  # on a machine that others keep busy
        with apache.apache_kafka(kafka_home, tmp_path_factory.mktemp("kafka")) as address:
            yield address
