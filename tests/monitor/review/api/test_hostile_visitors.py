"""Visitors who do what a page never does: parallel guesses, forged headers, streams kept open, slow requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError
from starlette.testclient import TestClient

from gradwatch.monitor.review.api import live_events
from gradwatch.monitor.review.api.app import build_app
from gradwatch.monitor.review.feed import events
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import ReviewSettings
from gradwatch.monitor.review.store import accounts
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.schema import UserRow

from ..builders import NO_BROKER
from ..visitors import served

PASSWORD = "correct horse battery"
ROOT = Actor("command", Role.ADMIN, "command")
PROXY = "10.0.0.1"


@contextmanager
def guarded(url: str, host: str = "0.0.0.0", **settings: Any) -> Iterator[ReviewService]:
    """A service on all addresses, with the user ada."""
    service = ReviewService(ReviewSettings(host=host, database=url, **settings), NO_BROKER)
    with service.database.writing() as session:
        accounts.add_user(session, ROOT, "ada", Role.ADMIN, PASSWORD)
    try:
        yield service
    finally:
        service.database.close()


def client_of(service: ReviewService, peer: str = "192.0.2.7") -> TestClient:
    return TestClient(build_app(service), "http://review.example", client=(peer, 50000))


def log_in(client: Any, password: str = PASSWORD, username: str = "ada", **more: Any) -> Any:
    return client.post("/api/v1/session", json={"username": username, "password": password}, **more)


def test_parallel_guesses_are_slowed_like_sequential_ones(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(user: object, password: str) -> bool:
        time.sleep(0.3)  # as argon2 does
        return False

    monkeypatch.setattr(accounts, "check_password", slowly)
    with guarded(sqlite_url) as service, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: log_in(client_of(service), "wrong").status_code, range(20)))
    assert answers.count(401) <= 6
    assert answers.count(429) >= 14


def test_right_passwords_do_not_count_as_guesses(sqlite_url: str) -> None:
    with guarded(sqlite_url) as service:
        client = client_of(service)
        assert [log_in(client).status_code for _ in range(9)] == [200] * 9


def test_who_guesses_for_a_name_locks_nobody_out(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded(sqlite_url) as service:
        known = client_of(service, "198.51.100.1")
        assert log_in(known).status_code == 200
        monkeypatch.setattr(accounts, "check_password", lambda user, password: password == PASSWORD)
        for n in range(1, 26):
            guesser = client_of(service, f"198.51.100.{n}")
            while log_in(guesser, "wrong").status_code == 401:
                pass
        assert log_in(client_of(service, "198.51.100.1")).status_code == 429
        assert log_in(known).status_code == 200  # from an address that guesses, in a browser that is known
        assert log_in(client_of(service, "192.0.2.7")).status_code == 200


@pytest.mark.parametrize(
    "forwarded",
    [
        [("X-Forwarded-For", "1.1.1.{}"), ("X-Forwarded-For", "203.0.113.9")],  # the proxy adds a header of its own
        [("X-Forwarded-For", "1.1.1.{}, 203.0.113.9")],
        [("X-Forwarded-For", "1.1.1.{}, 203.0.113.9, 10.0.0.2")],  # through two of them
    ],
)
def test_a_forged_address_does_not_help_a_guesser(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, forwarded: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(accounts, "check_password", lambda user, password: False)
    with guarded(sqlite_url, trusted_proxies=("10.0.0.0/24",)) as service:
        client = client_of(service, PROXY)
        answers = [
            log_in(client, "wrong", f"u{n}", headers=[(name, value.format(n)) for name, value in forwarded])
            for n in range(10)
        ]
        assert [answer.status_code for answer in answers] == [401] * 6 + [429] * 4
        other = log_in(client, "wrong", "v", headers={"X-Forwarded-For": "203.0.113.10, 10.0.0.2"})
        assert other.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Remote-User", "ada"), ("X-Remote-User", "bob")],
        [("X-Remote-User", ""), ("X-Remote-User", "ada")],
        [("X-Remote-User", "a" * 64 + "da")],
    ],
)
def test_a_user_header_of_the_browser_is_ignored(sqlite_url: str, headers: list[tuple[str, str]]) -> None:
    with guarded(sqlite_url, trusted_proxies=("10.0.0.0/24",)) as service:
        with service.database.writing() as session:
            accounts.add_user(session, ROOT, "a" * 64, Role.ADMIN, None)
        client = client_of(service, PROXY)
        assert client.get("/api/v1/session", headers=[("X-Remote-User", "ada")]).status_code == 200
        assert client.get("/api/v1/session", headers=headers).status_code == 403


def test_a_page_of_another_site_cannot_pose_as_the_proxy_of_this_machine(sqlite_url: str) -> None:
    hosts = ("watch.example",)
    with guarded(sqlite_url, "127.0.0.1", trusted_proxies=("127.0.0.1/32",), allowed_hosts=hosts) as service:
        client = client_of(service, "127.0.0.1")
        asked = [
            client.get("/api/v1/session", headers={"Host": host, "X-Remote-User": "ada"})
            for host in ("evil.example", "watch.example", "127.0.0.1:8080")
        ]
        assert [answer.status_code for answer in asked] == [421, 200, 200]


def test_a_password_that_changes_while_it_is_checked_opens_nothing(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guarded(sqlite_url) as service:

        def checked(user: UserRow, password: str) -> bool:
            with service.database.writing() as session:
                accounts.set_password(session, ROOT, user.username, "another horse battery")
            return True

        monkeypatch.setattr(accounts, "check_password", checked)
        assert log_in(client_of(service)).status_code == 401


@pytest.mark.parametrize("origin", ["http://[", "null", "http://review.example.evil"])
def test_an_origin_that_is_none_is_foreign(sqlite_url: str, origin: str) -> None:
    with guarded(sqlite_url) as service:
        answer = log_in(client_of(service), headers={"Origin": origin})
        assert (answer.status_code, answer.json()["type"]) == (403, "cross-site")


def test_no_parameter_of_a_statement_is_logged(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with pytest.raises(StatementError) as raised, database.writing() as session:
        session.execute(text("INSERT INTO sessions (csrf_token) VALUES (:token)"), {"token": "a secret"})
    database.close()
    assert "a secret" not in str(raised.value)


# --- a real server --------------------------------------------------------------------------------------------------


def logged_in(address: str) -> httpx.Client:
    client = httpx.Client(base_url=address, timeout=20.0)
    client.headers["X-CSRF-Token"] = log_in(client).json()["csrf_token"]
    return client


@pytest.mark.parametrize("end", ["log-out", "removal", "revocation"])
def test_events_end_with_the_session(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(live_events, "AUTHENTICATED_S", 0.1)
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.2)
    with guarded(sqlite_url) as service, served(service) as address:
        reader = logged_in(address)
        with service.database.writing() as session:
            accounts.add_user(session, ROOT, "bob", Role.ADMIN, None)  # keeps an admin
            token, secret = accounts.add_token(session, ROOT, "program", Role.VIEWER)
        headers = {"Authorization": f"Bearer {secret}"} if end == "revocation" else {}
        with reader.stream("GET", "/api/v1/events", headers=headers) as answer:
            lines = answer.iter_lines()
            assert [next(lines) for _ in range(12)][-1] is not None  # heartbeats go on
            with service.database.writing() as session:
                if end == "log-out":
                    accounts.log_out(session, reader.cookies["gradwatch_session"])
                elif end == "removal":
                    accounts.remove_user(session, ROOT, "ada")
                else:
                    accounts.revoke_token(session, ROOT, token.token_id)
            time.sleep(0.2)
            service.events.publish("alert", {"secret": 7})
            assert not any("secret" in line for line in lines)  # and the stream ends
        assert service.events.readers == 0
