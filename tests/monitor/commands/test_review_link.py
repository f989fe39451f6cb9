"""The link of `gradwatch review`: printed, or in a file for one's own eyes, and never in a log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'review'")

from gradwatch.monitor.commands.review.link import LinkFileError, secret_in, tell_link
from gradwatch.monitor.review.feed.broker import Broker
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import ReviewSettings
from gradwatch.monitor.review.store import accounts
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.streams.observability.logs import scrub
from gradwatch.streams.wire.topics import Topics

ADDRESS = "http://127.0.0.1:8080/"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ReviewService]:
    settings = ReviewSettings(database=f"sqlite:///{tmp_path / 'review.db'}", login=True)
    made = ReviewService(settings, Broker("127.0.0.1:1", {}, Topics()))
    yield made
    made.database.close()


def test_the_link_is_printed_and_hidden_from_logs(service: ReviewService, capsys: pytest.CaptureFixture[str]) -> None:
    tell_link(service, ADDRESS, None)
    assert f"{ADDRESS}?token={service.secret}\n" in capsys.readouterr().out
    assert len(service.secret) >= 40
    assert service.secret not in scrub(f"GET /?token={service.secret} and elsewhere {service.secret}")


def test_a_file_with_the_link_is_for_its_owner_alone(
    service: ReviewService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "link"
    assert secret_in(file) is None
    tell_link(service, ADDRESS, file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert (file.read_text(), secret_in(file)) == (f"{ADDRESS}?token={service.secret}\n", service.secret)
    assert service.secret not in capsys.readouterr().out
    file.chmod(0o644)
    assert secret_in(file) is None  # others know it, or have put it there


def test_a_file_that_cannot_be_written_is_named(service: ReviewService, tmp_path: Path) -> None:
    with pytest.raises(LinkFileError, match="none/link"):
        tell_link(service, ADDRESS, tmp_path / "none" / "link")


def test_a_planted_link_is_not_followed(service: ReviewService, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    os.symlink(tmp_path / "other", tmp_path / "link")
    tell_link(service, ADDRESS, tmp_path / "link")
    assert (tmp_path / "other").read_text() == "mine"


def test_there_is_no_link_once_an_admin_can_log_in(
    service: ReviewService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service.database.writing() as session:
        accounts.add_user(session, Actor("command", Role.ADMIN, "command"), "ada", Role.ADMIN, "correct horse battery")
    tell_link(service, ADDRESS, None)
    tell_link(service, ADDRESS, tmp_path / "link")
    assert (capsys.readouterr().out, (tmp_path / "link").exists()) == ("", False)
