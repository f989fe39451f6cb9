"""Videos keep their pictures, order and times; broken ones are refused with the reason."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gradwatch.streams.challenges.table import apply_challenge
from gradwatch.streams.recordings.played import RecordingError
from gradwatch.streams.recordings.video import read_video, write_video

Image = NDArray[np.uint8]


def drive(count: int, height: int = 120, width: int = 160) -> list[Image]:
    """A ball over a gradient; every frame differs."""
    images = []
    for seq in range(count):
        image = np.empty((height, width, 3), np.uint8)
        image[:] = np.linspace((60, 90, 140), (110, 110, 100), height)[:, None].astype(np.uint8)
        cv2.circle(image, (20 + 8 * seq, 60), 15, (220, 30, 40), -1)
        images.append(image)
    return images


def psnr_db(one: Image, two: Image) -> float:
    error = float(((one.astype(float) - two.astype(float)) ** 2).mean())
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize("level", [0, 3])
def test_recordings_are_near_lossless_even_under_noise(tmp_path: Path, level: int) -> None:
    images = [apply_challenge(image, "noise", level, 1, seq) for seq, image in enumerate(drive(6))]
    assert write_video(tmp_path / "drive.mp4", images, 10, lossless=True) == 6
    frames = list(read_video(tmp_path / "drive.mp4"))
    assert [frame.time_ns for frame in frames] == [seq * 100_000_000 for seq in range(6)]
    assert min(psnr_db(image, frame.pixels()) for image, frame in zip(images, frames, strict=True)) >= 45


@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
@pytest.mark.parametrize("size", [(120, 160), (121, 159)])
def test_viewing_copies_keep_pictures_colors_and_times(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    images = drive(5, *size)
    path = tmp_path / f"view{suffix}"
    write_video(path, iter(images), 5)
    frames = list(read_video(path))
    assert [frame.time_ns for frame in frames] == [seq * 200_000_000 for seq in range(5)]
    for image, frame in zip(images, frames, strict=True):
        assert frame.pixels().shape == image.shape
        assert psnr_db(image, frame.pixels()) > 28
        np.testing.assert_allclose(frame.pixels().mean((0, 1)), image.mean((0, 1)), atol=3)


def test_a_viewing_copy_is_below_the_bar_of_recordings(tmp_path: Path) -> None:
    noisy = [apply_challenge(image, "noise", 3, 1, seq) for seq, image in enumerate(drive(3))]
    write_video(tmp_path / "view.mp4", noisy, 10)
    viewed = read_video(tmp_path / "view.mp4")
    assert min(psnr_db(image, frame.pixels()) for image, frame in zip(noisy, viewed, strict=True)) < 45


def test_missing_and_broken_videos_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a video file at .*missing\.mp4"):
        read_video(tmp_path / "missing.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(RecordingError, match=r"expected a video at .*text\.mp4"):
        read_video(tmp_path / "text.mp4")


def test_a_damaged_video_is_not_silently_short(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    write_video(path, drive(10), 10, lossless=True)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + len(content) // 4
    content[start : start + 2000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="breaks off after"):
        list(read_video(path))


def test_pictures_that_can_not_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="at least one picture"):
        write_video(tmp_path / "empty.mp4", [], 10)
    with pytest.raises(RecordingError, match=r"picture 1 of .* expected \(120, 160, 3\)"):
        write_video(tmp_path / "sizes.mp4", [drive(1)[0], drive(1, 60, 80)[0]], 10)
    with pytest.raises(RecordingError, match=r"ending in \.mp4 or \.webm"):
        write_video(tmp_path / "drive.avi", drive(1), 10)
    with pytest.raises(RecordingError, match=r"\(H, W, 3\)"):
        write_video(tmp_path / "gray.mp4", [drive(1)[0][:, :, 0]], 10)


@pytest.mark.shared
def test_real_clips(shared: Path) -> None:
    frame = next(read_video(shared / "data" / "videos" / "solidWhiteRight.mp4"))
    assert frame.pixels().shape == (540, 960, 3)
    raw = read_video(shared / "data" / "videos" / "people-detection.264")
    assert [next(raw).time_ns for _ in range(3)] == [0, 40_000_000, 80_000_000]
