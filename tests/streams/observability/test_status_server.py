from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from gradwatch.streams.observability import status_server
from gradwatch.streams.observability.health import Condition, Health
from gradwatch.streams.observability.status_server import PortUnavailableError, StatusServer, serving


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[StatusServer]:
    with StatusServer(0, health=health) as server:
        yield server


def get(port: int, path: str, address: str = "127.0.0.1") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_hold_ours_and_the_process(server: StatusServer) -> None:
    status, said = get(server.port, "/metrics")
    assert status == 200
    assert "gradwatch_healthy 1.0" in said
    assert "gradwatch_ready 0.0" in said  # nothing was required yet
    assert 'gradwatch_build_info{version="' in said
    assert "process_resident_memory_bytes" in said
    assert "_created" not in said


def test_health_and_readiness_are_told_apart(server: StatusServer, health: Health) -> None:
    health.beat("poll")
    health.require("models", lambda: Condition(False, "being loaded"))
    status, said = get(server.port, "/healthz")
    answer = json.loads(said)
    assert (status, answer["ok"]) == (200, True)
    assert answer["checks"][0] | {"age_s": 0} == {"name": "poll", "ok": True, "age_s": 0, "reason": "at work"}
    status, said = get(server.port, "/readyz")
    answer = json.loads(said)
    assert (status, answer["ok"]) == (503, False)
    assert {check["name"]: check["reason"] for check in answer["checks"]}["models"] == "being loaded"
    said = get(server.port, "/metrics")[1]
    assert "gradwatch_healthy 1.0" in said
    assert "gradwatch_ready 0.0" in said


def test_another_path_names_those_that_are_there(server: StatusServer) -> None:
    status, said = get(server.port, "/metric?x=1")
    assert status == 404
    assert "/metrics, /healthz, /readyz" in said


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortUnavailableError, match=rf"expected a free port, got 127\.0\.0\.1:{port}: .*in use"):
            StatusServer(port)


@pytest.mark.parametrize(("port", "address"), [(70_000, "127.0.0.1"), (0, "192.0.2.1"), (0, "no.such.host.invalid")])
def test_a_place_that_can_not_be_had_is_named(port: int, address: str) -> None:
    with pytest.raises(PortUnavailableError, match=rf"{address}:{port}"):
        StatusServer(port, address)


def test_the_port_is_free_again_after_closing() -> None:
    with StatusServer(0) as server:
        port = server.port
    with StatusServer(port) as again:
        assert get(again.port, "/healthz")[0] == 200


def test_without_a_port_nothing_is_served() -> None:
    before = threading.active_count()
    with serving(None, "127.0.0.1", Health()) as server:
        assert server is None
        assert threading.active_count() == before


def test_ipv6_is_served_where_it_is() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    with StatusServer(0, "::1") as server:
        assert get(server.port, "/healthz", "[::1]")[0] == 200


def test_a_silent_client_loses_its_connection_and_keeps_nobody_waiting(
    server: StatusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_server._Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.settimeout(10.0)
        assert get(server.port, "/healthz")[0] == 200
        assert silent.recv(1) == b""


def test_a_client_that_leaves_early_prints_nothing(server: StatusServer, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no farewell
            hasty.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert get(server.port, "/healthz")[0] == 200
    assert "Traceback" not in capfd.readouterr().err
