"""Videos keep their pictures, order and times; broken ones are refused with the reason."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray
from structlog.testing import capture_logs

from gradwatch.streams.cameras.address import CameraAddress
from gradwatch.streams.cameras.connection import connect
from gradwatch.streams.cameras.decoder import Decoder
from gradwatch.streams.challenges.table import apply_challenge
from gradwatch.streams.recordings.damage import RecordingError
from gradwatch.streams.recordings.video import read_video, video, write_video
from gradwatch.streams.sources import open_source
from gradwatch.streams.wire.pixels import decode_picture

from . import made_videos
from .made_videos import halves

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


def test_pictures_that_can_not_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="at least one picture"):
        write_video(tmp_path / "empty.mp4", [], 10)
    with pytest.raises(RecordingError, match=r"picture 1 of .* expected \(120, 160, 3\)"):
        write_video(tmp_path / "sizes.mp4", [drive(1)[0], drive(1, 60, 80)[0]], 10)
    with pytest.raises(RecordingError, match=r"ending in \.mp4 or \.webm"):
        write_video(tmp_path / "drive.avi", drive(1), 10)
    with pytest.raises(RecordingError, match=r"\(H, W, 3\)"):
        write_video(tmp_path / "gray.mp4", [drive(1)[0][:, :, 0]], 10)


def noisy(count: int, size: tuple[int, int] = (96, 128)) -> list[Image]:
    generator = np.random.default_rng(3)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def test_the_film_is_played_and_not_its_cover(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "cover.mp4"), "w") as out:
        for size, codec in (((90, 160), "mjpeg"), ((96, 128), "libx264")):
            stream = out.add_stream(codec, rate=10)
            stream.height, stream.width = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = Disposition.attached_pic if codec == "mjpeg" else Disposition.default
        for track, count in zip(out.streams.video, (1, 5), strict=True):
            for i, image in enumerate(noisy(count, (track.height, track.width))):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 10)
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    assert [still.pixels().shape for still in read_video(tmp_path / "cover.mp4")] == [(96, 128, 3)] * 5


def test_of_several_tracks_the_first_is_played_unless_another_is_named(tmp_path: Path) -> None:
    path = tmp_path / "both.mp4"
    with av.open(str(path), "w") as out:
        tracks = [out.add_stream("libx264", rate=10) for _ in range(2)]
        for track, width in zip(tracks, (128, 64), strict=True):
            track.height, track.width, track.pix_fmt = 96, width, "yuv420p"
        for track in tracks:
            for i, image in enumerate(noisy(3, (96, track.width))):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 10)
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    with capture_logs() as logs:
        assert {still.pixels().shape for still in read_video(path)} == {(96, 128, 3)}
    assert [(line["played"], line["others"]) for line in logs] == [("0 (h264, 128 x 96 px)", ["1 (h264, 64 x 96 px)"])]
    source = video(path)
    assert len(list(source)) == 3
    assert source.chosen == "track 0 (h264, 128 x 96 px) of 2, --track chooses another"
    assert {still.pixels().shape for still in read_video(path, track="1")} == {(96, 64, 3)}
    with pytest.raises(RecordingError, match=r"track of .*both\.mp4: expected one of 0 \(h264, .*, got 2"):
        read_video(path, track="2")


@pytest.mark.parametrize(("degrees", "stored"), [(180, halves()[::-1]), (90, halves(128, 96).transpose(1, 0, 2)[::-1])])
def test_a_turned_video_arrives_upright(degrees: int, stored: Image, tmp_path: Path) -> None:
    path = made_videos.turn(made_videos.write(tmp_path / "a.mp4", [stored] * 3), degrees, 128, 96)
    for still in read_video(path):
        image = still.pixels()
        assert image.shape == ((96, 128, 3) if degrees == 180 else (128, 96, 3))
        assert image[:40, :, 0].mean() > 150
        assert image[-40:, :, 0].mean() < 60


@pytest.mark.parametrize("height", [96, 720])
def test_a_file_has_the_colors_of_the_camera_that_recorded_it(height: int, tmp_path: Path) -> None:
    path = made_videos.write(tmp_path / "a.ts", [halves(height)] * 3, bf="0")
    with connect(CameraAddress(str(path), str(path), ({},))) as connection:
        decoder = Decoder(connection.setup)
        pictures = [picture for packet in connection.packets if packet for picture in decoder.decode(packet)]
    live = decode_picture(pictures[0].encode(with_thumbnail=False)[0])
    replayed = decode_picture(next(iter(video(path))).content)
    for rows in (slice(5, height // 2 - 5), slice(height // 2 + 5, -5)):
        np.testing.assert_allclose(live[rows].mean((0, 1)), replayed[rows].mean((0, 1)), atol=2)
    if height == 720:
        np.testing.assert_allclose(replayed[5:300].mean((0, 1)), made_videos.RED, atol=3)


def test_mjpeg_passes_unchanged_as_it_does_from_a_camera(tmp_path: Path) -> None:
    path = made_videos.write(tmp_path / "a.avi", noisy(4), "mjpeg")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    frames = list(video(path))
    assert [frame.content for frame in frames] == packets
    assert [frame.capture_ns for frame in frames] == [i * 100_000_000 for i in range(4)]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mjpeg"), ("a.mp4", "libx264"), ("a.ts", "libx264")])
def test_a_damaged_packet_is_counted_and_the_rest_is_played(name: str, codec: str, tmp_path: Path) -> None:
    options = {} if codec == "mjpeg" else {"g": "5", "bf": "0"}
    path = made_videos.write(tmp_path / name, noisy(20), codec, **options)
    source = video(made_videos.zero_packet(path, 10))
    assert len(list(source)) == 19
    assert source.dropped == {"undecodable": 1}


def test_files_that_were_joined_lose_no_frame_and_their_times_go_on(tmp_path: Path) -> None:
    content = made_videos.write(tmp_path / "a.ts", noisy(10)).read_bytes()
    (tmp_path / "joined.ts").write_bytes(content * 2)
    source = video(tmp_path / "joined.ts")
    assert np.diff([frame.capture_ns for frame in source]).tolist() == [100_000_000] * 19
    assert source.dropped == {}


def test_times_before_zero_are_moved(tmp_path: Path) -> None:
    options = {"avoid_negative_ts": "disabled"}
    path = made_videos.write(tmp_path / "a.mkv", noisy(6), "mjpeg", range(-3, 3), options)
    assert [frame.capture_ns for frame in video(path)] == [i * 100_000_000 for i in range(6)]


def test_a_folder_of_videos_is_one_recording(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        made_videos.write(tmp_path / f"clip_{number}.mp4", [np.full((64, 64, 3), 20 * number, np.uint8)] * 3)
    made_videos.write(tmp_path / "clip_11.MKV", noisy(1))
    (tmp_path / "clip_3.mp4").write_bytes(b"")
    (tmp_path / "._clip_1.mp4").write_bytes(b"Mac OS X")
    (tmp_path / "notes.txt").write_text("no video")
    source = open_source(tmp_path)
    for _ in range(2):
        frames = list(source)
        assert [round(decode_picture(frame.content).mean() / 20) for frame in frames[:9]] == [1] * 3 + [2] * 3 + [
            10
        ] * 3
        assert [frame.capture_ns for frame in frames] == [i * 100_000_000 for i in range(10)]
        assert source.dropped == {"undecodable": 1}


@pytest.mark.shared
def test_real_clips(shared: Path) -> None:
    frame = next(read_video(shared / "data" / "videos" / "solidWhiteRight.mp4"))
    assert frame.pixels().shape == (540, 960, 3)
    raw = read_video(shared / "data" / "videos" / "people-detection.264")
    assert [next(raw).time_ns for _ in range(3)] == [0, 40_000_000, 80_000_000]
