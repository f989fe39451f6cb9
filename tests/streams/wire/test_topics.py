from __future__ import annotations

import pytest

from gradwatch.streams.wire.topics import MAX_RECORD_BYTES, Topics

from ...places import DOCS

WIRE = DOCS / "wire.md"
NAMES = ("frames", "reports", "overlays", "alerts", "attachments", "health", "state", "verdicts", "dlq")


def test_names_by_default() -> None:
    topics = Topics()
    assert [getattr(topics, name) for name in NAMES] == [f"gradwatch.{name}" for name in NAMES]


def test_a_second_look_reads_the_same_frames_under_another_prefix() -> None:
    topics = Topics(prefix="second.", frames="site.cameras")
    assert topics.frames == "site.cameras"
    assert {getattr(topics, name) for name in NAMES[1:]} == {f"second.{name}" for name in NAMES[1:]}


def test_every_topic_has_settings_and_takes_the_largest_record() -> None:
    topics = Topics("p.", "f")
    settings = topics.settings()
    assert set(settings) == {getattr(topics, name) for name in NAMES}
    assert all(s.configs["max.message.bytes"] == str(MAX_RECORD_BYTES) for s in settings.values())


def test_state_and_verdicts_have_the_partitions_of_the_frames() -> None:
    topics = Topics()
    for asked, settings in ((24, topics.settings()), (6, topics.settings(6))):
        assert {settings[name].partitions for name in (topics.frames, topics.state, topics.verdicts)} == {asked}


def test_compacted_topics_close_their_segments_soon() -> None:
    topics = Topics()
    for name in (topics.state, topics.verdicts):
        configs = topics.settings()[name].configs
        assert configs["cleanup.policy"] == "compact"
        assert (configs["segment.bytes"], configs["segment.ms"]) == (str(8 * 1024 * 1024), "60000")


def test_frames_stay_a_quarter_of_an_hour_and_are_not_compressed() -> None:
    configs = Topics().settings()["gradwatch.frames"].configs
    assert int(configs["retention.ms"]) >= 15 * 60_000 > int(configs["segment.ms"])
    assert configs["compression.type"] == "uncompressed"


def test_frames_stay_for_the_evidence_of_an_alert_and_the_lag_that_is_allowed() -> None:
    configs = Topics(lag_budget_s=0.0).settings()["gradwatch.frames"].configs
    assert int(configs["retention.ms"]) == 65_000 > int(configs["segment.ms"])
    assert Topics(lag_budget_s=3535.0).settings()["gradwatch.frames"].configs["retention.ms"] == "3600000"
    with pytest.raises(ValueError, match="at least 0, got -1"):
        Topics(lag_budget_s=-1.0)


def test_the_documentation_lists_every_topic() -> None:
    text = WIRE.read_text()
    assert all(f"| `{name}` |" in text for name in NAMES)
