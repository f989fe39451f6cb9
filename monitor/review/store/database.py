"""The connection to the review database, SQLite or PostgreSQL; migrates it when opened.

One writer at a time: writes of this process wait for each other here, not in the database, where SQLite would raise
`database is locked`. Readers never wait: SQLite runs with a write-ahead log.

A deleted SQLite file goes on working for whoever has it open, and what is written is lost with the process; so each
transaction first looks whether the path still leads to the file that was opened.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from gradwatch import GradwatchError
from gradwatch.streams.observability.logs import hide_credentials, scrub

MIGRATIONS = Path(__file__).parent.parent / "migrations"
BUSY_TIMEOUT_S = 30.0  # another process may write too: `gradwatch review users`
READERS = 8
MAX_WRITERS = 16  # waiting; readers need some of the server's threads
REVISION = "SELECT version_num FROM alembic_version"
TRIAL_WRITE = {"sqlite": "PRAGMA user_version = 0", "postgresql": "DELETE FROM offsets WHERE false"}
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
        self._is_sqlite = self.url.get_backend_name() == "sqlite"
        self._write_lock = threading.Lock()
        self._writers = threading.BoundedSemaphore(MAX_WRITERS)
        self._failure = ""  # of the newest write
        try:
            self._engine = _open(self.url)
            with self._engine.begin() as connection:
                connection.exec_driver_sql(MIGRATION_LOCK[self.url.get_backend_name()])
                migrate(connection)
                self._revision = connection.exec_driver_sql(REVISION).scalar_one()
            self._file = _file_of(self.url)
        except (DBAPIError, OSError, ModuleNotFoundError) as error:
            reason = _in_one_line(getattr(error, "orig", None) or error)
            raise DatabaseUnavailableError(f"expected a database at {shown(self.url)}, got: {reason}") from None

    def check(self) -> None:
        """Raises `DatabaseUnavailableError` if it can't be read, has another schema, or the last write failed."""
        with self.reading() as session:
            found = session.connection().exec_driver_sql(REVISION).scalar_one()
        if found != self._revision:
            raise DatabaseUnavailableError(f"expected revision {self._revision} of the schema, got {found!r}")
        if self._failure:
            raise DatabaseUnavailableError(self._failure)

    def try_write(self) -> None:
        """Writes a page without a change, so that `check` notices a full disk before there is something to store."""
        with self.writing() as session:
            session.connection().exec_driver_sql(TRIAL_WRITE[self.url.get_backend_name()])

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent snapshot; nothing is written. Raises `DatabaseUnavailableError` if it can't be read."""
        self._check_file()
        with self._one_kind_of_error("read"), Session(self._engine) as session:
            if self._is_sqlite:
                session.connection().exec_driver_sql("BEGIN")  # otherwise each statement sees a snapshot of its own
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction, committed at the end of the block unless it raises.

        Raises `DatabaseUnavailableError` if it can't be written, too many writers wait already, or the one before takes
        too long.
        """
        with self._writer_turn():
            self._check_file()
            try:
                with self._one_kind_of_error("write"), self._session_to_write() as session:
                    yield session
            except DatabaseUnavailableError as error:
                self._failure = str(error)
                raise
            self._check_file()  # it may have been deleted meanwhile
            self._failure = ""

    @contextmanager
    def _session_to_write(self) -> Iterator[Session]:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            if self._is_sqlite:
                # IMMEDIATE: a reader that becomes a writer half-way could not wait for another writer
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            yield session

    @contextmanager
    def _one_kind_of_error(self, action: str) -> Iterator[None]:
        """A full, read-only, damaged or locked one: `DatabaseUnavailableError`; errors of a statement stay."""
        try:
            yield
        except (IntegrityError, DataError):
            raise
        except DatabaseError as error:
            reason = _in_one_line(error.orig)
            raise DatabaseUnavailableError(f"expected to {action} {shown(self.url)}, got: {reason}") from None

    def _check_file(self) -> None:
        if _file_of(self.url) != self._file:
            raise DatabaseUnavailableError(
                f"expected the file that was opened at {shown(self.url)}, but it was deleted or replaced: put it back, "
                "or restart gradwatch review to begin with what is there now"
            )

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


def shown(url: URL) -> str:
    """The URL without its password, and without its parameters, of which several may be secrets."""
    return url.set(query={}).render_as_string(hide_password=True)


def parse_url(url: str) -> URL:
    """The URL with our driver. Hides its password from all logs from now on. Raises `DatabaseUnavailableError`."""
    try:
        parsed = make_url(url)
        if "\0" in url:
            raise ValueError
    except (ArgumentError, ValueError):
        # the text itself may contain a password
        raise DatabaseUnavailableError(
            "expected a database URL like sqlite:///review.db, got one that can't be read"
        ) from None
    hide_credentials({"url": url, "password": str(parsed.password or ""), **parsed.query})
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise DatabaseUnavailableError(f"expected sqlite:///FILE or postgresql://…, got {shown(parsed)}")
    return parsed


def _in_one_line(error: object) -> str:
    return scrub(" ".join(str(error).split()))


def _file_of(url: URL) -> tuple[int, int] | None:
    """Device and inode of an SQLite database; None for one that is missing or was emptied, and for PostgreSQL."""
    if url.get_backend_name() != "sqlite":
        return None
    try:
        found = os.stat(str(url.database))
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None


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
