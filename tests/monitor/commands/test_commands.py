"""The verbs as a user types them, on a real broker and real models."""

from __future__ import annotations

import json

import pytest

from gradwatch.streams.wire.messages import Outcome
from gradwatch.streams.wire.outputs import decode_report

from ...brokers import read_records, unused_names
from ...places import MOTORWAY
from ...verbs import said_by


def gradwatch(*arguments: object, code: int = 0) -> str:
    """What the verb said; fails unless it ended with `code`."""
    ended, said = said_by(*arguments)
    assert ended == code, said
    return said


def test_help_names_the_verbs():
    said = gradwatch("--help")
    for verb in ("demo", "replay", "work", "calibrate", "topics", "bench", "evaluate"):
        assert verb in said


def test_a_misspelt_key_names_the_right_one_in_one_line(tmp_path):
    config = tmp_path / "gradwatch.yaml"
    config.write_text("worker:\n  polcy: live\n")
    said = gradwatch("work", "--config", config, code=1)
    assert "polcy" in said
    assert "`policy`" in said
    assert "Traceback" not in said


def test_a_missing_broker_is_said_in_one_line():
    said = gradwatch("topics", "--bootstrap-servers", "127.0.0.1:1", code=1)
    assert "127.0.0.1:1" in said
    assert "Traceback" not in said


def test_too_few_frames_says_how_many_are_missing(tmp_path):
    out = tmp_path / "c.calibration"
    said = gradwatch("calibrate", MOTORWAY, "--last", 29, "--source", "motorway", "--out", out, code=1)
    assert "70 are missing" in said
    assert not out.exists()


def test_calibrate_then_replay_then_work(embedded, tmp_path):
    made = tmp_path / "motorway.calibration"
    said = gradwatch("calibrate", MOTORWAY, "--last", 109, "--rate", 5, "--source", "motorway", "--out", made)
    assert "provisional" in said
    config, names = tmp_path / "gradwatch.yaml", unused_names()
    config.write_text(
        f"broker: {{bootstrap_servers: '{embedded}'}}\n"
        f"topics: {{frames: {names.frames}, prefix: {names.prefix}}}\n"
        f"worker: {{policy: every_frame, group_id: {names.prefix}group, session_timeout_s: 3}}\n"
        f"streams: {{motorway: {{calibration: '{made}'}}}}\n"
    )
    gradwatch("topics", "--config", config, "--create", "--partitions", 2)
    counts = tmp_path / "published.json"
    played = ["--first", 110, "--last", 139, "--rate", 5, "--no-pace", "--json", counts]
    gradwatch("replay", MOTORWAY, "--stream-id", "motorway", "--config", config, *played)
    gradwatch("work", "--config", config, "--until-idle", 2)
    reports = [decode_report(record.value) for record in read_records(embedded, [names.reports], 30)]
    assert json.loads(counts.read_text())["published"] == 30
    assert sorted(report.identity.seq for report in reports) == list(range(30))
    assert all(report.outcome is Outcome.JUDGED and report.p_values for report in reports)


@pytest.mark.parametrize("text", ["not a calibration", ""])
def test_a_broken_calibration_file_is_refused(tmp_path, text):
    broken = tmp_path / "c.calibration"
    broken.write_text(text)
    config = tmp_path / "gradwatch.yaml"
    config.write_text(f"streams: {{motorway: {{calibration: '{broken}'}}}}\n")
    said = gradwatch("work", "--config", config, code=1)
    assert "Traceback" not in said
    assert "expected Calibration" in said
