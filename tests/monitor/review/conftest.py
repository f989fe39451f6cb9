"""A review service on SQLite and on a real PostgreSQL.

PostgreSQL: the server that DATABASE_URL names, else the one at 127.0.0.1:5432; a database is created there and dropped.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra 'review'")
pytest.importorskip("fastapi", reason="needs the extra 'review'")

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from starlette.testclient import TestClient

from gradwatch.monitor.review.api.app import build_app
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import ReviewSettings
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.schema import Table

from .builders import NO_BROKER


@pytest.fixture(scope="session")
def postgresql() -> Iterator[URL]:
    """The URL of a database that only these tests use; skips without a server."""
    pytest.importorskip("psycopg", reason="needs psycopg")
    url = make_url(os.environ.get("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres"))
    url = url.set(drivername="postgresql+psycopg")
    server = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    name = f"gradwatch_test_{uuid.uuid4().hex[:10]}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except Exception as error:
        pytest.skip(f"no PostgreSQL on which a database can be created: {type(error).__name__}")
    own = url.set(database=name)
    Database(own.render_as_string(hide_password=False)).close()
    yield own
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "review.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(sqlite: Path, tmp_path: Path) -> str:
    (tmp_path / "review.db").write_bytes(sqlite.read_bytes())
    return f"sqlite:///{tmp_path / 'review.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database; a test that uses it runs on both kinds."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    shared: URL = request.getfixturevalue("postgresql")
    yield shared.render_as_string(hide_password=False)
    empty(shared)


def empty(url: URL) -> None:
    """Creating a PostgreSQL database takes a second; emptying one does not."""
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
    """A browser that has opened the link; sends the CSRF token, as the page does."""

    def __init__(self, service: ReviewService, **more: Any) -> None:
        super().__init__(build_app(service), "http://127.0.0.1:8080", raise_server_exceptions=False, **more)
        self.get("/", params={"token": service.secret})
        self.headers["X-CSRF-Token"] = self.get("/api/v1/session").json()["csrf_token"]


@pytest.fixture
def client(service: ReviewService) -> Client:
    return Client(service)
