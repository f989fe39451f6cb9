"""`gradwatch evidence` and `gradwatch evidence show`, as a user types them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gradwatch.monitor.commands import app

from ...brokers import make_topics
from ...verbs import said_by
from ..evidence.live import RunPublisher, attachments
from ..evidence.scenes import alert


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """Restores pytest's signal handlers, which the command replaces in this process."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def typed(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["evidence", *map(str, words)], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done.output


def test_once_and_show(embedded: str, tmp_path: Path) -> None:
    topics = make_topics(embedded, 2)
    config = tmp_path / "gradwatch.yaml"
    config.write_text(f"topics: {{frames: {topics.frames}, prefix: {topics.prefix}}}\n")
    runs = RunPublisher(embedded, topics)
    own = runs.frames([seq for seq in range(160) if seq != 30], 10)
    about = alert(own[60], own[70])
    runs.alert(about)
    typed("--once", "--config", config, "--bootstrap-servers", embedded, "--folder", tmp_path / "kept")
    (made,) = attachments(embedded, topics, 1)
    said = typed("show", tmp_path / "kept" / made.path)
    for expected in (about.alert_id, "north", '[[30,"never_published"]]', "/camera", about.reason, "110"):
        assert expected in said, expected
    runs.close()


@pytest.mark.service
def test_a_file_without_evidence_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.mcap"
    path.write_bytes(b"no evidence")
    code, said = said_by("evidence", "show", path)
    assert code == 1
    assert said.startswith("gradwatch: ")
    assert f"{path}: expected an evidence file" in said


@pytest.mark.parametrize("options", [("--max-bytes", "0"), ("--max-bytes", "many")])
def test_max_bytes_must_be_a_positive_number(options: tuple[str, str]) -> None:
    assert "max-bytes" in typed("--once", *options, code=2)
