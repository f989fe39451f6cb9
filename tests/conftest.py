"""Fixtures that several tests share, and how tests are marked and distributed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gradwatch.streams.transport import apache
from gradwatch.streams.transport.embedded import EmbeddedBroker, EmbeddedBrokerMissingError

from . import scheduling
from .places import ROOT
from .scheduling import MAY_START, SERVICE, SLOW

PROCESSES_PER_CORE = 1.5  # tests wait half of their time
running: list[pytest.Item] = []  # the test that runs now


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if scheduling.needs_service(item):
            item.add_marker(SERVICE)
        if scheduling.is_slow(item):
            item.add_marker(SLOW)
    if hasattr(config, "workerinput"):  # one of several processes
        groups = {item: scheduling.group_of(item, has_kafka()) for item in items}
        for item, group in groups.items():
            item.add_marker(pytest.mark.xdist_group(group))
        items.sort(key=lambda item: scheduling.rank_of(groups[item]))


@pytest.hookimpl(optionalhook=True)  # where xdist is not installed
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto` starts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, round(PROCESSES_PER_CORE * cores))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    running[:] = [item]
    try:
        return (yield)
    finally:
        running.clear()


@pytest.fixture(scope="session", autouse=True)
def only_services_start_processes() -> Iterator[None]:
    """A test that starts a process and is not marked for it fails: `make test-fast` must stay fast."""
    start = subprocess.Popen.__init__

    def checked(self: subprocess.Popen[Any], command: Any, *arguments: Any, **options: Any) -> None:
        program = command if isinstance(command, str) else command[0]
        if running and not running[0].get_closest_marker(SERVICE) and program not in MAY_START:
            pytest.fail(f"{running[0].nodeid} starts {program}: mark it with pytest.mark.{SERVICE}")
        start(self, command, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", checked)
        yield


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
