"""Access: hosts, origins, log-in, roles, tokens and proxies, each with an attempt that must fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.store import accounts
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.schema import SessionRow, TokenRow, UserRow

from ..visitors import PASSWORD, ROOT, client_of, enter, log_in, serving


@pytest.fixture
def guarded(sqlite_url: str) -> Iterator[ReviewService]:
    """A service on all addresses, with one user of each role."""
    with serving(sqlite_url, host="0.0.0.0") as service:
        hashed = accounts.hash_password("ada", PASSWORD)
        with service.database.writing() as session:
            for role in Role:
                session.add(UserRow(username=role.value, role=role, password_hash=hashed, created_ns=1))
        yield service


# --- log-in -----------------------------------------------------------------------------------------------------


def test_log_in_and_out(guarded: ReviewService) -> None:
    client = client_of(guarded)
    answer = log_in(client, "reviewer")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    assert client.get("/api/v1/session").json()["username"] == "reviewer"
    secret = client.cookies["gradwatch_session"]
    assert client.delete("/api/v1/session").status_code == 204
    assert client.cookies["gradwatch_session"] == secret  # it tells later that this browser is known
    assert client.get("/api/v1/session").status_code == 401  # ended in the database, not only in the browser


def test_nothing_secret_is_in_the_database(guarded: ReviewService) -> None:
    client = client_of(guarded)
    log_in(client, "admin")
    token = client.post("/api/v1/tokens", json={"name": "grafana", "role": "viewer"}).json()["secret"]
    with guarded.database.reading() as session:
        assert session.get(SessionRow, client.cookies["gradwatch_session"]) is None
        assert session.query(TokenRow.token_hash).scalar() not in (None, token)
        assert str(session.get_one(UserRow, "admin").password_hash).startswith("$argon2id$")
    assert token not in client.get("/api/v1/tokens").text


def test_a_session_without_its_csrf_token_is_refused(guarded: ReviewService) -> None:
    client = client_of(guarded)
    log_in(client, "admin")
    client.headers["X-CSRF-Token"] = "x"
    assert client.post("/api/v1/tokens", json={"name": "x"}).status_code == 403


def test_wrong_passwords_are_refused_and_then_slowed(guarded: ReviewService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "check_password", lambda user, password: False)  # argon2 twenty times is slow
    client = client_of(guarded)
    answers = [log_in(client, "admin", "wrong") for _ in range(20)]
    assert {answer.status_code for answer in answers[:6]} == {401}
    assert {answer.status_code for answer in answers[6:]} == {429}
    assert int(answers[-1].headers["retry-after"]) >= 1
    monkeypatch.undo()
    assert log_in(client, "admin").status_code == 429  # the right one must wait too, or guessing would pay


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(guarded: ReviewService) -> None:
    client = client_of(guarded)
    assert log_in(client, "admin", "wrong").json() == log_in(client, "nobody", "wrong").json()


@pytest.mark.parametrize(
    ("role", "expected"),
    [("viewer", [403, 403, 403, 403]), ("reviewer", [404, 404, 403, 403]), ("admin", [404, 404, 404, 200])],
)
def test_each_role_has_its_rights(guarded: ReviewService, role: str, expected: list[int]) -> None:
    client = client_of(guarded)
    log_in(client, role)
    assert client.get("/api/v1/alerts").status_code == 200
    answers = [
        client.put("/api/v1/alerts/none/acknowledgement"),
        client.delete("/api/v1/cameras/none"),
        client.delete("/api/v1/verdicts/none"),
        client.get("/api/v1/users"),
    ]
    assert [answer.status_code for answer in answers] == expected


def test_a_removed_user_has_no_access_at_once(guarded: ReviewService) -> None:
    client = client_of(guarded)
    log_in(client, "viewer")
    with guarded.database.writing() as session:
        accounts.remove_user(session, ROOT, "viewer")
    assert client.get("/api/v1/alerts").status_code == 401


def test_a_user_name_is_unique(guarded: ReviewService) -> None:
    client = client_of(guarded)
    log_in(client, "admin")
    answers = [client.post("/api/v1/users", json={"username": "grace", "role": "viewer"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409]
    assert "grace, who is a user already" in answers[1].json()["detail"]


def test_the_last_admin_stays(guarded: ReviewService) -> None:
    client = client_of(guarded)
    log_in(client, "admin")
    assert client.delete("/api/v1/users/admin").status_code == 409
    assert client.patch("/api/v1/users/admin", json={"role": "viewer"}).status_code == 409


# --- tokens and proxies -----------------------------------------------------------------------------------------


def test_a_token_opens_what_its_role_may_until_it_is_revoked(guarded: ReviewService) -> None:
    admin = client_of(guarded)
    log_in(admin, "admin")
    made = admin.post("/api/v1/tokens", json={"name": "grafana", "role": "viewer"}).json()
    program = client_of(guarded)
    program.headers["Authorization"] = f"Bearer {made['secret']}"
    assert program.get("/api/v1/alerts").status_code == 200
    assert program.put("/api/v1/alerts/none/acknowledgement").status_code == 403
    admin.delete(f"/api/v1/tokens/{made['token_id']}")
    assert program.get("/api/v1/alerts").status_code == 401


def test_tokens_do_not_outlive_the_rights_of_their_creator(guarded: ReviewService) -> None:
    eve = Actor("eve", Role.ADMIN, "session")
    with guarded.database.writing() as session:
        accounts.add_user(session, ROOT, "eve", Role.ADMIN, None)
        secrets = {role: accounts.add_token(session, eve, role, role)[1] for role in Role}
        accounts.add_token(session, ROOT, "another's", Role.ADMIN)

    def valid() -> set[Role]:
        with guarded.database.reading() as session:
            return {role for role, secret in secrets.items() if accounts.token_of(session, secret) is not None}

    with guarded.database.writing() as session:
        accounts.set_role(session, ROOT, "eve", Role.REVIEWER)
    assert valid() == {Role.VIEWER, Role.REVIEWER}
    with guarded.database.writing() as session:
        accounts.remove_user(session, ROOT, "eve")
        assert [token.name for token in accounts.list_tokens(session)] == ["another's"]
    assert valid() == set()


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer gw_x", "Basic YWRtaW46eA==", "Bearer \xff", "gw_x"])
def test_a_wrong_token_is_refused_even_with_a_session(guarded: ReviewService, authorization: str) -> None:
    client = client_of(guarded)
    log_in(client, "admin")
    headers = {"Authorization": authorization.encode("latin-1")}
    assert client.get("/api/v1/alerts", headers=headers).status_code == 401


def test_the_user_header_counts_only_from_a_trusted_proxy(sqlite_url: str) -> None:
    with serving(sqlite_url, trusted_proxies=("192.0.2.0/24",), allowed_hosts=("review.example",)) as service:
        with service.database.writing() as session:
            accounts.add_user(session, ROOT, "ada", Role.REVIEWER, None)
        headers = {"X-Remote-User": "ada", "X-Forwarded-Proto": "https"}
        found = client_of(service, peer="192.0.2.9").get("/api/v1/session", headers=headers).json()
        assert (found["username"], found["role"], found["via"]) == ("ada", "reviewer", "proxy")
        for peer in ("198.51.100.1", "127.0.0.1"):
            assert client_of(service, peer=peer).get("/api/v1/session", headers=headers).status_code == 401
        nobody = client_of(service, peer="192.0.2.9").get("/api/v1/session", headers={"X-Remote-User": "eve"})
        assert nobody.status_code == 403
        assert log_in(client_of(service), "ada", "x" * 12).status_code == 401  # who has no password can't guess one


def test_a_cookie_is_for_https_alone_where_the_browser_speaks_it(sqlite_url: str) -> None:
    with serving(sqlite_url, trusted_proxies=("192.0.2.0/24",), allowed_hosts=("review.example",)) as service:
        with service.database.writing() as session:
            accounts.add_user(session, ROOT, "ada", Role.REVIEWER, PASSWORD)
        client = client_of(service)
        client.headers["X-Forwarded-Proto"] = "https"
        assert "Secure" in log_in(client, "ada").headers["set-cookie"]


# --- what every answer carries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/alerts", "/login", "/nothing", "/api/v1/alerts/none"])
def test_every_answer_has_the_security_headers(service: ReviewService, path: str) -> None:
    headers = client_of(service, "127.0.0.1").get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_a_large_body_is_refused_before_it_is_read(service: ReviewService) -> None:
    client = enter(service)
    assert client.post("/api/v1/tokens", content=b"x" * 300_000).status_code == 413


def test_metrics_have_routes_and_no_ids(service: ReviewService) -> None:
    enter(service).get("/api/v1/alerts/2541c2ee-4512-5ef1-818e-ab7a67646363")
    text = generate_latest().decode()
    assert 'route="/api/v1/alerts/{alert_id}"' in text
    assert "2541c2ee" not in text
