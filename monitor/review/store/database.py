"""The connection to the review database, SQLite or PostgreSQL; migrates it when opened.

One writer at a time: writes of this process wait for each other here, not in the database, where SQLite would raise
`database is locked`. Readers never wait: SQLite runs with a write-ahead log.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from gradwatch import GradwatchError
from gradwatch.streams.observability.logs import hide, scrub

MIGRATIONS = Path(__file__).parent.parent / "migrations"
BUSY_TIMEOUT_S = 30.0  # another process may write too: `gradwatch review users`
READERS = 8
MAX_WRITERS = 16  # waiting; the server has 40 threads, and readers need some of them
# Keeps other processes from migrating at the same time.
MIGRATION_LOCK = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(7260381943)"}


class DatabaseUnavailableError(GradwatchError, RuntimeError):
    """The database can't be opened, migrated or written to; the message names it without its password."""


class Database:
    """`with database.reading() as session` and `with database.writing() as session`; a block is one transaction.

    What a `writing` block committed survives a crash of the process and, if the disk honors a sync, of the machine.
    Raises `DatabaseUnavailableError`.
    """

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        self._write_lock = threading.Lock()
        self._writers = threading.BoundedSemaphore(MAX_WRITERS)
        try:
            self._engine = _open(self.url)
            with self._engine.begin() as connection:
                connection.exec_driver_sql(MIGRATION_LOCK[self.url.get_backend_name()])
                migrate(connection)
        except (OperationalError, ModuleNotFoundError) as error:
            reason = scrub(str(getattr(error, "orig", None) or error))
            shown = self.url.render_as_string(hide_password=True)
            raise DatabaseUnavailableError(f"expected a database at {shown}, got: {reason}") from None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent snapshot; nothing is written."""
        with Session(self._engine) as session:
            if self.url.get_backend_name() == "sqlite":
                session.connection().exec_driver_sql("BEGIN")  # otherwise each statement sees a snapshot of its own
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction, committed at the end of the block unless it raises.

        Raises `DatabaseUnavailableError` if too many writers wait already, or the one before takes too long.
        """
        with self._writer_turn(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            if self.url.get_backend_name() == "sqlite":
                # IMMEDIATE: a reader that becomes a writer half-way could not wait for another writer
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            yield session

    @contextmanager
    def _writer_turn(self) -> Iterator[None]:
        """One writer at a time, and a bounded number of waiting ones."""
        if not self._writers.acquire(blocking=False):
            raise DatabaseUnavailableError(f"expected at most {MAX_WRITERS} writers at once, got one more")
        try:
            if not self._write_lock.acquire(timeout=BUSY_TIMEOUT_S):
                raise DatabaseUnavailableError(f"expected to write within {BUSY_TIMEOUT_S:.0f} s, got no turn")
            try:
                yield
            finally:
                self._write_lock.release()
        finally:
            self._writers.release()

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()


def migrate(connection: Connection) -> None:
    """Migrates the schema to the newest revision."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


def parse_url(url: str) -> URL:
    """The URL with our driver. Hides its password from all logs from now on. Raises `DatabaseUnavailableError`."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        # the text itself may contain a password
        raise DatabaseUnavailableError(
            "expected a database URL like sqlite:///review.db, got one that can't be read"
        ) from None
    if parsed.password is not None:
        hide([str(parsed.password)])
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        shown = parsed.render_as_string(hide_password=True)
        raise DatabaseUnavailableError(f"expected sqlite:///FILE or postgresql://…, got {shown}")
    return parsed


def _open(url: URL) -> Engine:
    # errors are logged, and parameters are hashes of passwords and CSRF tokens
    options: dict[str, Any] = {"pool_size": READERS, "max_overflow": READERS, "hide_parameters": True}
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, **options)
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin with our BEGIN, not when the driver decides
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=1000"):
        connection.execute(f"PRAGMA {setting}")
