"""The schema is what the code believes it is, on both kinds of database, and no password gets into an error."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event, text

from gradwatch.monitor.review.settings import ReviewSettings
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


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:correct-horse@127.0.0.1:correct-horse/x",
        "postgresql://ada:pa%20correct-horse@[::1/x",
        "postgresql://ada@127.0.0.1:1/x?password=correct-horse",
        "postgresql://ada@127.0.0.1:1/x?connect_timeout=correct-horse",
        "sqlite:///correct\0horse",
    ],
)
def test_no_part_of_an_address_that_may_be_secret_is_shown(url: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match="expected") as caught:
        Database(url)
    assert "correct-horse" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "correct-horse" not in repr(ReviewSettings(database=url))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "review.db").write_text("a letter to a friend " * 500)
    with pytest.raises(DatabaseUnavailableError, match="file is not a database"):
        Database(f"sqlite:///{tmp_path / 'review.db'}")


# --- the file of a running server is taken away ----------------------------------------------------------------------


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for part in path.parent.glob("review.db*"):
        part.unlink()


def replace(path: Path) -> None:
    Database(f"sqlite:///{path.with_name('other.db')}").close()
    path.with_name("other.db").replace(path)


def move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def empty(path: Path) -> None:
    path.with_name("review.db-wal").write_bytes(b"")
    path.write_bytes(b"")


@pytest.fixture
def opened(sqlite: Path, tmp_path: Path) -> Iterator[Database]:
    """A database in a folder of its own, used once, so that connections to it are open."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "review.db"
    path.write_bytes(sqlite.read_bytes())
    made = Database(f"sqlite:///{path}")
    made.try_write()
    yield made
    made.close()


def write(database: Database) -> None:
    with database.writing() as session:
        session.add(OffsetRow(topic="alerts", partition=0, next_offset=7))


@pytest.mark.parametrize("harm", [delete, delete_all, replace, move_the_folder, empty])
def test_nothing_is_read_from_or_written_to_a_file_that_is_gone(opened: Database, harm: Callable[[Path], None]) -> None:
    path = Path(str(opened.url.database))
    opened.check()
    harm(path)
    was_there = path.exists()
    for use in (opened.check, opened.try_write, lambda: write(opened)):
        with pytest.raises(DatabaseUnavailableError, match=r"review\.db"):
            use()
    assert path.exists() is was_there  # no empty one is made in its place


def test_a_file_that_is_deleted_while_it_is_written_to_fails_the_write(opened: Database) -> None:
    def write_and_delete() -> None:
        with opened.writing() as session:
            session.add(OffsetRow(topic="alerts", partition=0, next_offset=7))
            Path(str(opened.url.database)).unlink()

    with pytest.raises(DatabaseUnavailableError, match="put it back"):
        write_and_delete()


def test_a_file_that_is_put_back_works_again(opened: Database) -> None:
    path = Path(str(opened.url.database))
    path.rename(path.with_name("away"))
    with pytest.raises(DatabaseUnavailableError):
        write(opened)
    path.with_name("away").rename(path)
    write(opened)
    opened.check()


def test_a_full_disk_is_noticed_before_there_is_something_to_store(opened: Database) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))  # no file may grow beyond
    try:
        with pytest.raises(DatabaseUnavailableError, match=r"expected to write .*review\.db, got"):
            opened.try_write()
        with pytest.raises(DatabaseUnavailableError, match=r"expected to write .*review\.db, got"):
            opened.check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    opened.try_write()
    opened.check()


def test_a_database_that_may_only_be_read_is_not_ready(opened: Database) -> None:
    event.listen(opened._engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    opened._engine.dispose()
    with pytest.raises(DatabaseUnavailableError, match="readonly"):
        write(opened)
    with pytest.raises(DatabaseUnavailableError, match="readonly"):
        opened.check()
