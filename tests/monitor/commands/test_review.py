"""`gradwatch review users …`: managing users from the shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gradwatch import GradwatchError
from gradwatch.monitor.commands import app
from gradwatch.monitor.review.store.database import Database, DatabaseUnavailableError
from gradwatch.monitor.review.store.errors import InvalidRequestError, NotFoundError
from gradwatch.monitor.review.store.schema import AuditRow, UserRow


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A database that is not there yet."""
    return f"sqlite:///{tmp_path / 'review.db'}"


def test_users_come_and_go_and_leave_a_trail(sqlite_url: str, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery\n")

    def users(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["review", "users", *arguments, "--database", sqlite_url])
        return done.exit_code, done.output or str(done.exception)

    assert users("add", "ada", "--role", "admin", "--password-file", str(password))[0] == 0
    assert users("add", "bob", "--no-password")[0] == 0
    _, listed = users("list")
    assert "ada" in listed
    assert "proxy" in listed
    assert users("passwd", "ada", "--password-file", str(password))[0] == 0
    assert users("remove", "bob")[0] == 0
    for arguments, expected in [
        (("passwd", "ada", "--password-file", str(tmp_path / "none")), "found none at"),
        (("add", "ada", "--no-password"), "is a user already"),
        (("add", "../x", "--no-password"), "expected"),
        (("add", "eve", "--role", "king", "--no-password"), "viewer, reviewer, admin"),
        (("remove", "ada"), "last admin"),
        (("remove", "eve"), "expected the name of a user"),
    ]:
        code, said = users(*arguments)
        assert (code, expected in said) == (1, True), said
    database = Database(sqlite_url)
    with database.reading() as session:
        assert [user.username for user in session.query(UserRow)] == ["ada"]
        trail = [(row.actor, row.action, row.subject_id) for row in session.query(AuditRow)]
    database.close()
    assert trail == [("command", action, name) for action, name in TRAIL]


TRAIL = [("add", "ada"), ("add", "bob"), ("passwd", "ada"), ("remove", "bob")]


def test_a_short_password_is_refused_without_being_shown(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2")
    arguments = ["review", "users", "add", "ada", "--password-file", str(tmp_path / "password")]
    done = CliRunner().invoke(app, [*arguments, "--database", sqlite_url])
    assert isinstance(done.exception, InvalidRequestError)
    said = done.output + str(done.exception)
    assert ("12 to 1024 characters" in said, "hunter2" in said) == (True, False)


@pytest.mark.parametrize(
    "content",
    [b" " * 12, b"   hunter2   \n", b"hunter2hunter2", b"Password1234", b"ada.ada.ada.ada", b"\xffhunter2hunter2"],
)
def test_a_password_that_is_easily_guessed_is_refused(sqlite_url: str, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    arguments = ["review", "users", "add", "ada", "--password-file", str(tmp_path / "password")]
    done = CliRunner().invoke(app, [*arguments, "--database", sqlite_url])
    assert isinstance(done.exception, InvalidRequestError)
    assert "hunter2" not in done.output + repr(done.exception)


def test_a_password_file_that_cannot_be_read_is_named(sqlite_url: str, tmp_path: Path) -> None:
    arguments = ["review", "users", "add", "ada", "--password-file", str(tmp_path), "--database", sqlite_url]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, InvalidRequestError)
    assert str(tmp_path) in str(done.exception)


@pytest.mark.parametrize("url", ["nonsense", "postgresql://ada:correct-horse@127.0.0.1:1/x"])
def test_an_unusable_database_is_named_without_its_password(url: str) -> None:
    done = CliRunner().invoke(app, ["review", "users", "list", "--database", url])
    assert isinstance(done.exception, DatabaseUnavailableError)
    said = done.output + str(done.exception)
    assert said.startswith("expected")
    assert "correct-horse" not in said


def test_what_a_user_can_mend_is_printed_in_one_line() -> None:
    assert all(
        issubclass(kind, GradwatchError) for kind in (NotFoundError, InvalidRequestError, DatabaseUnavailableError)
    )
