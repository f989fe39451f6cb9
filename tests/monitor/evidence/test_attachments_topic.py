"""The topic of the attachments takes none for a while: the evidence is announced once it does again."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradwatch.monitor.evidence import archiver

from ...brokers import make_topics
from ...faults.topic_faults import FAULTS
from ...waiting import LIMIT_S, wait_until
from .live import RunPublisher, attachments, serving
from .scenes import alert


@pytest.mark.parametrize("fault", FAULTS)
def test_evidence_waits_while_the_topic_of_attachments_takes_none(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(archiver, "ACKNOWLEDGED_S", 2.0)
    topics = make_topics(kafka, 2)
    runs = RunPublisher(kafka, topics)
    own = runs.frames(range(160), 10)
    mend = FAULTS[fault](kafka, topics, topics.attachments)
    about = alert(own[60], own[70])
    runs.alert(about)
    with serving(kafka, topics, tmp_path) as service:
        wait_until(service.failures, LIMIT_S, "a failed attempt")
        mend()
        (made,) = attachments(kafka, topics, 1, LIMIT_S)
    runs.close()
    assert made.alert_id == about.alert_id
    assert (tmp_path / made.path).stat().st_size == made.size_bytes
