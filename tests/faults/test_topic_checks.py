"""`work` names what is wrong with the topics before it begins, and the command that mends it does."""

from __future__ import annotations

import re
import shlex

import pytest
from kafka import KafkaAdminClient

from gradwatch.streams.transport.admin import check_topics, ensure_topics

from ..verbs import said_by


@pytest.fixture
def admin(cluster):
    client = KafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    yield client
    client.close()


@pytest.fixture
def config(cluster, names, tmp_path):
    path = tmp_path / "gradwatch.yaml"
    path.write_text(
        f"broker: {{bootstrap_servers: '{cluster.bootstrap_servers}'}}\n"
        f"topics: {{frames: {names.frames}, prefix: {names.prefix}}}\n"
        f"worker: {{group_id: {names.prefix}group}}\n"
    )
    return path


def mend_as_told(said: str) -> str:
    """Runs the command that the output names."""
    told = re.findall(r"gradwatch topics --mend[^\n\"]*", said)
    assert told, said
    code, done = said_by(*shlex.split(told[-1])[1:])
    assert code == 0, done
    return done


def test_missing_topics_stop_a_worker_until_they_are_made(cluster, names, config):
    code, said = said_by("work", "--config", config, "--until-idle", 0.5)
    assert code == 1
    assert "Traceback" not in said
    for name in names.settings():
        assert f"topic {name}: expected topic to exist" in said
    mend_as_told(said)
    assert check_topics(cluster.bootstrap_servers, names) == []


def test_a_frames_topic_that_is_too_small_or_too_short_is_named_and_mended(cluster, names, config, admin):
    configs = {"max.message.bytes": "1000000", "retention.ms": "60000"}
    admin.create_topics({names.frames: {"num_partitions": 3, "replication_factor": 1, "configs": configs}})
    admin.wait_for_topics([names.frames])
    ensure_topics(cluster.bootstrap_servers, names, 24)
    problems = {problem.setting for problem in check_topics(cluster.bootstrap_servers, names)}
    assert problems == {"max.message.bytes", "retention.ms", "segment.ms", "compression.type"}  # not partitions
    code, said = said_by("work", "--config", config, "--until-idle", 0.5)
    assert code == 0, said  # it works, but says so
    assert f"topic {names.frames}: expected max.message.bytes 8388608, got 1000000" in said
    assert f"topic {names.frames}: expected retention.ms 900000, got 60000" in said
    mend_as_told(said.replace("'", ""))
    assert check_topics(cluster.bootstrap_servers, names) == []


def test_fewer_partitions_of_state_are_named_and_raised(cluster, names, config, admin):
    admin.create_topics({names.state: {"num_partitions": 1, "replication_factor": 1}})
    admin.wait_for_topics([names.state])
    ensure_topics(cluster.bootstrap_servers, names, 4)
    code, said = said_by("work", "--config", config, "--until-idle", 0.5)
    assert code == 1
    assert f"topic {names.state}: expected partitions 4, got 1" in said
    done = mend_as_told(said)
    assert "partitions is now 4" in done
    assert check_topics(cluster.bootstrap_servers, names) == []


def test_more_partitions_of_state_can_only_be_made_anew(cluster, names, config, admin):
    admin.create_topics({names.state: {"num_partitions": 5, "replication_factor": 1}})
    admin.wait_for_topics([names.state])
    ensure_topics(cluster.bootstrap_servers, names, 4)
    code, said = said_by("topics", "--mend", "--config", config)
    assert code == 1
    assert f"--delete --topic {names.state}" in said
