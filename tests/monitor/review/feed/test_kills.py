"""kill -9 of the review process while alerts arrive and a client acts: nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gradwatch.streams.transport.embedded import EmbeddedBroker, EmbeddedBrokerMissingError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import Alert, AlertState

from ....brokers import make_topics
from ..builders import make_alert
from ..traffic import Reviewer, ReviewProcess, publish_alert

INTERVAL_S = 0.05


class Stream(threading.Thread):
    """Publishes alerts of two revisions each until stopped."""

    def __init__(self, producer: BoundedProducer, publish: Callable[[Alert], None]) -> None:
        super().__init__(daemon=True)
        self.published: list[Alert] = []
        self._producer, self._publish = producer, publish
        self._stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stopping.wait(INTERVAL_S):
            for revision, state in ((1, AlertState.OPEN), (2, AlertState.CLOSED)):
                alert = make_alert("north-gate", number, revision, state=state)
                self._publish(alert)
                self.published.append(alert)
            number += 1

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        assert self._producer.flush(30.0)


def act_once(reviewer: Reviewer, known: list[str], answered: dict[str, list[str]], generator: random.Random) -> None:
    """One action on some alert; appends those that were answered with success to `answered`."""
    if not known:
        known += [alert["alert_id"] for alert in reviewer.alerts()]
        return
    alert_id = generator.choice(known)
    action = generator.choice(["acknowledge", "comment", "reviewed"])
    url = f"/api/v1/alerts/{alert_id}/"
    text = f"remark {sum(map(len, answered.values()))}"
    done = {
        "acknowledge": lambda: reviewer.act("PUT", url + "acknowledgement"),
        "comment": lambda: reviewer.act("POST", url + "comments", json={"text": text}),
        "reviewed": lambda: reviewer.act("PUT", url + "reviewed"),
    }[action]()
    if done:
        answered.setdefault(alert_id, []).append(text if action == "comment" else action)


def has_answered(answered: dict[str, list[str]], enough: int) -> bool:
    return sum(map(len, answered.values())) >= enough


def has_ended(thread: threading.Thread) -> bool:
    return not thread.is_alive()


def act_until(
    reviewer: Reviewer,
    known: list[str],
    answered: dict[str, list[str]],
    generator: random.Random,
    is_over: Callable[[], bool],
) -> None:
    deadline_s = time.monotonic() + 300.0
    while not is_over():
        assert time.monotonic() < deadline_s, "the process answers nothing"
        try:
            act_once(reviewer, known, answered, generator)
        except Exception:  # killed while we asked
            time.sleep(0.01)


def survive(kills: int, folder: Path, seed: int) -> dict[str, float]:
    """Kills the process `kills` times; returns the counts."""
    generator = random.Random(seed)
    answered: dict[str, list[str]] = {}
    known: list[str] = []
    with EmbeddedBroker() as broker, BoundedProducer(broker.bootstrap_servers) as producer:
        topics = make_topics(broker.bootstrap_servers, 3)
        process = ReviewProcess(broker.bootstrap_servers, topics, f"sqlite:///{folder / 'review.db'}", folder)
        stream = Stream(producer, lambda alert: publish_alert(producer, topics, alert))
        stream.start()
        reviewer = Reviewer(process)
        for _ in range(kills):
            process.start()
            enough = sum(map(len, answered.values())) + generator.randint(2, 12)
            act_until(reviewer, known, answered, generator, partial(has_answered, answered, enough))
            killer = threading.Timer(generator.uniform(0.0, 0.3), process.kill)
            killer.start()  # in the middle of an action or a transaction
            act_until(reviewer, known, answered, generator, partial(has_ended, killer))
            killer.join()
        process.start()
        stream.stop()
        try:
            check(reviewer, stream.published, answered)
        finally:
            process.stop()
    actions = sum(map(len, answered.values()))
    return {"kills": kills, "revisions": len(stream.published), "actions_answered": actions, "lost": 0, "doubled": 0}


def check(reviewer: Reviewer, published: list[Alert], answered: dict[str, list[str]]) -> None:
    expected = {alert.alert_id for alert in published}
    deadline_s = time.monotonic() + 120.0
    while {a["alert_id"] for a in reviewer.alerts() if a["revision"] == 2} != expected:
        assert time.monotonic() < deadline_s, "alerts were lost"
        time.sleep(0.2)
    listed = [alert["alert_id"] for alert in reviewer.alerts()]
    assert len(listed) == len(set(listed))
    assert answered, "the client did nothing, so nothing was tested"
    for alert_id, actions in answered.items():
        found = reviewer.get(f"/api/v1/alerts/{alert_id}")
        assert [one["revision"] for one in found["revisions"]] == [1, 2]
        remarks = [one["text"] for one in found["comments"]]
        assert len(remarks) == len(set(remarks))
        for action in actions:
            if action == "acknowledge":
                assert found["review"]["acknowledged_by"] == "local"
            elif action == "reviewed":
                assert found["review"]["reviewed"]
            else:
                assert action in remarks
        trail = [one["action"] for one in found["audit"]]
        assert trail.count("acknowledge") <= 1
        assert trail.count("comment") == len(remarks)


@pytest.fixture(autouse=True)
def embedded() -> None:
    try:
        from gradwatch.streams.transport.embedded import _executable

        _executable()
    except EmbeddedBrokerMissingError as error:
        pytest.skip(str(error))


def test_three_kills_lose_nothing(tmp_path: Path) -> None:
    assert survive(3, tmp_path, seed=1)["actions_answered"] > 0


@pytest.mark.faults
def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    counted = survive(20, tmp_path, seed=20)
    if folder := os.environ.get("GRADWATCH_FAULTS"):
        (Path(folder) / "review.json").write_text(json.dumps(counted))
    print(json.dumps(counted))
