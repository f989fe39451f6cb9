"""Brokers for the integration tests: Tansu always, Apache Kafka where KAFKA_HOME names a folder with `libs/*.jar`."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gradwatch.streams.topics import Topics
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker

PARTITIONS = 3

PROPERTIES = """
node.id=1
process.roles=broker,controller
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={folder}/data
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
message.max.bytes=8388608
"""
LOGGING = """
appender.console.type=Console
appender.console.name=console
rootLogger=WARN, console
"""


@contextmanager
def apache_kafka(home: Path, folder: Path) -> Iterator[str]:
    """One broker in KRaft mode on free ports of loopback."""
    port, controller = free_ports(2)
    properties, logging = folder / "server.properties", folder / "log4j2.properties"
    properties.write_text(PROPERTIES.format(port=port, controller=controller, folder=folder))
    logging.write_text(LOGGING)
    java = ["java", "-Xmx384m", f"-Dlog4j2.configurationFile={logging}", "-cp", str(home / "libs" / "*")]
    cluster_id = base64.urlsafe_b64encode(b"g" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
    arguments = ["format", "--ignore-formatted", "-t", cluster_id, "-c", str(properties)]
    with (folder / "broker.log").open("wb") as log:
        subprocess.run([*java, "kafka.tools.StorageTool", *arguments], check=True, stdout=log, stderr=log)
        process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
    try:
        wait_for_port(port, process, folder / "broker.log")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()  # its data is thrown away; a controlled shutdown can take 10 s
        process.wait()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()[-2000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.25)
    raise AssertionError(f"no broker on port {port} after 60 s: {log.read_text()[-2000:]}")


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
