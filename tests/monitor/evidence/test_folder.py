"""The evidence folder: files are whole or absent, and its size limit never removes files of open alerts."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import IO

import pytest

from gradwatch.monitor.evidence.folder import EvidenceFolder, NoRoomError
from gradwatch.monitor.evidence.mcap_writer import write_evidence
from gradwatch.monitor.evidence.window import window_of
from gradwatch.streams.wire.messages import AlertState

from .live import counted
from .scenes import alert, frame


def name(number: int) -> str:
    return str(uuid.UUID(int=number))


def fill(size: int):
    def write(stream: IO[bytes]) -> int:
        return stream.write(bytes([size % 251]) * size)

    return write


def put(folder: EvidenceFolder, number: int, size: int = 100, is_open: bool = False) -> Path:
    path = folder.path("north", name(number))
    folder.write(path, is_open, fill(size))
    os.utime(path, ns=(number, number))
    folder._files[path].written_ns = number  # the clock of the disk may be too coarse to order them
    return path


def test_a_file_appears_whole(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "a" / "evidence", 1000)
    path = folder.path("north", name(1))
    seen = []

    def write(stream: IO[bytes]) -> None:
        stream.write(b"first half")
        stream.flush()
        seen.extend(folder.root.glob("**/*.mcap"))
        stream.write(b", second half")

    _, stored = folder.write(path, False, write)
    assert seen == []
    assert path.read_bytes() == b"first half, second half"
    assert stored == (f"north/{name(1)}.mcap", hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_failed_write_keeps_the_earlier_file_and_leaves_nothing(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, 1000)
    path = put(folder, 1)

    def full(stream: IO[bytes]) -> None:
        stream.write(b"x")
        raise OSError(errno.ENOSPC, "no space left on device")

    with pytest.raises(OSError, match="no space"):
        folder.write(path, False, full)
    assert path.stat().st_size == folder.size_bytes == 100
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("stream_id", "alert_id"),
    [("..", name(1)), ("north/..", name(1)), ("north", "../x"), ("north", ""), ("north", name(1).upper() + "x")],
)
def test_ids_that_lead_out_of_the_folder_are_refused(tmp_path: Path, stream_id: str, alert_id: str) -> None:
    with pytest.raises(ValueError, match=r"must match|expected the id"):
        EvidenceFolder(tmp_path, 1000).path(stream_id, alert_id)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "evidence", 1000)
    (tmp_path / "elsewhere").mkdir()
    (folder.root / "north").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="leads out of it"):
        folder.path("north", name(1))


# --- the bound -------------------------------------------------------------------------------------------------------


def test_reviewed_files_are_removed_first_then_the_oldest_closed_and_never_open_ones(tmp_path: Path) -> None:
    reviewed = {name(3), name(1)}
    folder = EvidenceFolder(tmp_path, 600, lambda ids: reviewed & set(ids))
    paths = {number: put(folder, number, is_open=number == 1) for number in range(1, 7)}
    gone = []
    for number in range(7, 12):
        paths[number] = put(folder, number)
        gone.append([n for n, path in paths.items() if not path.exists()])
        assert folder.size_bytes == sum(path.stat().st_size for path in paths.values() if path.exists()) <= 600
    assert gone == [[3], [2, 3], [2, 3, 4], [2, 3, 4, 5], [2, 3, 4, 5, 6]]


def test_if_all_alerts_are_open_nothing_is_removed_and_nothing_written(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, 250)
    paths = [put(folder, number, is_open=True) for number in (1, 2)]
    with pytest.raises(NoRoomError, match="expected room for 100 bytes"):
        put(folder, 3)
    assert all(path.exists() for path in paths)
    assert len(list(folder.root.glob("*/*"))) == 2


def test_a_file_larger_than_the_bound_removes_none(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, 250)
    path = put(folder, 1)
    with pytest.raises(NoRoomError):
        put(folder, 2, size=300)
    assert path.exists()


def test_a_replaced_file_does_not_count_twice(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, 250)
    put(folder, 1, is_open=True)
    put(folder, 2, is_open=True)
    put(folder, 1, size=150, is_open=True)
    assert folder.size_bytes == 250


def test_after_a_restart_files_tell_whether_their_alerts_are_open(tmp_path: Path) -> None:
    first = EvidenceFolder(tmp_path, 10**6)
    made = [alert(frame(1, 10), frame(2, 10), AlertState.OPEN), alert(frame(3, 10), frame(4, 10))]
    for about in made:
        path = first.path("north", about.alert_id)
        first.write(path, False, lambda stream, of=about: write_evidence(stream, [of], window_of(of), [], [], dict))
    size = path.stat().st_size
    second = EvidenceFolder(tmp_path, 2 * size + 200)
    evicted = counted("gradwatch_evidence_evicted_total", stream_id="north", cause="closed")
    put(second, 9, size=size)
    left = {path.stem for path in tmp_path.glob("*/*.mcap")}
    assert left == {made[0].alert_id, name(9)}
    assert counted("gradwatch_evidence_evicted_total", stream_id="north", cause="closed") == evicted + 1
    assert counted("gradwatch_evidence_stored_bytes") == second.size_bytes


# --- remains ---------------------------------------------------------------------------------------------------------

HALF = """
import os, sys
from pathlib import Path
from gradwatch.monitor.evidence.folder import EvidenceFolder
folder = EvidenceFolder(Path(sys.argv[1]), 10**6)
def fill(stream):
    stream.write(b"half"); stream.flush()
    os.kill(os.getpid(), 9)
folder.write(folder.path("north", sys.argv[2]), False, fill)
"""


@pytest.mark.service
def test_partial_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", HALF, str(tmp_path), name(1)], check=False)
    assert killed.returncode == -9
    (half,) = tmp_path.glob("north/.*")
    assert half.read_bytes() == b"half"
    assert list(tmp_path.glob("*/*.mcap")) == []
    EvidenceFolder(tmp_path, 1000)
    assert not half.exists()


def test_partial_files_of_a_living_process_are_kept(tmp_path: Path) -> None:
    (tmp_path / "north").mkdir()
    at_work = tmp_path / "north" / f".{name(1)}.abc.partial"
    with at_work.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        EvidenceFolder(tmp_path, 1000)
        assert at_work.exists()
    EvidenceFolder(tmp_path, 1000)
    assert not at_work.exists()
