"""Files of ground truth may be broken, and ids from the wire open no other file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gradwatch.monitor.review.feed.ground_truth import GroundTruth
from gradwatch.monitor.review.service import ReviewService

from ..builders import ALERT, RUN, store


def known(challenge: Any = "haze") -> bytes:
    objects = {"40": [{"xyxy": [1, 2, 3.5, 4], "label": "stop", "kind": "sign"}]}
    return json.dumps({"tags": {"challenge": challenge}, "onset_seq": 38, "objects": objects}).encode()


BROKEN = {
    "empty": b"",
    "a list": b"[]",
    "no text": b"\xff\xfe",
    "nested too deep": b'{"tags": ' + b'{"a": ' * 100_000,
    "cut off": known()[:-9],
    "a seq that is none": b'{"objects": {"x": []}}',
    "three edges": b'{"objects": {"40": [{"xyxy": [1, 2, 3], "label": "stop"}]}}',
    "an edge that is none": b'{"objects": {"40": [{"xyxy": [1, 2, 3, "nan"], "label": "stop"}]}}',
    "an onset that is none": b'{"onset_seq": "soon"}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_logged_once_and_loses_nothing(
    service: ReviewService, client: Any, tmp_path: Path, content: bytes
) -> None:
    store(service.database, ALERT)
    folder = tmp_path / "truth"
    folder.mkdir()
    (folder / "north-gate.json").write_bytes(known())
    (folder / f"north-gate.{RUN}.json").write_bytes(content)
    url = f"/api/v1/alerts/{ALERT.alert_id}"
    with capture_logs() as logs:
        for _ in range(2):
            answer = client.get(url)
            # that of its stream does not replace it: it may be about another run
            assert (answer.status_code, answer.json()["tags"]) == (200, {})
            assert service.truth.challenge("north-gate", RUN, 40) is None
    (said,) = [one for one in logs if one["event"] == "could not read a ground truth file"]
    assert (said["path"], said["log_level"], bool(said["error"])) == (f"north-gate.{RUN}.json", "warning", True)
    assert service.truth.challenge("north-gate", "01JE0000000000000000000000", 40) == "haze"
    time.sleep(0.02)  # the clock of a file system has steps
    (folder / f"north-gate.{RUN}.json").write_bytes(known("rain"))
    assert client.get(url).json()["tags"] == {"challenge": "rain"}


def test_ids_from_the_wire_open_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "north.").mkdir()
    (tmp_path / "secret.json").write_bytes(known())
    truth = GroundTruth(tmp_path)
    for stream_id, run_id in [("north", "/../secret"), (f"../{tmp_path.name}/secret", RUN), ("north", "a\0b")]:
        assert truth.of(stream_id, run_id) is None


def test_a_challenge_is_what_a_database_can_hold(tmp_path: Path) -> None:
    for name, challenge in [("north", "ha\0ze" * 50), ("south", None)]:
        (tmp_path / f"{name}.json").write_bytes(known(challenge))
    truth = GroundTruth(tmp_path)
    assert truth.challenge("north", RUN, 38) == ("haze" * 50)[:64]
    assert truth.challenge("north", RUN, 37) is None
    assert truth.challenge("south", RUN, 38) is None
