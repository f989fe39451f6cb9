"""The evidence service on real brokers."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwatch.monitor.evidence.mcap_reader import read_evidence
from gradwatch.monitor.evidence.window import MissingCause
from gradwatch.streams.transport.ranges import TopicRanges
from gradwatch.streams.wire.messages import AlertState

from ...waiting import wait_until
from .live import RunPublisher, attachments, counted, serving
from .scenes import alert, read_window

FAILED, MISSING = "gradwatch_evidence_failed_total", "gradwatch_evidence_missing_frames_total"


@pytest.mark.parametrize("rate_hz", [5, 10, 30])
def test_windows_are_exact_on_a_broker(runs: RunPublisher, rate_hz: int) -> None:
    gaps = {6 * rate_hz, 6 * rate_hz + 1, 9 * rate_hz - 1}
    seqs = [seq for seq in range(20 * rate_hz) if seq not in gaps]
    runs.frames(range(20 * rate_hz), rate_hz, "other")
    own = runs.frames(seqs, rate_hz)
    onset, last = 7 * rate_hz + 1, 9 * rate_hz
    with TopicRanges(runs.broker) as ranges:
        window = read_window(ranges, alert(own[onset], own[last]), topics=runs.topics)
    inside = range(onset - 5 * rate_hz, last + 5 * rate_hz + 1)
    assert window.frames == [own[seq] for seq in inside if seq not in gaps]
    assert [one.identity.seq for one in window.reports] == [one.stamp.identity.seq for one in window.frames]
    assert list(window.missing) == sorted(gaps)


def test_a_closed_alert_gets_its_file_and_an_attachment(runs: RunPublisher, tmp_path: Path) -> None:
    own = runs.frames(range(160), 10)
    about = alert(own[60], own[70])
    runs.alert(about)
    with serving(runs.broker, runs.topics, tmp_path):
        (made,) = attachments(runs.broker, runs.topics, 1)
    path = tmp_path / made.path
    assert path == tmp_path / "north" / f"{about.alert_id}.mcap"
    assert (made.sha256, made.size_bytes) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    window = read_evidence(path)
    assert window.frames == [own[seq] for seq in range(10, 121)]
    assert (made.frames, made.missing, made.revision) == (111, 0, 1)
    assert (made.start_ns, made.end_ns) == window.time
    with serving(runs.broker, runs.topics, tmp_path) as second:  # nothing is left to be done
        wait_until(lambda: second.consumer.joined)
        assert attachments(runs.broker, runs.topics, 2, timeout_s=2.0) == [made]
        assert second.written == 0


def test_an_open_alert_gets_a_first_file_that_is_replaced(runs: RunPublisher, tmp_path: Path) -> None:
    own = runs.frames(range(112), 10)
    with serving(runs.broker, runs.topics, tmp_path):
        runs.alert(alert(own[60], own[62], AlertState.OPEN))
        (first,) = attachments(runs.broker, runs.topics, 1)
        assert read_evidence(tmp_path / first.path).frames == [own[seq] for seq in range(10, 112)]
        own |= runs.frames(range(112, 300), 10)
        runs.alert(alert(own[60], own[180], revision=2))
        _, whole = attachments(runs.broker, runs.topics, 2)
    found = read_evidence(tmp_path / whole.path)
    assert found.frames == [own[seq] for seq in range(10, 231)]
    assert [(one.revision, one.state) for one in found.alerts] == [(1, "open"), (2, "closed")]
    assert (first.revision, whole.revision) == (1, 2)


def test_a_later_revision_keeps_frames_that_have_expired(runs: RunPublisher, broker: str, tmp_path: Path) -> None:
    """The service was down for longer than frames are kept, and then receives the closing revision."""
    own = runs.frames(range(160), 10)
    runs.alert(alert(own[60], own[70]))
    with serving(broker, runs.topics, tmp_path):
        (first,) = attachments(broker, runs.topics, 1)
    if not runs.expire(own[159].stamp.offset + 1):
        pytest.skip("this broker deletes no records")
    runs.alert(alert(own[60], own[72], revision=2))
    with serving(broker, runs.topics, tmp_path):
        _, second = attachments(broker, runs.topics, 2)
    found = read_evidence(tmp_path / second.path)
    assert found.frames == [own[seq] for seq in range(10, 121)]
    assert (first.frames, second.frames, second.missing) == (111, 111, 2)  # those two had not been in the window
    assert [one.revision for one in found.alerts] == [1, 2]
    assert set(found.missing.values()) == {MissingCause.EXPIRED}


def test_expired_frames_are_listed_and_counted(runs: RunPublisher, broker: str, tmp_path: Path) -> None:
    before = counted(MISSING, stream_id="north", cause="expired")
    own = runs.frames(range(160), 10)
    if not runs.expire(own[100].stamp.offset):
        pytest.skip("this broker deletes no records")
    runs.alert(alert(own[60], own[70]))
    with serving(broker, runs.topics, tmp_path):
        (made,) = attachments(broker, runs.topics, 1)
    window = read_evidence(tmp_path / made.path)
    assert window.frames == [own[seq] for seq in range(100, 121)]
    assert len(window.reports) == 111
    assert list(window.missing) == list(range(10, 100))
    assert counted(MISSING, stream_id="north", cause="expired") == before + 90


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("may not make a small file system (mount)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_and_a_read_only_one(runs: RunPublisher, small_disk: Path) -> None:
    def failed(cause: str) -> float:
        return counted(FAILED, stream_id="north", cause=cause)

    before = {cause: failed(cause) for cause in ("disk_full", "not_writable")}
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2000 * 1024))
    own = runs.frames(range(160), 10)
    runs.alert(alert(own[60], own[70]))
    with serving(runs.broker, runs.topics, small_disk) as service:
        wait_until(lambda: failed("disk_full") > before["disk_full"])
        assert "No space left" in service.failures()[0]
        assert not list(small_disk.glob("*/*"))
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        wait_until(lambda: failed("not_writable") > before["not_writable"])
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        ballast.unlink()
        (made,) = attachments(runs.broker, runs.topics, 1)
        wait_until(lambda: not service.failures())
    assert read_evidence(small_disk / made.path).frames == [own[seq] for seq in range(10, 121)]


def test_a_silent_stream_gets_a_file_of_the_frames_there_are(runs: RunPublisher, tmp_path: Path) -> None:
    own = runs.frames(range(80), 10)
    runs.alert(alert(own[60], own[79]))
    with serving(runs.broker, runs.topics, tmp_path, patience_s=1.0):
        (made,) = attachments(runs.broker, runs.topics, 1)
    assert (made.frames, made.missing) == (70, 0)


def test_alerts_of_many_streams_at_once(runs: RunPublisher, tmp_path: Path) -> None:
    for number in range(4):
        own = runs.frames(range(150), 10, f"camera-{number}")
        runs.alert(alert(own[60], own[70]))
    with serving(runs.broker, runs.topics, tmp_path):
        made = attachments(runs.broker, runs.topics, 4)
    assert {one.stream_id for one in made} == {f"camera-{number}" for number in range(4)}
    assert {one.frames for one in made} == {111}


def test_a_failed_file_is_counted_and_written_later(runs: RunPublisher, tmp_path: Path) -> None:
    own = runs.frames(range(160), 10, "blocked")
    (tmp_path / "blocked").touch()  # where its folder should be
    runs.alert(alert(own[60], own[70]))
    north = runs.frames(range(160), 10)
    runs.alert(alert(north[60], north[70]))

    before = counted(FAILED, stream_id="blocked", cause="disk")
    with serving(runs.broker, runs.topics, tmp_path) as service:
        (other,) = attachments(runs.broker, runs.topics, 1)
        assert other.stream_id == "north"  # one alert's trouble is not another's
        wait_until(lambda: counted(FAILED, stream_id="blocked", cause="disk") > before)
        assert "disk: " in service.failures()[0]
        (tmp_path / "blocked").unlink()
        assert {one.stream_id for one in attachments(runs.broker, runs.topics, 2)} == {"north", "blocked"}
        wait_until(lambda: not service.failures())


def test_a_record_that_is_not_an_alert_is_counted_and_skipped(runs: RunPublisher, tmp_path: Path) -> None:
    before = counted(FAILED, stream_id="", cause="bad_schema")
    runs._producer.send(runs.topics.alerts, b"x", b"no alert")
    own = runs.frames(range(160), 10)
    runs.alert(alert(own[60], own[70]))
    with serving(runs.broker, runs.topics, tmp_path):
        assert len(attachments(runs.broker, runs.topics, 1)) == 1
    assert counted(FAILED, stream_id="", cause="bad_schema") == before + 1
