"""Setup of the benchmarks of the whole loop: a broker, temporary topics, and frames in them."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec.structs import replace

from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.apache import apache_kafka
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.topics import Topics
from gradwatch.streams.world.drive import Drive

from ..config import Configuration, TopicNames

FLUSH_S = 120.0
RATE_HZ = 5.0
SEED = 3000


@contextmanager
def open_broker(configuration: Configuration, bootstrap_servers: str | None) -> Iterator[tuple[Configuration, str]]:
    """The configuration with the address of a broker, and the broker's address or kind.

    The broker is the one at `bootstrap_servers`, else an Apache Kafka started from the folder that KAFKA_HOME names,
    else the embedded one. A broker that is started here is stopped after the block.
    """
    home = os.environ.get("KAFKA_HOME")
    with ExitStack() as stack:
        if bootstrap_servers:
            servers = kind = bootstrap_servers
        elif home and (Path(home) / "libs").is_dir():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gradwatch-kafka-"))
            servers, kind = stack.enter_context(apache_kafka(Path(home), Path(folder))), "Apache Kafka"
        else:
            servers, kind = stack.enter_context(EmbeddedBroker()).bootstrap_servers, "embedded"
        yield replace(configuration, broker=replace(configuration.broker, bootstrap_servers=servers)), kind


@contextmanager
def temporary_topics(configuration: Configuration, partitions: int) -> Iterator[tuple[Configuration, Topics]]:
    """The configuration with new topics and a new consumer group; the topics are deleted after the block."""
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
    """Publishes `frames` frames in total, repeating `contents`, as one stream in each of `partitions` partitions.

    Raises BrokerUnavailableError if the broker does not accept all of them.
    """
    with BoundedProducer(configuration.broker.bootstrap_servers, configuration.broker.client) as producer:
        for partition in range(partitions):
            share = frames // partitions + (partition < frames % partitions)
            source = jpegs([contents[seq % len(contents)] for seq in range(share)], Playback(rate_hz=RATE_HZ))
            summary = publish(
                source, producer, topics, stream_name(partition), pace=False, partition=partition, flush_s=FLUSH_S
            )
            if summary.published != share:
                raise BrokerUnavailableError(
                    f"expected {share} frames published, got {summary.published}, dropped: {summary.dropped}"
                )


def stream_name(partition: int) -> str:
    """The id of the stream whose frames are in `partition`."""
    return f"bench-{partition}"


def drive_contents(frames: int, size: tuple[int, int], quality: int) -> list[bytes]:
    """JPEG pictures of a synthetic drive of `size` (width, height) px."""
    drive = Drive("town", SEED, frames, RATE_HZ, size)
    return [encode_jpeg(drive.image(seq), quality) for seq in range(frames)]


def cpu_s(pid: int) -> float:
    """Processor time of a process so far; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; Linux only."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
