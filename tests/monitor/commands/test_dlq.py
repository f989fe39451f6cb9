"""`gradwatch dlq` on a real broker: how hostile records are shown and requeued."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gradwatch.monitor.commands import app
from gradwatch.monitor.letters import LetterSummary, escaped, hexdump, moment, table
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.connection import TopicMissingError
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.history import TopicHistory
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import OutcomeCause
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

TOPICS = Topics()
BAD = BadRecordError(OutcomeCause.UNDECODABLE, "expected a JPEG, got [bold]\x1b[2Jnothing")
LARGE = BadRecordError(OutcomeCause.TOO_LARGE, "expected less")
CAME = Record(TOPICS.frames, 1, 70, 1_790_000_000_000, b"north", b"GIF89a\x00\xff", (("x\x1b[1m", b"\x1b[31mred\n"),))

Run = Callable[..., str]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker with four dead letters: 0:0 to 0:2 undecodable, 0:3 too large."""
    with EmbeddedBroker() as tansu:  # its own: the verb names no topics, so they are the usual ones
        ensure_topics(tansu.bootstrap_servers, TOPICS, 2)
        with BoundedProducer(tansu.bootstrap_servers) as producer:
            letters = DeadLetters(producer, TOPICS)
            assert producer.learn(TOPICS.dlq)
            for _ in range(3):
                letters.publish(CAME, BAD, "decode")
            large = Record(TOPICS.frames, 0, 71, 10**17, None, bytes(9_000_000), ())
            letters.publish(large, LARGE, "decode")
            assert producer.flush(10)
        yield tansu.bootstrap_servers


@pytest.fixture
def dlq(broker: str) -> Run:
    """Runs `gradwatch dlq …` and returns its output."""

    def run(*arguments: object, code: int = 0, answer: str | None = None) -> str:
        words = ["dlq", *map(str, arguments), "--bootstrap-servers", broker]
        done = CliRunner().invoke(app, words, input=answer, env={"COLUMNS": "200"})
        assert done.exit_code == code, done.output
        return done.output

    return run


def frames(broker: str) -> list[Record]:
    with TopicHistory(broker, TOPICS.frames) as history:
        return list(history.oldest_first())


def test_the_list_is_filtered_and_newest_first(dlq: Run, tmp_path: Path) -> None:
    listed = tmp_path / "letters.json"
    output = dlq("list", "--json", listed)
    rows = json.loads(listed.read_bytes())
    assert [row["place"] for row in rows] == ["0:3", "0:2", "0:1", "0:0"]
    assert (rows[0]["left_out"], rows[0]["size"]) == (["value"], 0)
    assert rows[1]["message"] == str(BAD)
    assert "\x1b" not in output
    assert "[bold]" in output
    for option, value, count in [
        ("--stream", "gradwatch.frames.1", 3),
        ("--cause", "too_large", 1),
        ("--cause", "bad_schema", 0),
        ("--since", "1h", 4),
        ("--since", "2100-01-01", 0),
        ("--limit", 2, 2),
    ]:
        output = dlq("list", "--json", listed, option, value)
        assert len(json.loads(listed.read_bytes())) == count
        assert ("no such dead letters" in output) == (count == 0)


def test_the_list_is_whole_and_counted_by_stream(dlq: Run) -> None:
    output = dlq("list")
    assert "expected a JPEG, got [bold]" in output
    assert "…" not in output
    assert "gradwatch.frames.1: 3 undecodable" in output.splitlines()
    assert "gradwatch.frames.0: 1 too_large" in output.splitlines()


def test_the_list_is_folded_on_a_narrow_terminal() -> None:
    shown = StringIO()
    summary = LetterSummary("0:1", 0, "w" * 100, "undecodable", "", "zz " * 50, "", 9, (), 0)
    Console(width=60, file=shown, force_terminal=True).print(table([summary]))
    assert shown.getvalue().count("z") == 100
    assert shown.getvalue().count("w") == 100 + 1  # and that of the heading
    assert "…" not in shown.getvalue()


def test_a_letter_is_shown_without_control_characters(dlq: Run, tmp_path: Path) -> None:
    saved = tmp_path / "value"
    output = dlq("show", "0:1", "--save", saved)
    assert saved.read_bytes() == CAME.value
    assert "\x1b" not in output
    for text in ("gradwatch.frames[1] offset 70", "undecodable", r"x\x1b[1m: \x1b[31mred\n", "47 49 46", "8 bytes"):
        assert text in output
    assert "left out" in dlq("show", "0:3")
    assert "100000000000000000 ms" in dlq("show", "0:3")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["show", "0:99"], "expected a dead letter at 0:99"),
        (["show", "one"], "expected PARTITION:OFFSET"),
        (["show", "0:3", "--save", "nowhere"], "left out for size"),
        (["list", "--since", "yesterday"], "expected 30m"),
        (["requeue"], "expected either"),
        (["requeue", "0:1", "--all"], "expected either"),
    ],
)
def test_wrong_arguments_are_refused(dlq: Run, arguments: list[str], why: str) -> None:
    assert why in " ".join(dlq(*arguments, code=2).replace("│", " ").split())


def test_requeue_asks_first(dlq: Run, broker: str) -> None:
    before = len(frames(broker))
    assert "Publish 3 dead letters again" in dlq("requeue", "--cause", "undecodable", answer="n\n")
    assert "no such dead letters" in dlq("requeue", "--cause", "bad_schema")
    assert len(frames(broker)) == before


def test_requeue_sends_records_unchanged_and_refuses_incomplete_ones(dlq: Run, broker: str) -> None:
    before = len(frames(broker))
    assert "2 published to gradwatch.frames, 0 refused" in dlq("requeue", "0:0", "0:1", "--yes")
    output = dlq("requeue", "--all", "--yes", code=1)
    assert "3 published to gradwatch.frames, 1 refused" in output
    assert "0:3: value left out for size" in output
    sent = frames(broker)[before:]
    assert len(sent) == 5
    for record in sent:
        assert (record.partition, record.key, record.value) == (CAME.partition, CAME.key, CAME.value)
        assert record.headers == (*CAME.headers, ("dlq_requeued", b"1"))


def test_a_missing_topic_is_an_error(broker: str, tmp_path: Path) -> None:
    config = tmp_path / "gradwatch.yaml"
    config.write_text("topics: {prefix: other.}\n")
    done = CliRunner().invoke(app, ["dlq", "list", "--config", str(config), "--bootstrap-servers", broker])
    assert isinstance(done.exception, TopicMissingError)
    assert "expected topic other.dlq" in str(done.exception)


def test_hexdump_and_escapes() -> None:
    assert list(hexdump(b"GIF89a\x00\xff")) == [f"  00000000  {'47 49 46 38 39 61 00 ff':<48} GIF89a.."]
    assert escaped("n\u043erth\n\\".encode() + b"\xff") == r"n\u043erth\n" + "\\\\" + r"\udcff"
    assert moment(0) == "1970-01-01 00:00:00"
