"""The schema is what the code believes it is, on both kinds of database, and no password gets into an error."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from gradwatch.monitor.review.store.database import Database, DatabaseUnavailableError
from gradwatch.monitor.review.store.schema import OffsetRow, Table


def test_the_models_equal_the_migrated_schema(database: Database) -> None:
    engine = create_engine(database.url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_a_changed_model_would_be_noticed(database: Database) -> None:
    engine = create_engine(database.url)
    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("ALTER TABLE offsets RENAME COLUMN next_offset TO other"))
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) != []
        transaction.rollback()
    engine.dispose()


def test_opening_it_again_changes_nothing(database: Database) -> None:
    with database.writing() as session:
        session.add(OffsetRow(topic="alerts", partition=0, next_offset=7))
    again = Database(database.url.render_as_string(hide_password=False))
    with again.reading() as session:
        assert session.get_one(OffsetRow, ("alerts", 0)).next_offset == 7
    again.close()


def test_many_openers_at_once_migrate_once(tmp_path: Path) -> None:
    url, failures = f"sqlite:///{tmp_path / 'new.db'}", []

    def open_it() -> None:
        try:
            Database(url).close()
        except Exception as error:  # a thread's error would be lost
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.writing() as session:
            session.add(OffsetRow(topic="alerts", partition=0, next_offset=7))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.reading() as session:
        assert session.get(OffsetRow, ("alerts", 0)) is None


def test_writers_wait_for_each_other(database: Database) -> None:
    def count() -> None:
        for _ in range(10):
            with database.writing() as session:
                row = session.get(OffsetRow, ("count", 0))
                if row is None:
                    session.add(OffsetRow(topic="count", partition=0, next_offset=1))
                else:
                    row.next_offset += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.get_one(OffsetRow, ("count", 0)).next_offset == 40


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:correct-horse@127.0.0.1:1/gradwatch",
        "mysql://ada:correct-horse@127.0.0.1/gradwatch",
        "://ada:correct-horse@",
        "sqlite://",
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match="expected") as caught:
        Database(url)
    assert "correct-horse" not in str(caught.value)
