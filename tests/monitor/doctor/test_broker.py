"""The doctor's checks of broker, topics and clocks, on a real broker and on none."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from gradwatch.monitor.config import load
from gradwatch.monitor.doctor import broker as brokers
from gradwatch.monitor.doctor.checks import CHECKS, Check, run_checks
from gradwatch.monitor.doctor.results import Context, Status
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.wire.topics import Topics

from .builders import context

PASSWORD = "hunter2-behind-the-door"


def test_a_missing_broker_is_asked_once() -> None:
    nobody = context(broker={"bootstrap_servers": "127.0.0.1:1"})
    (row,) = brokers.broker(nobody)
    assert (row.status, row.is_fault) == (Status.MISSING, True)
    assert "127.0.0.1:1" in row.found
    asking = tuple(check for check in CHECKS if check.run in (brokers.broker, brokers.topics, brokers.clocks))
    found = [row for rows in run_checks(nobody, asking).values() for row in rows]
    assert [(row.subject, row.status) for row in found] == [
        ("broker", Status.MISSING),
        ("topics", Status.UNKNOWN),
        ("clocks", Status.UNKNOWN),
    ]
    assert {row.found for row in found[1:]} == {"needs the broker"}  # so they don't ask again


def test_a_refusal_shows_no_password(tmp_path: Path) -> None:
    """kafka-python quotes values that it can't use."""
    config = tmp_path / "gradwatch.yaml"
    config.write_text(f"broker: {{client: {{sasl_plain_password: '{PASSWORD}', api_version: '{PASSWORD}'}}}}\n")
    (row,) = run_checks(Context(load(config)), [Check("broker", brokers.broker)])["broker"]
    assert row.is_fault
    assert PASSWORD not in row.found


def test_a_missing_topic_names_the_command_that_creates_it(broker: str) -> None:
    names = Topics("lost.", "lost.frames")
    ensure_topics(broker, names, partitions=2)
    delete_topics(broker, [names.alerts])
    lost = context(broker={"bootstrap_servers": broker}, topics={"frames": "lost.frames", "prefix": "lost."})
    (row,) = (row for row in brokers.topics(replace(lost, mend_topics="gradwatch topics --mend -c x")) if row.is_fault)
    assert (row.subject, row.status) == ("topic lost.alerts", Status.MISSING)
    assert row.remedy == "gradwatch topics --mend -c x"
    assert not [row for row in brokers.topics(context(broker={"bootstrap_servers": broker})) if row.is_fault]
    empty = context(broker={"bootstrap_servers": broker}, topics={"frames": "none.frames", "prefix": "none."})
    (row,) = brokers.topics(empty)
    assert (row.status, row.found) == (Status.MISSING, f"none of the {len(Topics().settings())} exists")


@pytest.mark.parametrize(
    ("age_ms", "status", "found"),
    [
        (None, Status.UNKNOWN, "no frame published yet"),
        (-300.0, Status.WRONG, "300 ms in the future"),
        (-100.0, Status.OK, "0.0 s ago"),
        (7_300_000.0, Status.OK, "2 hours ago"),
    ],
)
def test_a_frame_from_the_future_means_a_wrong_clock(age_ms: float | None, status: Status, found: str) -> None:
    row = brokers.source_clock(age_ms)
    assert row.status is status
    assert found in row.found
