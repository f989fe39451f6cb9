"""Starts a temporary Apache Kafka from the jars of any download, for benchmarks and tests."""

from __future__ import annotations

import base64
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .connection import BrokerUnavailableError

START_TIMEOUT_S = 60.0
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
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""
LOGGING = "appender.console.type=Console\nappender.console.name=console\nrootLogger=WARN, console\n"


@contextmanager
def apache_kafka(home: Path, folder: Path) -> Iterator[str]:
    """Runs one broker in KRaft mode on loopback and yields its address; jars in `home/libs`, data and log in `folder`.

    Needs Java 17. Raises `BrokerUnavailableError` with the end of its log if it does not start within a minute.
    """
    port, controller = free_ports(2)
    properties, logging, log_path = folder / "server.properties", folder / "log4j2.properties", folder / "broker.log"
    properties.write_text(PROPERTIES.format(port=port, controller=controller, folder=folder))
    logging.write_text(LOGGING)
    java = ["java", "-Xmx512m", f"-Dlog4j2.configurationFile={logging}", "-cp", str(home / "libs" / "*")]
    arguments = ["format", "--ignore-formatted", "-t", new_cluster_id(), "-c", str(properties)]
    with log_path.open("wb") as log:
        subprocess.run([*java, "kafka.tools.StorageTool", *arguments], check=True, stdout=log, stderr=log)
        process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
    try:
        if not wait_until_listening(port, process, START_TIMEOUT_S):
            end_of_log = log_path.read_text(errors="replace")[-500:]
            raise BrokerUnavailableError(f"Apache Kafka did not start on 127.0.0.1:{port}; its log: {end_of_log}")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()  # a controlled shutdown can take 10 s
        process.wait()


def free_ports(count: int) -> list[int]:
    """`count` ports of loopback that are free now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def new_cluster_id() -> str:
    """An id for a new cluster. Its first byte is fixed: an id that begins with "-" would be read as an option."""
    return base64.urlsafe_b64encode(b"g" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def is_listening(port: int) -> bool:
    """Whether a server accepts connections on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_listening(port: int, process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether a server listens on this port of loopback before `process` ends or the time is over."""
    deadline_s = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline_s:
        if is_listening(port):
            return True
        time.sleep(0.05)
    return False
