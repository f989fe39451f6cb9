"""A locked database or a broker that does not answer blocks nobody else; and no file but evidence is served."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gradwatch.monitor.review.feed import clips, live_state
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.store import database
from gradwatch.monitor.review.store.errors import NotFoundError
from gradwatch.streams.transport.connection import BrokerUnavailableError

from ....waiting import LIMIT_S, wait_until
from ..builders import ALERT, make_alert, make_frame, store
from ..conftest import Client


@contextmanager
def locked(service: ReviewService) -> Iterator[None]:
    """Another process holds the write lock."""
    path = Path(str(service.database.url.database))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def impatient(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service made after it waits 4 s for its turn."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 4.0)


def test_readers_do_not_wait_for_writers(impatient: None, service: ReviewService) -> None:
    store(service.database, ALERT)
    client, url = Client(service), f"/api/v1/alerts/{ALERT.alert_id}"
    with client, locked(service), ThreadPoolExecutor(60) as pool:
        writes = [pool.submit(client.put, f"{url}/acknowledgement") for _ in range(60)]
        time.sleep(0.5)
        assert client.get(url).status_code == 200
        assert not all(write.done() for write in writes)  # the reader has not waited for them
        answers = [write.result() for write in writes]
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["type"] for answer in answers} == {"database-unavailable"}
    assert client.put(f"{url}/acknowledgement").json()["review"]["acknowledged_by"] == "local"


def test_a_database_that_was_deleted_answers_nobody(service: ReviewService) -> None:
    store(service.database, ALERT)
    client, url = Client(service), f"/api/v1/alerts/{ALERT.alert_id}"
    Path(str(service.database.url.database)).unlink()
    for answer in (client.get(url), client.put(f"{url}/acknowledgement")):
        assert (answer.status_code, answer.json()["type"]) == (503, "database-unavailable")


def test_clips_that_wait_for_a_broker_block_nothing_else(
    service: ReviewService, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def silent(*_: Any) -> Any:
        answers.wait(LIMIT_S)
        raise BrokerUnavailableError("no answer")

    monkeypatch.setattr(clips, "TopicRanges", silent)
    made = [make_alert(onset_seq=seq) for seq in range(60)]
    store(service.database, *made)
    client = Client(service)
    with client, ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(client.get, f"/api/v1/alerts/{one.alert_id}/clip") for one in made]
        time.sleep(0.5)
        listed, waiting = client.get("/api/v1/alerts"), not all(one.done() for one in asked)
        answers.set()
        assert (listed.status_code, waiting) == (200, True)
        assert {one.result().status_code for one in asked} == {503}


def test_thumbnails_are_made_few_at_a_time(service: ReviewService, monkeypatch: pytest.MonkeyPatch) -> None:
    finish, at_work = threading.Event(), []

    def slowly(content: bytes) -> bytes:
        at_work.append(content)
        finish.wait(LIMIT_S)
        return b"small"

    monkeypatch.setattr(live_state, "_shrink", slowly)
    for n in range(40):
        service.live.put_frame(make_frame(1, f"camera-{n}", (16, 16)))
    client = Client(service)
    with client, ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(client.get, f"/api/v1/cameras/camera-{n}/thumbnail.jpg") for n in range(40)]
        wait_until(lambda: sum(one.done() for one in asked) == 34)
        assert (client.get("/api/v1/alerts").status_code, len(at_work)) == (200, 2)
        finish.set()
        answers = [one.result() for one in asked]
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [503] * 34
    assert {answer.json()["type"] for answer in answers if answer.status_code == 503} == {"busy"}


@pytest.mark.parametrize("name", ["review.db", "north-gate/.a.mcap.partial", "north-gate/a", "north-gate"])
def test_nothing_but_evidence_is_served(service: ReviewService, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "evidence" / "north-gate"
    folder.mkdir(parents=True)
    for path in (folder.parent / "review.db", folder / ".a.mcap.partial", folder / "a", folder / "a.mcap"):
        path.touch()
    assert service.clips.evidence_file("north-gate/a.mcap") == folder / "a.mcap"
    with pytest.raises(NotFoundError):
        service.clips.evidence_file(name)
