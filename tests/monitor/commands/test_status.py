"""Operating the verbs: metrics ports, probes, logs without credentials."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.wire.topics import Topics

from ...places import MOTORWAY
from ...verbs import running, said_by
from ...waiting import wait_until

PASSWORD = "hunter2-at-the-gate"


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker with the usual topics."""
    with EmbeddedBroker() as broker:
        ensure_topics(broker.bootstrap_servers, Topics(), partitions=1)
        yield broker.bootstrap_servers


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_a_worker_answers_probes_from_its_start_and_logs_json(broker: str, tmp_path: Path) -> None:
    port, config = free_ports(1)[0], tmp_path / "gradwatch.yaml"
    config.write_text(
        f"broker: {{bootstrap_servers: '{broker}', client: {{sasl_plain_password: '{PASSWORD}'}}}}\n"
        f"worker: {{metrics_port: {port}, session_timeout_s: 3}}\n"
    )
    with running("work", "--config", config) as process:
        wait_until(lambda: get(port, "/healthz")[0] == 200)
        status, said = get(port, "/readyz")
        assert (status, json.loads(said)["ok"]) == (503, False)
        wait_until(lambda: get(port, "/readyz")[0] == 200)
        assert "gradwatch_ready 1.0" in get(port, "/metrics")[1]
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    events = [json.loads(line) for line in said.splitlines()]
    assert [event["event"] for event in events if event["logger"].startswith("gradwatch.monitor")] == [
        "working",
        "stopped",
    ]
    assert PASSWORD not in said


def test_a_source_is_scraped_while_it_plays(broker: str) -> None:
    port = free_ports(1)[0]
    played = ["--stream-id", "north", "--rate", 5, "--to-and-fro", "--last", 3, "--metrics-port", port]
    with running("replay", MOTORWAY, "--bootstrap-servers", broker, *played) as process:
        wait_until(lambda: get(port, "/readyz")[0] == 200)
        metrics = get(port, "/metrics")[1]
        assert 'gradwatch_source_frames_total{cause="",outcome="published",stream_id="north"}' in metrics
        assert 'gradwatch_source_lag_seconds{stream_id="north"}' in metrics
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, config = taken.getsockname()[1], tmp_path / "gradwatch.yaml"
        config.write_text(f"worker: {{metrics_port: {port}}}\n")
        code, said = said_by("work", "--config", config)
    assert code == 1
    assert f"expected a free port, got 127.0.0.1:{port}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", [["topics"], ["work"], ["replay", MOTORWAY]], ids=lambda verb: verb[0])
def test_misspelt_client_settings_are_named_and_show_no_password(
    broker: str, tmp_path: Path, verb: list[object]
) -> None:
    """kafka-python quotes settings that it does not know, values and all."""
    config = tmp_path / "gradwatch.yaml"
    client = f"{{sasl_plain_password: '{PASSWORD}', ssl_pasword: '{PASSWORD}'}}"
    config.write_text(f"broker: {{bootstrap_servers: '{broker}', client: {client}}}\n")
    code, said = said_by(*verb, "--config", config)
    assert code == 1
    assert "ssl_pasword" in said
    assert PASSWORD not in said
