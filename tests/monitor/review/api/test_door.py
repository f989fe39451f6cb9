"""Who is let in: the link where nobody logs in, and nothing but the log-in for strangers, whatever route there is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gradwatch.monitor.review.api import pages
from gradwatch.monitor.review.api.app import build_app
from gradwatch.monitor.review.api.door import PUBLIC
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.store import accounts
from gradwatch.monitor.review.store.audit import Role

from ..visitors import PASSWORD, ROOT, client_of, enter, log_in, serving

# --- the link: what lets in where nobody logs in ---------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.0.0.1"])
def test_the_link_lets_in_and_leaves_the_address(service: ReviewService, host: str) -> None:
    client = enter(service, host)
    found = client.get("/api/v1/session").json()
    assert (found["username"], found["role"], found["via"]) == ("local", "admin", "local")
    assert service.secret not in str(client.cookies) + str(found)
    assert client.delete("/api/v1/session", headers={"X-CSRF-Token": found["csrf_token"]}).status_code == 204
    assert client.get("/api/v1/session").status_code == 401


@pytest.mark.parametrize("secret", ["", "x", "\xff", "gw_x"])
def test_a_wrong_link_leads_to_the_log_in(service: ReviewService, secret: str) -> None:
    client = client_of(service, "127.0.0.1:8080")
    answer = client.get("/alerts", params={"token": secret, "kind": "x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Falerts%3Fkind%3Dx")
    assert client.get("/api/v1/session", headers={"Authorization": b"Bearer " + secret.encode()}).status_code == 401
    cookie = {"Cookie": f"gradwatch_link_8080={service.secret}"}  # it is no cookie
    assert client.get("/api/v1/session", headers=cookie).status_code == 401


def test_the_link_never_leads_elsewhere(service: ReviewService) -> None:
    client = client_of(service, "127.0.0.1:8080")
    answer = client.get(f"http://127.0.0.1:8080//evil.example/?token={service.secret}")
    assert answer.headers["location"] == "/evil.example/"


def test_the_secret_of_the_link_is_a_token_for_programs(service: ReviewService) -> None:
    client = client_of(service, "127.0.0.1:8080")
    client.headers["Authorization"] = f"Bearer {service.secret}"
    assert client.post("/api/v1/tokens", json={"name": "grafana"}).status_code == 201


def test_the_link_ends_once_an_admin_can_log_in(sqlite_url: str) -> None:
    with serving(sqlite_url, host="0.0.0.0") as service:
        client = enter(service, "review.example")
        assert client.get("/api/v1/users").status_code == 200
        with service.database.writing() as session:
            accounts.add_user(session, ROOT, "proxied", Role.ADMIN, None)  # can't log in without a proxy
            accounts.add_user(session, ROOT, "viewer", Role.VIEWER, PASSWORD)
        assert client.get("/api/v1/users").status_code == 200
        with service.database.writing() as session:
            accounts.add_user(session, ROOT, "ada", Role.ADMIN, PASSWORD)
        assert client.get("/api/v1/users").status_code == 401
        again = client_of(service).get("/", params={"token": service.secret})
        assert again.headers["location"] == "/login"
        assert log_in(client, "ada").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8080", ""])
def test_loopback_answers_only_to_its_own_names(service: ReviewService, host: str) -> None:
    answer = client_of(service).get("/api/v1/alerts", headers={"Host": host})
    assert (answer.status_code, answer.json()["type"]) == (421, "host")


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},  # another server of this machine, whose pages send the cookie along
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_another_sites_page_can_read_and_change_nothing(service: ReviewService, foreign: dict[str, str]) -> None:
    client = enter(service)
    token = client.get("/api/v1/session").json()["csrf_token"]
    for method, path in [
        ("POST", "/api/v1/tokens"),
        ("GET", "/api/v1/alerts"),
        ("GET", "/api/v1/events"),
        ("GET", "/"),
    ]:
        answer = client.request(method, path, headers={"X-CSRF-Token": token} | foreign)
        assert (answer.status_code, answer.json()["type"]) == (403, "cross-site")


def test_a_page_needs_its_token_to_change_something(service: ReviewService) -> None:
    client = enter(service)
    body = {"name": "x", "role": "admin"}
    token = client.get("/api/v1/session").json()["csrf_token"]
    for headers in ({}, {"X-CSRF-Token": "x"}):
        answer = client.post("/api/v1/tokens", json=body, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "csrf")
    own = {"X-CSRF-Token": token, "Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/v1/tokens", json=body, headers=own).status_code == 201


def test_a_link_on_another_site_may_lead_to_the_page(service: ReviewService) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    client = enter(service)
    assert client.get("/alerts/7", headers=headers).status_code == 200
    assert client.get("/api/v1/alerts", headers=headers).status_code == 403


# --- strangers: nothing but the log-in -------------------------------------------------------------------------------


def every_request(service: ReviewService) -> list[tuple[str, str]]:
    """(method, path) of each route, however it was added, of each file of the page, and of what is no route."""
    app: Any = build_app(service)
    found = {
        (method, re.sub(r"{\w+(:path)?}", "1", path))
        for route in all_routes(app.app.routes)
        for path, methods in [(route.path, getattr(route, "methods", None) or {"GET"})]
        for method in methods
    }
    files = {f"/assets/{file.relative_to(pages.PAGE / 'assets')}" for file in (pages.PAGE / "assets").rglob("*.*")}
    odd = {"/nothing", "/api/v1/nothing", "/docs", "/openapi.json", "/redoc", "/healthz", "/readyz", "/metrics"}
    odd |= {"//login", "/login/", "/LOGIN", "/login/../alerts", "/assets/../index.html", "/assets/login.js/../app.js"}
    asked = found | {("GET", path) for path in files | odd}
    asked |= {(method, "/login") for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")}
    return sorted(asked)


def all_routes(routes: list[Any]) -> Iterator[Any]:
    for route in routes:
        if hasattr(route, "effective_route_contexts"):  # an included router
            yield from route.effective_route_contexts()
        else:
            yield route


STRANGERS = {
    "an unknown address": {},
    "an unnamed proxy": {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    "an unnamed proxy that names a user": {"X-Remote-User": "admin", "X-Forwarded-For": "10.0.0.1"},
    "a page of another origin": {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    "a wrong token": {"Authorization": "Bearer gw_x"},
    "a wrong cookie": {"Cookie": "gradwatch_session=x; gradwatch_link_8080=x; gradwatch_link_80=x"},
}


@pytest.mark.parametrize("mode", ["link", "log-in", "proxy"])
@pytest.mark.parametrize("stranger", STRANGERS)
def test_strangers_get_nothing_but_the_log_in(sqlite_url: str, mode: str, stranger: str) -> None:
    settings: dict[str, Any] = {
        "link": {},
        "log-in": {"host": "0.0.0.0"},
        "proxy": {"trusted_proxies": ("10.0.0.0/24",), "allowed_hosts": ("review.example",)},
    }[mode]
    with ExitStack() as stack:
        service = stack.enter_context(serving(sqlite_url, **settings))
        with service.database.writing() as session:
            accounts.add_user(session, ROOT, "admin", Role.ADMIN, None if mode == "proxy" else PASSWORD)
        asked = every_request(service)
        assert len(asked) > 100
        stack.enter_context(client := client_of(service, "127.0.0.1:8080", peer="127.0.0.1"))
        for method, path in asked:
            answer = client.request(method, path, headers=STRANGERS[stranger])
            if (method, path) in PUBLIC:
                assert answer.status_code in {200, 304, 403, 422}, (method, path, answer.text)  # 403: another origin
                continue
            is_sent_on = answer.status_code == 303 and answer.headers["location"].startswith("/login")
            is_refused = answer.status_code in {401, 403}
            assert is_sent_on or is_refused, (method, path, answer.status_code)
            assert "set-cookie" not in answer.headers


def test_the_log_in_page_loads_what_is_public_and_nothing_else() -> None:
    seen: set[str] = set()
    waiting = {"/login.html"}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        if path.endswith((".html", ".css", ".js")):
            text = (pages.PAGE / path.lstrip("/")).read_text()
            for one in re.findall(r'(?:src|href)="([^"]+)"|from "([^"]+)"|url\(["\']?([^)"\'#]+)', text):
                link = next(filter(None, one))
                if not link.startswith("data:"):
                    waiting |= {os.path.normpath(os.path.join(os.path.dirname(path), link))} - seen
    assert {("GET", path) for path in seen - {"/login.html"}} == {one for one in PUBLIC if "assets" in one[1]}
