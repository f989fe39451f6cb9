"""What the benchmarks of the whole loop stand on: a broker, topics of their own, and frames in them."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from gradwatch.streams.codec import encode_jpeg
from gradwatch.streams.sources import Playback, jpegs, publish
from gradwatch.streams.synthetic import Drive
from gradwatch.streams.topics import Topics
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.producer import BoundedProducer, BrokerUnavailable

from .config import Configuration, TopicNames

START_TIMEOUT_S = 60.0
FLUSH_S = 120.0
RATE_HZ = 5.0
SEED = 3000
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
auto.create.topics.enable=false
message.max.bytes=8388608
"""
LOGGING = "appender.console.type=Console\nappender.console.name=console\nrootLogger=WARN, console\n"


@contextmanager
def some_broker(configuration: Configuration, bootstrap_servers: str | None) -> Iterator[tuple[Configuration, str]]:
    """The configuration with the address of a broker, and the broker's kind.

    It is the one at `bootstrap_servers`, else an Apache Kafka started from the folder that KAFKA_HOME names, else
    the embedded one. One that is started here ends with the block.
    """
    home = os.environ.get("KAFKA_HOME")
    if bootstrap_servers:
        yield _at(configuration, bootstrap_servers), bootstrap_servers
    elif home and (Path(home) / "libs").is_dir():
        with tempfile.TemporaryDirectory(prefix="gradwatch-kafka-") as folder, _apache(Path(home), Path(folder)) as at:
            yield _at(configuration, at), "Apache Kafka"
    else:
        with EmbeddedBroker() as broker:
            yield _at(configuration, broker.bootstrap_servers), "embedded"


@contextmanager
def own_topics(configuration: Configuration, partitions: int) -> Iterator[tuple[Configuration, Topics]]:
    """The configuration with topics and a group that nobody else has; they are deleted after the block."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    topics = Topics(prefix, prefix + "frames")
    broker = configuration.broker
    ensure_topics(broker.bootstrap_servers, topics, partitions, broker.client)
    names = TopicNames(topics.frames, prefix)
    worker = replace(configuration.worker, group_id=f"{prefix}{configuration.worker.group_id}")
    try:
        yield replace(configuration, topics=names, worker=worker), topics
    finally:
        delete_topics(broker.bootstrap_servers, topics.settings(), broker.client)


def publish_at_once(
    configuration: Configuration, topics: Topics, contents: list[bytes], frames: int, partitions: int
) -> None:
    """Publishes `frames` frames in all, `contents` over and over, as one stream in each of `partitions` partitions.

    Raises BrokerUnavailable where the broker does not take them all.
    """
    with BoundedProducer(configuration.broker.bootstrap_servers, configuration.broker.client) as producer:
        for partition in range(partitions):
            share = frames // partitions + (partition < frames % partitions)
            source = jpegs([contents[seq % len(contents)] for seq in range(share)], Playback(rate_hz=RATE_HZ))
            summary = publish(
                source, producer, topics, stream_name(partition), pace=False, partition=partition, flush_s=FLUSH_S
            )
            if summary.published != share:
                raise BrokerUnavailable(
                    f"expected {share} frames published, got {summary.published}, dropped: {summary.dropped}"
                )


def stream_name(partition: int) -> str:
    """The stream whose frames are in `partition`."""
    return f"bench-{partition}"


def drive_contents(frames: int, size: tuple[int, int], quality: int, seed: int = SEED) -> list[bytes]:
    """JPEG pictures of a synthetic drive of `size` (width, height) px."""
    drive = Drive("town", seed, frames, RATE_HZ, size)
    return [encode_jpeg(drive.image(seq), quality) for seq in range(frames)]


def cpu_s(pid: int) -> float:
    """Processor time of a process so far; needs Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory that a process holds; needs Linux."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _at(configuration: Configuration, bootstrap_servers: str) -> Configuration:
    return replace(configuration, broker=replace(configuration.broker, bootstrap_servers=bootstrap_servers))


@contextmanager
def _apache(home: Path, folder: Path) -> Iterator[str]:
    """One broker in KRaft mode on free ports of loopback; its data is thrown away."""
    port, controller = _free_ports(2)
    properties, logging, log_path = folder / "server.properties", folder / "log4j2.properties", folder / "broker.log"
    properties.write_text(PROPERTIES.format(port=port, controller=controller, folder=folder))
    logging.write_text(LOGGING)
    java = ["java", "-Xmx512m", f"-Dlog4j2.configurationFile={logging}", "-cp", str(home / "libs" / "*")]
    # the first byte set: an id that begins with "-" would be read as an option
    cluster_id = base64.urlsafe_b64encode(b"g" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
    arguments = ["format", "--ignore-formatted", "-t", cluster_id, "-c", str(properties)]
    with log_path.open("wb") as log:
        subprocess.run([*java, "kafka.tools.StorageTool", *arguments], check=True, stdout=log, stderr=log)
        process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
    try:
        _wait_until_it_answers(port, process, log_path)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()  # a controlled shutdown can take 10 s
        process.wait()


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    said = log.read_text(errors="replace")[-500:]
    raise BrokerUnavailable(f"Apache Kafka did not come up on 127.0.0.1:{port}; it said: {said}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
