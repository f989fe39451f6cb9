from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import msgspec
import pytest
import structlog
from kafka import KafkaProducer

from gradwatch.streams.observability import logs
from gradwatch.streams.observability.logs import configure_logging, hide, hide_credentials, identify, redact, scrub
from gradwatch.streams.wire.messages import FrameIdentity

from ...waiting import LIMIT_S

PASSWORD = "hunter2'/@x"  # with all that ends a word in one notation or another


class Settings(msgspec.Struct):
    client: dict[str, str]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging, the thread's identity and the hidden texts as they were."""
    handlers, level, known = logging.root.handlers[:], logging.root.level, set(logs._known)
    kafka_level = logging.getLogger("kafka").level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level
    logging.getLogger("kafka").setLevel(kafka_level)
    logs._known.clear()
    logs._known.update(known)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def test_fields_and_addresses_are_hidden_at_any_depth() -> None:
    event = {
        "event": "opened rtsp://user:secret@camera/1",
        "sasl_plain_password": "secret",
        "client": {"ssl_password": "secret", "servers": ["kafka://me:secret@host"], "pair": ("http://a:secret@b",)},
        "settings": Settings({"sasl_plain_password": "secret"}),
        "error": ValueError("rtsp://user:secret@camera"),
        "seq": 3,
        "ok": True,
    }
    hidden = redact(None, "info", event)
    assert "secret" not in json.dumps(hidden)
    assert (hidden["seq"], hidden["ok"]) == (3, True)
    assert hidden["event"] == "opened rtsp://***@camera/1"


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:pa/ss@w@rd@camera/1",
        "{'sasl_plain_password': 'pa ss@w', 'acks': 1}",
        "{'sasl_plain_password': \"pa'ss@w\"}",
        '{"ssl_password": "pa\\"ss@w"}',
        "{'sasl_plain_pasword': 'pass@w'}",
        "password=pass@w, next",
        "client_secret: pass@w",
        "Authorization: Bearer pass@w.xyz",
        "sent Basic cGFzc0B3 to the camera",
        "API_KEY = b'pass@w'",
    ],
)
def test_what_has_the_form_of_a_credential_is_hidden(text: str) -> None:
    said = scrub(text)
    assert "***" in said
    for part in ("ss@w", "pa'", "pa ss", "cGFzc0B3", "@w@rd"):
        assert part not in said


@pytest.mark.parametrize(
    "text",
    [
        "SaslAuthenticationFailedError: [Error 58] authentication failed",
        "2 frames passed, 3 dropped: stale",
        "http://127.0.0.1:9100/metrics",
        "Basic facts",
    ],
)
def test_what_has_not_is_left(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize("part", ["a", "://", "password", "password='", "token ", "Bearer ", 'secret="\\\\'])
def test_hiding_takes_its_time_by_the_length_alone(part: str) -> None:
    text = part * (100_000 // len(part))
    started_s = time.perf_counter()
    scrub(text)
    assert time.perf_counter() - started_s < LIMIT_S  # squares of this length take hours


def test_a_known_password_is_hidden_wherever_it_stands() -> None:
    hide_credentials(
        {"sasl_plain_password": PASSWORD, "sasl_mechanism": "PLAIN", "socks5_proxy": "socks5://me:w0rdy@p"}
    )
    hide(["abc"])  # too short to be told from a word
    for text in (f"broker said {PASSWORD}!", f"{[PASSWORD]}", json.dumps([PASSWORD]), "the proxy refused w0rdy"):
        assert "hunter2" not in scrub(text)
        assert "w0rdy" not in scrub(text)
    assert scrub("PLAIN abc") == "PLAIN abc"


@pytest.mark.parametrize("as_json", [True, False])
def test_errors_of_the_kafka_client_show_no_password(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """It puts all the settings that it does not know into its error; a misspelt name is enough."""
    configure_logging(json=as_json)
    settings = {"bootstrap_servers": "127.0.0.1:1", "sasl_plain_pasword": PASSWORD, "nonsense": {"password": PASSWORD}}
    with pytest.raises(ValueError, match="hunter2") as raised:
        KafkaProducer(**settings)
    error = raised.value
    structlog.get_logger().error("can't connect", settings=settings, error=error, exc_info=error)
    logging.getLogger("kafka.net").error("failed: %s", error, exc_info=error)
    said = capsys.readouterr().err
    assert said.count("can't connect") == 1
    assert said.count("Traceback") == 2
    assert "hunter2" not in said


@pytest.mark.parametrize("as_json", [True, False])
def test_logs_of_ours_and_of_libraries_come_out_alike(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=as_json)
    identify(FrameIdentity("north", "01RUN", 7))
    structlog.get_logger("ours").warning("late", lag_s=2.5, token="abc")
    logging.getLogger("kafka.theirs").warning("lost %s", "kafka://me:abc@host")
    logging.getLogger("kafka.theirs").info("chatter")
    identify(None)
    structlog.get_logger("ours").warning("no frame")
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert "abc" not in "".join(lines)
    assert "lag_s" in lines[0]
    if as_json:
        events = [msgspec.json.decode(line) for line in lines]
        assert [event["event"] for event in events] == ["late", "lost kafka://***@host", "no frame"]
        named = [(event.get("stream"), event.get("run"), event.get("seq")) for event in events]
        assert named == [("north", "01RUN", 7)] * 2 + [(None, None, None)]


def test_without_a_terminal_logs_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger("ours").warning("größer")
    line = capsys.readouterr().err
    assert msgspec.json.decode(line)["event"] == "größer"
    assert "größer" in line


def test_a_line_that_a_library_repeats_is_written_once_a_minute_with_the_number_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(json=True)
    handler, kafka = logging.root.handlers[0], logging.getLogger("kafka.cluster")

    def emit(name: str, message: str, at_s: float, line: int = 590) -> None:
        record = logging.LogRecord(name, logging.ERROR, "cluster.py", line, message, ("alerts",), None)
        record.created = at_s
        handler.handle(record)

    emit(kafka.name, "Topic %s not found", 1000.0)
    for number in range(667):
        emit(kafka.name, f"Topic %s not found for {number} ms", 1000.0)
    emit(kafka.name, "Topic %s is not authorized", 1000.0, line=594)
    emit("gradwatch", "Topic %s not found", 1000.0)
    emit("gradwatch", "Topic %s not found", 1000.0)
    emit(kafka.name, "Topic %s not found", 1060.0)
    written = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert written == [
        "Topic alerts not found",
        "Topic alerts is not authorized",
        "Topic alerts not found",
        "Topic alerts not found",
        "Topic alerts not found (and 667 more)",
    ]
