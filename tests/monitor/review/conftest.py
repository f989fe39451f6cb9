"""A review service on SQLite and on a real PostgreSQL, and alerts to review.

PostgreSQL: the server that DATABASE_URL names, else the one at 127.0.0.1:5432; a database is made there and dropped.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra 'review'")
pytest.importorskip("fastapi", reason="needs the extra 'review'")

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from starlette.testclient import TestClient

from gradwatch.monitor.review.api.app import build_app
from gradwatch.monitor.review.feed.ingest import Broker
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import ReviewSettings
from gradwatch.monitor.review.store import alerts as intake
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.schema import Table
from gradwatch.streams.wire.messages import Alert, AlertKind, AlertState, Severity, alert_id
from gradwatch.streams.wire.topics import Topics

SECOND_NS = 1_000_000_000
RAISED_NS = 1_790_000_000 * SECOND_NS
RUN = "01JD0000000000000000000000"
NO_BROKER = Broker("127.0.0.1:1", {}, Topics())
ADA = Actor("ada", Role.ADMIN, "session")


def make_alert(stream_id: str = "north-gate", onset_seq: int = 38, revision: int = 1, **changes: Any) -> Alert:
    kind = changes.pop("kind", AlertKind.DISTRIBUTION_SHIFT)
    fields: dict[str, Any] = {
        "alert_id": alert_id(stream_id, RUN, kind, onset_seq),
        "revision": revision,
        "kind": kind,
        "severity": Severity.WARNING,
        "state": AlertState.OPEN,
        "stream_id": stream_id,
        "run_id": RUN,
        "onset_seq": onset_seq,
        "last_seq": onset_seq + 3,
        "onset_capture_ns": RAISED_NS + onset_seq * SECOND_NS // 5,
        "last_capture_ns": RAISED_NS + (onset_seq + 3) * SECOND_NS // 5,
        "partition": 1,
        "first_offset": onset_seq,
        "last_offset": onset_seq + 3,
        "score": 1.25,
        "p_value": 0.002,
        "threshold": 9.5,
        "mean_time_between_false_alarms_s": 3600.0,
        "carried_by": ["image_statistics"],
        "reason": "frames differ from the clean ones of this stream",
    }
    return Alert(**fields | changes)


def take(database: Database, *alerts: Alert, published_ns: int = RAISED_NS) -> list[intake.Taken]:
    """Stores revisions as the intake does; each alert a second after the one before."""
    arrivals = [intake.Arrival(alert, published_ns + i * SECOND_NS) for i, alert in enumerate(alerts)]
    with database.writing() as session:
        return intake.take(session, arrivals, published_ns)


@pytest.fixture(scope="session")
def make() -> Callable[..., Alert]:
    return make_alert


@pytest.fixture(scope="session")
def postgresql() -> Iterator[URL]:
    """The URL of a database that these tests have to themselves; skips where there is no server."""
    pytest.importorskip("psycopg", reason="needs psycopg")
    url = make_url(os.environ.get("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres"))
    url = url.set(drivername="postgresql+psycopg")
    server = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    name = f"gradwatch_test_{uuid.uuid4().hex[:10]}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except Exception as error:
        pytest.skip(f"no PostgreSQL that lets us make a database: {type(error).__name__}")
    made = url.set(database=name)
    Database(made.render_as_string(hide_password=False)).close()
    yield made
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that is migrated, to be copied."""
    path = tmp_path_factory.mktemp("template") / "review.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(sqlite: Path, tmp_path: Path) -> str:
    (tmp_path / "review.db").write_bytes(sqlite.read_bytes())
    return f"sqlite:///{tmp_path / 'review.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this test's own; each test that uses it runs on both kinds."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    shared: URL = request.getfixturevalue("postgresql")
    yield shared.render_as_string(hide_password=False)
    empty(shared)


def empty(url: URL) -> None:
    """Making a database takes PostgreSQL a second; emptying one does not."""
    server = create_engine(url)
    with server.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(Table.metadata.tables)} RESTART IDENTITY"))
    server.dispose()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Iterator[ReviewService]:
    """Not started: no thread runs, so a test sees only what it does itself."""
    settings = ReviewSettings(database=sqlite_url, evidence=str(tmp_path / "evidence"), truth=str(tmp_path / "truth"))
    made = ReviewService(settings, NO_BROKER)
    yield made
    made.database.close()


class Client(TestClient):
    """Sends the CSRF token along, as the page does."""

    def __init__(self, service: ReviewService, **more: Any) -> None:
        super().__init__(build_app(service), "http://127.0.0.1:8080", raise_server_exceptions=False, **more)
        token = self.get("/api/v1/session").json().get("csrf_token")
        if token:
            self.headers["X-CSRF-Token"] = token


@pytest.fixture
def client(service: ReviewService) -> Client:
    return Client(service)
