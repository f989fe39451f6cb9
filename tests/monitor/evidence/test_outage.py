"""A broker that dies while evidence is due, and comes back: nothing is lost and no thread has ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.monitor.evidence.mcap_reader import read_evidence
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.wire.topics import Topics

from ...faults.cluster import Cluster
from ...waiting import wait_until
from .live import RunPublisher, attachments, serving
from .scenes import alert

pytestmark = pytest.mark.faults

TOPICS = Topics("outage.", "outage.frames")


@pytest.fixture
def cluster(kafka_home: Path, tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "kafka").mkdir()
    mortal = Cluster(kafka_home, tmp_path / "kafka", 1)
    try:
        mortal.start()
        yield mortal
    finally:
        mortal.close()


def test_a_broker_that_goes_and_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    servers = cluster.bootstrap_servers
    ensure_topics(servers, TOPICS, 2)
    runs = RunPublisher(servers, TOPICS)
    own = runs.frames(range(112), 10)
    with serving(servers, TOPICS, tmp_path / "evidence") as service:
        runs.alert(alert(own[60], own[70]))  # 5 s after its last frame there is nothing yet
        wait_until(lambda: bool(service._pending), 120)
        cluster.kill(1)
        wait_until(lambda: any("broker_unavailable" in why for why in service.failures()), 120)
        cluster.restart(1)
        own |= runs.frames(range(112, 200), 10)
        (made,) = attachments(servers, TOPICS, 1, timeout_s=240)
    assert read_evidence(tmp_path / "evidence" / made.path).frames == [own[seq] for seq in range(10, 121)]
    runs.close()
