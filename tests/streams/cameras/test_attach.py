"""How sources are told apart; `tests/monitor/commands/test_attach.py` attaches them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradwatch.streams.cameras import attach as attaching
from gradwatch.streams.cameras.attach import CameraPlan, recorded
from gradwatch.streams.sources import Playback
from gradwatch.streams.wire.pixels import encode_jpeg

MOTORWAY = Path(__file__).resolve().parents[2] / "recordings" / "motorway.mp4"


def test_a_plan_does_not_show_its_source() -> None:
    assert "hunter2" not in repr(CameraPlan("gate", "rtsp://u:hunter2@h/x"))


def test_a_video_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    assert len(list(recorded(tmp_path, Playback(), "gate"))) == 1
    assert len(list(recorded(MOTORWAY, Playback(frames=2), "gate"))) == 2


@pytest.mark.parametrize("name", ["a.mcap", "a.db3", "a.bag", "folder"])
def test_bags_are_known_by_their_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        (path / "metadata.yaml").write_text("")
    else:
        path.touch()
    opened = []
    monkeypatch.setitem(attaching.SOURCES, "bag", lambda *told, **options: opened.append((told, options)))
    recorded(path, Playback(2.0), "gate")
    assert opened == [((path,), {"playback": Playback(2.0), "name": "gate"})]


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a camera's address .* got nowhere\.mp4"):
        recorded(Path("nowhere.mp4"), Playback(), None)
