"""What an address is opened as, and what every kind of recording guarantees."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gradwatch import GradwatchError
from gradwatch.streams.cameras.camera import LiveCamera
from gradwatch.streams.recordings.played import Playback, SourceOptionError, legal_stream_id
from gradwatch.streams.sources import kind_of, open_source

from ..places import MOTORWAY


def write(folder: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / name), np.full((12, 16, 3), 20 * i, np.uint8))
    return folder


def crops(folder: Path) -> Path:
    return write(folder, "Real_Test/Rain-1/01_06_09_01_0001.bmp", "Real_Test/ChallengeFree/01_06_00_00_0001.bmp")


def objects(folder: Path) -> Path:
    return write(folder, "01_no_challenge/white/HTC/1_2_3_040_01_0.jpg", "05_blur/Level_1/1_2_3_040_05_1.jpg")


def stills(folder: Path) -> Path:
    return write(folder, "a.jpg", "b.png", "c.JPG")


def cure_tsd(folder: Path) -> Path:
    return Path(shutil.copy(MOTORWAY, folder / "01_07_00_00_00.mp4"))


@pytest.mark.parametrize(
    ("make", "kind"), [(crops, "curetsr"), (objects, "cureor"), (stills, "pictures"), (cure_tsd, "video")]
)
def test_recordings_are_opened_as_their_kind_and_play_the_same_twice(
    make: Callable[[Path], Path], kind: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    assert kind_of(path) == kind_of(str(path)) == kind
    source = open_source(path, Playback(frames=3))
    frames = list(source)
    assert 1 < len(frames) <= 3
    assert frames == list(source)
    assert [frame.capture_ns for frame in frames] == sorted(frame.capture_ns for frame in frames)
    assert source.name == path.stem
    assert open_source(path, name="north-gate").name == "north-gate"


def test_bags_are_recognized_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("")
    assert [kind_of(tmp_path / name) for name in ("", "a.mcap", "a.db3", "a.bag")] == ["bag"] * 4


def test_an_address_opens_a_camera_and_a_path_never_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = open_source("rtsp://u:hunter2@h:554/x y?key=1", Playback(2.0), transport="udp")
    assert isinstance(live, LiveCamera)
    assert live.name == legal_stream_id("h-554-x y?…")
    assert open_source("rtsp://h:554/x").name == "h-554-x"
    stills(tmp_path / "0")
    monkeypatch.chdir(tmp_path)
    assert (kind_of("0"), kind_of(Path("0"))) == ("camera", "pictures")
    with pytest.raises(GradwatchError, match="rate_hz only"):
        open_source("0", Playback(first=3))


@pytest.mark.parametrize(("option", "value"), [("topic", "/front"), ("only", {"challenge": ["rain"]})])
def test_an_option_of_another_kind_is_refused_with_the_kind(option: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(SourceOptionError, match=rf"{option} does not apply to .*, which is opened as: pictures"):
        open_source(stills(tmp_path), **{option: value})
    assert len(list(open_source(tmp_path, topic=None, only={}))) == 3


def test_a_missing_recording_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a camera's address .* got nowhere\.mp4"):
        open_source(Path("nowhere.mp4"))
