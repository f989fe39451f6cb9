"""TLS and SCRAM: the verbs work over them, and what is refused is said once and without the password."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from gradwatch.streams.transport import connection
from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError, wait_until_accepted
from gradwatch.streams.wire.messages import Outcome
from gradwatch.streams.wire.outputs import decode_report

from ..brokers import read_records
from ..places import MOTORWAY
from ..stub_worker import WorkerProcess
from ..stub_worker import write_configuration as write_configuration_of_worker
from ..verbs import said_by
from .traffic import wait

STARTS_MAX = 4  # connections that one failing verb may make


def write_configuration(path: Path, cluster, names, **client: object) -> Path:
    """A configuration whose password comes from the environment."""
    settings = cluster.secure_settings | {"sasl_plain_password": "${KAFKA_PASSWORD}"} | client
    broker = {"bootstrap_servers": cluster.secure_servers, "client": settings}
    topics = {"frames": names.frames, "prefix": names.prefix}
    worker = {"policy": "every_frame", "group_id": names.prefix + "group"}
    path.write_text(yaml.safe_dump({"broker": broker, "topics": topics, "worker": worker}))
    return path


@contextmanager
def counting_proxy(port: int, listen: int = 0) -> Iterator[tuple[int, list[int]]]:
    """A port that passes bytes on to `port` of loopback, and the list of connections that came to it."""
    server, came = socket.create_server(("127.0.0.1", listen)), []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            came.append(client.getpeername()[1])
            broker = socket.create_connection(("127.0.0.1", port))
            for ends in ((client, broker), (broker, client)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1], came
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_topics_replay_and_work_over_sasl_ssl(cluster, names, tmp_path):
    config = write_configuration(tmp_path / "gradwatch.yaml", cluster, names)
    secret = tmp_path / "password"
    secret.write_text(cluster.password + "\n")
    by_value, by_file = {"KAFKA_PASSWORD": cluster.password}, {"KAFKA_PASSWORD_FILE": str(secret)}
    played = ["--stream-id", "motorway", "--last", 4, "--rate", 5, "--no-pace"]
    said = []
    for verb, environment in (
        (["topics", "--create", "--partitions", 2], by_value),
        (["replay", MOTORWAY, *played], by_file),
        (["work", "--until-idle", 5], by_file),
    ):
        code, words = said_by(*verb, "--config", config, environment=environment)
        assert code == 0, words
        said.append(words)
    assert cluster.password not in "".join(said)
    records = read_records(cluster.secure_servers, [names.reports], 5, cluster.secure_settings)
    reports = [decode_report(record.value) for record in records]
    assert sorted(report.identity.seq for report in reports) == list(range(5))
    assert {report.outcome for report in reports} == {Outcome.JUDGED}


@pytest.mark.parametrize("verb", ["topics", "replay", "work"])
def test_a_wrong_password_is_refused_without_a_storm(cluster, names, tmp_path, verb):
    config = write_configuration(tmp_path / "gradwatch.yaml", cluster, names)
    arguments = [MOTORWAY] if verb == "replay" else []
    wrong = "wrong-" + cluster.password
    with counting_proxy(cluster.nodes[1].tls_port) as (port, came):
        servers = ["--bootstrap-servers", f"127.0.0.1:{port}"]
        code, said = said_by(verb, *arguments, "--config", config, *servers, environment={"KAFKA_PASSWORD": wrong})
    assert code == 1
    assert f"127.0.0.1:{port}" in said
    assert "user 'gradwatch', the password" in said
    assert wrong not in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 2
    assert 1 <= len(came) <= STARTS_MAX


def test_a_wrong_authority_is_named(cluster, names, tmp_path):
    stranger = cluster.certificates / "stranger.pem"
    config = write_configuration(tmp_path / "gradwatch.yaml", cluster, names, ssl_cafile=str(stranger))
    code, said = said_by("work", "--config", config, environment={"KAFKA_PASSWORD": cluster.password})
    assert code == 1
    assert str(stranger) in said
    assert "certificate is not trusted" in said
    assert cluster.password not in said
    assert "Traceback" not in said


def test_an_unset_password_names_both_variables(cluster, names, tmp_path):
    config = write_configuration(tmp_path / "gradwatch.yaml", cluster, names)
    code, said = said_by("work", "--config", config)
    assert code == 1
    assert "KAFKA_PASSWORD is not set" in said
    code, said = said_by("work", "--config", config, environment={"KAFKA_PASSWORD_FILE": str(tmp_path / "none")})
    assert code == 1
    assert f"expected a text file at {tmp_path / 'none'}" in said


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ssl_cafile": "/nowhere/ca.pem"}, "can't read /nowhere/ca.pem: No such file"),
        ({"sasl_mechanism": "PLAIN"}, "sasl_mechanism PLAIN"),
    ],
)
def test_other_refusals_are_named_at_once(cluster, changed, words):
    with pytest.raises(BrokerRefusedError, match=words):
        wait_until_accepted(cluster.secure_servers, cluster.secure_settings | changed, timeout_s=5.0)


def test_the_wrong_protocol_for_a_listener_is_hinted_at(cluster):
    with pytest.raises(BrokerUnavailableError, match="a listener that expects TLS"):
        wait_until_accepted(cluster.secure_servers, {}, timeout_s=3.0)
    with pytest.raises(
        (BrokerUnavailableError, BrokerRefusedError), match=r"does not expect (security_protocol )?SASL_SSL"
    ):
        wait_until_accepted(cluster.bootstrap_servers, cluster.secure_settings, timeout_s=3.0)


def test_no_broker_is_said_with_its_address():
    code, said = said_by("work", "--bootstrap-servers", "127.0.0.1:1")
    assert code == 1
    assert "127.0.0.1:1" in said
    assert "onnection refused" in said
    assert "Traceback" not in said


@pytest.mark.faults
def test_a_worker_that_may_wait_begins_once_the_broker_is_there(cluster, topics, tmp_path):
    """The broker's address opens only when the worker has looked for it in vain."""
    (port,) = free_ports(1)
    config = write_configuration_of_worker(tmp_path, f"127.0.0.1:{port}", topics)
    ready = tmp_path / "ready"
    with WorkerProcess(config, "--wait", "--ready-file", ready) as worker:
        wait(lambda: "waiting for the broker" in worker.log.read_text(), 30, "the worker to say that it waits")
        assert not ready.exists()
        with counting_proxy(cluster.nodes[1].port, port):
            wait(ready.exists, 30, "the worker to begin", worker)
            assert worker.stop() == 0


def test_an_alert_of_tls_taken_for_an_answer_is_understood():
    """Which of the two a client sees first, the alert or the end of the connection, is a matter of time."""
    failure = OSError("Invalid frame length: 352518912")
    assert "expects TLS" in connection._explain(failure, {})
    assert "TLS" not in connection._explain(OSError("Invalid frame length: 7"), {})
