"""Nobody keeps more rights than whoever gave them: tokens, the tokens made with them, and sessions."""

from __future__ import annotations

from pathlib import Path

import alembic.command
import alembic.config
import pytest
from sqlalchemy import create_engine, text

from gradwatch.monitor.review.store import accounts
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.database import MIGRATIONS, Database
from gradwatch.monitor.review.store.errors import InvalidRequestError
from gradwatch.monitor.review.store.schema import TokenRow, UserRow

ROOT = Actor("command", Role.ADMIN, "command")
LOCAL = Actor("local", Role.ADMIN, "local")
PASSWORD = "correct horse battery"


def make_token(database: Database, actor: Actor, name: str, role: Role = Role.ADMIN) -> tuple[Actor, str]:
    """A token that `actor` makes: the actor that it is, and its secret."""
    with database.writing() as session:
        row, secret = accounts.add_token(session, actor, name, role)
    return Actor(name, role, "token", row.token_id, row.owner), secret


def role_of(database: Database, secret: str) -> Role | None:
    with database.reading() as session:
        found = accounts.token_of(session, secret)
    return None if found is None else found[1]


@pytest.fixture
def lineage(database: Database) -> list[str]:
    """The secrets of a token of the admin eve, of one made with it, and so on."""
    with database.writing() as session:
        accounts.add_user(session, ROOT, "eve", Role.ADMIN, None)
        accounts.add_user(session, ROOT, "ada", Role.ADMIN, None)
    actor, made = Actor("eve", Role.ADMIN, "proxy"), []
    for name in ("first", "ada", "third"):  # a token may be named as another user
        actor, secret = make_token(database, actor, name)
        made.append(secret)
    return made


def test_what_a_removed_admin_made_ends_at_any_remove(database: Database, lineage: list[str]) -> None:
    other = make_token(database, Actor("ada", Role.ADMIN, "session"), "other")[1]
    local = make_token(database, LOCAL, "first")[1]
    with database.writing() as session:
        accounts.remove_user(session, ROOT, "eve")
    with database.writing() as session:
        accounts.add_user(session, ROOT, "eve", Role.ADMIN, None)  # of the same name
    assert [role_of(database, secret) for secret in lineage] == [None] * 3
    assert (role_of(database, other), role_of(database, local)) == (Role.ADMIN, Role.ADMIN)


def test_what_a_demoted_admin_made_ends_at_any_remove(database: Database, lineage: list[str]) -> None:
    with database.writing() as session:
        accounts.set_role(session, ROOT, "eve", Role.VIEWER)
        accounts.set_role(session, ROOT, "eve", Role.ADMIN)
    assert [role_of(database, secret) for secret in lineage] == [None] * 3


def test_a_revoked_token_takes_along_what_was_made_with_it(database: Database, lineage: list[str]) -> None:
    with database.writing() as session:
        second = session.query(TokenRow).filter_by(name="ada").one()
        accounts.revoke_token(session, ROOT, second.token_id)
    assert [role_of(database, secret) for secret in lineage] == [Role.ADMIN, None, None]


def test_a_token_may_not_do_more_than_its_owner_whoever_changed_them(database: Database, lineage: list[str]) -> None:
    with database.writing() as session:
        session.get_one(UserRow, "eve").role = Role.VIEWER
    assert [role_of(database, secret) for secret in lineage] == [Role.VIEWER] * 3
    with database.writing() as session:
        session.delete(session.get_one(UserRow, "eve"))
    assert [role_of(database, secret) for secret in lineage] == [None] * 3


def test_a_long_line_of_tokens_ends_at_once(database: Database) -> None:
    actor, first = make_token(database, LOCAL, "t")
    with database.writing() as session:
        for _ in range(1500):  # more than the interpreter would recurse
            row, last = accounts.add_token(session, actor, "t", Role.ADMIN)
            actor = Actor("t", Role.ADMIN, "token", row.token_id)
    with database.writing() as session:
        found = accounts.token_of(session, first)
        assert found is not None
        accounts.revoke_token(session, ROOT, found[0].token_id)
    assert role_of(database, last) is None


def test_tokens_of_before_get_their_owners(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine, config = create_engine(url), alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO users VALUES ('eve', 'admin', NULL, 1)"))
        made = [("a", "eve", "session"), ("b", "a", "token"), ("c", "b", "token"), ("eve", "local", "local")]
        for n, (name, creator, via) in enumerate(made):
            values = {
                "id": f"{n}",
                "name": name,
                "by": creator,
                "via": via,
                "hash": accounts.hash_secret(name),
                "at": n,
            }
            connection.execute(text("INSERT INTO tokens VALUES (:id, :name, 'admin', :hash, :by, :at, NULL)"), values)
            trail = "INSERT INTO audit VALUES (NULL, :at, :by, :via, 'add', 'token', :id, NULL, NULL)"
            connection.execute(text(trail), values)
    engine.dispose()
    database = Database(url)
    with database.writing() as session:
        accounts.add_user(session, ROOT, "ada", Role.ADMIN, None)
        accounts.remove_user(session, ROOT, "eve")
    assert [role_of(database, name) for name, _, _ in made] == [None, None, None, Role.ADMIN]
    database.close()


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada", " " * 12),
        ("ada", "\t\n " * 4),
        ("ada", "  hunter2   "),
        ("ada", "a" * 12),
        ("ada", "abcabcabcabc"),
        ("ada", "123456789012"),
        ("ada", "password1234"),
        ("ada", "Password1234"),
        ("ada", "qwertyuiop12"),
        ("ada.lovelace", "ada.lovelace"),
        ("ada.lovelace", "Ada.Lovelace1"),
        ("ada", "gradwatch1234"),
        ("ada", "x" * 2000),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_and_not_quoted(
    database: Database, username: str, password: str
) -> None:
    with database.writing() as session, pytest.raises(InvalidRequestError, match="password: expected") as refused:
        accounts.add_user(session, ROOT, username, Role.ADMIN, password)
    assert password.strip() == "" or password.strip() not in str(refused.value)
    with database.writing() as session:
        accounts.add_user(session, ROOT, username, Role.ADMIN, PASSWORD)
        with pytest.raises(InvalidRequestError, match="password: expected"):
            accounts.set_password(session, ROOT, username, password)


def test_a_browser_stays_known_after_its_session_and_no_longer_than_the_password(database: Database) -> None:
    with database.writing() as session:
        for name in ("ada", "bob"):
            accounts.add_user(session, ROOT, name, Role.ADMIN, PASSWORD)
        secret, _ = accounts.log_in(session, session.get_one(UserRow, "ada"))
        accounts.log_out(session, secret)
        assert accounts.session_of(session, secret) is None
        assert accounts.is_device_of(session, secret, "ada")
        assert not accounts.is_device_of(session, secret, "bob")
        assert not accounts.is_device_of(session, None, "ada")
        accounts.set_password(session, ROOT, "ada", "another horse battery")
        assert not accounts.is_device_of(session, secret, "ada")
