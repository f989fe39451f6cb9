"""Connections that ask for nothing: they are closed, bounded by address, and keep nobody else out."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx2 as httpx
import pytest

from gradwatch.monitor.review.api import connections, guard, server
from gradwatch.monitor.review.metrics import REFUSED
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import ReviewSettings
from gradwatch.monitor.review.store.login_limits import network_of
from gradwatch.streams.observability.logs import limit_logs

from ....waiting import LIMIT_S, wait_until
from ..builders import NO_BROKER
from ..visitors import served

CROWD = "127.0.0.2"  # the address of those who are too many


@contextmanager
def serving(url: str, **settings: object) -> Iterator[str]:
    service = ReviewService(ReviewSettings(database=url, **settings), NO_BROKER)  # type: ignore[arg-type]
    with served(service) as address:
        yield address
    service.database.close()


def connect(address: str, source: str = CROWD) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=LIMIT_S, source_address=(source, 0))


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


HALF = b"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{"


@pytest.mark.parametrize("sent", [b"", b"GET /login HT", HALF, b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"])
def test_a_crowd_of_one_address_keeps_nobody_else_out(sqlite_url: str, sent: bytes) -> None:
    with serving(sqlite_url) as address, ExitStack() as stack:
        crowd = [stack.enter_context(connect(address)) for _ in range(700)]
        for one in crowd:
            with suppress(OSError):  # closed already
                one.sendall(sent)
        assert httpx.get(f"{address}/login", timeout=LIMIT_S).status_code == 200
        wait_until(lambda: sum(map(is_open, crowd)) <= connections.MAX_OF_ADDRESS)


def test_a_crowd_of_many_addresses_keeps_nobody_out(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    with serving(sqlite_url) as address, ExitStack() as stack:
        crowd = [stack.enter_context(connect(address, f"127.0.1.{n % 100 + 1}")) for n in range(300)]
        assert httpx.get(f"{address}/login", timeout=LIMIT_S).status_code == 200
        wait_until(lambda: sum(map(is_open, crowd)) <= 20)


def test_a_crowd_closes_its_own_connections(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_OF_ADDRESS", 5)
    with serving(sqlite_url) as address, ExitStack() as stack:
        other = stack.enter_context(connect(address, "127.0.0.1"))
        other.sendall(HALF)
        reading = stack.enter_context(connect(address))
        reading.sendall(b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert reading.recv(12) == b"HTTP/1.1 200"
        crowd = [stack.enter_context(connect(address)) for _ in range(30)]
        wait_until(lambda: sum(map(is_open, crowd)) <= 5)
        assert is_open(other)


def test_the_proxy_of_many_clients_is_no_crowd(sqlite_url: str) -> None:
    with serving(sqlite_url, trusted_proxies=(f"{CROWD}/32",)) as address, ExitStack() as stack:
        crowd = [stack.enter_context(connect(address)) for _ in range(100)]
        assert httpx.get(f"{address}/login", timeout=LIMIT_S).status_code == 200
        assert sum(map(is_open, crowd)) == 100


def test_crowds_fill_no_log(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    for name in server.RARELY:
        assert not logging.getLogger(name).filters
    limit_logs(server.RARELY)
    try:
        with serving(sqlite_url) as address, ExitStack() as opened:
            for _ in range(200):
                one = opened.enter_context(connect(address))
                with suppress(OSError):
                    one.sendall(b"\x16\x03\x01 no http\r\n\r\n")
            assert httpx.get(f"{address}/login", timeout=LIMIT_S).status_code == 200
    finally:
        for name in server.RARELY:
            logging.getLogger(name).filters.clear()
    assert len(caplog.records) < 20


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_an_address_is_what_its_owner_cannot_choose(host: str, network: str) -> None:
    assert network_of(host) == network


def test_a_client_that_does_not_read_is_left(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALLED_WITHIN_S", 0.5)
    stalled = REFUSED.labels("stalled")
    before = stalled._value.get()
    with serving(sqlite_url) as address, connect(address) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = b"GET /assets/fonts/inter.woff2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with suppress(OSError):
            for _ in range(200):
                lazy.sendall(asked)
        wait_until(lambda: stalled._value.get() > before)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /login HT", b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /login HTTP/1.1\r\nHost"]
)
def test_an_idle_connection_is_closed(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connections, "REQUEST_WITHIN_S", 0.5)
    with serving(sqlite_url) as address:
        assert _closed_after_s(address, sent) < 4.0


def test_a_body_that_does_not_arrive_is_not_waited_for(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_WITHIN_S", 0.5)
    sent = b"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{"
    with serving(sqlite_url) as address:
        assert _closed_after_s(address, sent) < LIMIT_S


def _closed_after_s(address: str, sent: bytes) -> float:
    host, _, port = address.removeprefix("http://").partition(":")
    began_s = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as connection, suppress(ConnectionError):
        connection.sendall(sent)
        while connection.recv(65536):
            pass
    return time.monotonic() - began_s
