from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gradwatch.streams.cameras.picture_health import (
    EXPOSURE_S,
    FROZEN_AFTER_S,
    INTERVAL_S,
    PictureHealth,
    jpeg_thumbnail,
    thumbnail,
)
from gradwatch.streams.recordings.video import read_video
from gradwatch.streams.wire.messages import Disturbance
from gradwatch.streams.wire.pixels import encode_jpeg

HEIGHT, WIDTH, RATE_HZ = 180, 320, 15
FROZEN, BLACK, OVEREXPOSED = Disturbance.FROZEN, Disturbance.BLACK, Disturbance.OVEREXPOSED
BARS_S = 5.0


def scene() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return 70 + 60 * y / HEIGHT + 25 * np.sin(x / 11) * np.cos(y / 9)


def lumas(count: int, noise: float, seed: int = 0, level: float | None = None) -> Iterator[np.ndarray]:
    """A still scene with sensor noise."""
    generator = np.random.default_rng(seed)
    still = scene() if level is None else np.full((HEIGHT, WIDTH), level)
    for _ in range(count):
        yield np.clip(still + generator.normal(0, noise, still.shape), 0, 255).astype(np.uint8)


def through_h264(pictures: list[np.ndarray], bit_rate: int, gop: int) -> Iterator[np.ndarray]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, RATE_HZ), Fraction(RATE_HZ)
    encoder.gop_size, encoder.bit_rate = gop, bit_rate
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    gray = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    for i, luma in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.concatenate([luma, gray]), format="yuv420p")
        frame.pts = i
        for packet in encoder.encode(frame):
            for decoded in decoder.decode(packet):
                yield decoded.to_ndarray()[:HEIGHT]


def found(small: Iterator[np.ndarray], disturbance: Disturbance) -> list[float]:
    """The times at which the disturbance was found; pictures are inspected as often as a camera's."""
    health, times = PictureHealth(), []
    for i, picture in enumerate(small):
        now_s = i / RATE_HZ
        if health.is_due(now_s) and health.inspect(thumbnail(picture), now_s)[disturbance] is not None:
            times.append(now_s)
    return times


@pytest.mark.parametrize("noise", [1.5, 3.0])
@pytest.mark.parametrize("bit_rate", [None, 300_000, 1_000_000])
def test_a_frozen_picture_is_distinguished_from_a_still_scene(noise: float, bit_rate: int | None) -> None:
    """10 s of a still scene, then 10 s of one repeated picture, then the scene again."""
    live, again = list(lumas(10 * RATE_HZ, noise)), list(lumas(8 * RATE_HZ, noise, seed=1))
    pictures = [*live, *[live[-1]] * (10 * RATE_HZ), *again]
    shown = iter(pictures) if bit_rate is None else through_h264(pictures, bit_rate, gop=RATE_HZ)
    times = found(shown, FROZEN)
    assert times, "never"
    assert FROZEN_AFTER_S - INTERVAL_S <= times[0] - 10.0 <= BARS_S
    assert 0.0 <= times[-1] - 20.0 <= BARS_S
    assert np.diff(times).max() < 2 * INTERVAL_S  # without interruption


def test_a_clock_drawn_into_a_frozen_picture_does_not_hide_it() -> None:
    def pictures() -> Iterator[np.ndarray]:
        (still,) = lumas(1, 2.0)
        for second in range(12):
            for _ in range(RATE_HZ):
                shown = still.copy()
                shown[4:12, 4:34] = 255 * (second % 2)
                yield shown

    assert found(pictures(), FROZEN)


@pytest.mark.parametrize(("level", "disturbance"), [(4.0, BLACK), (254.0, OVEREXPOSED)])
def test_a_flat_picture_is_black_or_overexposed_after_a_while_and_not_frozen(
    level: float, disturbance: Disturbance
) -> None:
    pictures = list(lumas(8 * RATE_HZ, 1.0, level=level))
    times = found(iter(pictures), disturbance)
    assert times[0] == pytest.approx(EXPOSURE_S, abs=INTERVAL_S)
    assert times[-1] > 7.5
    assert not found(iter(pictures), FROZEN)
    assert not found(iter(pictures), BLACK if disturbance is OVEREXPOSED else OVEREXPOSED)


@pytest.mark.parametrize("level", [4.0, 254.0])
def test_a_picture_is_not_frozen_for_having_been_flat(level: float) -> None:
    """Without noise, a lens cap or a white-out repeats one picture."""
    flat = list(lumas(6 * RATE_HZ, 0.0, level=level))
    assert not found(iter([*lumas(30, 2.0), *flat, *lumas(6 * RATE_HZ, 2.0, seed=1)]), FROZEN)
    (still,) = lumas(1, 2.0)
    times = found(iter([*flat, *[still] * (6 * RATE_HZ)]), FROZEN)
    assert times[0] - 6.0 == pytest.approx(FROZEN_AFTER_S, abs=2 * INTERVAL_S)


def test_findings_have_their_start() -> None:
    health = PictureHealth()
    (dark,) = lumas(1, 0.0, level=4.0)
    since = [health.inspect(thumbnail(dark), 10.0 + 0.5 * i)[BLACK] for i in range(6)]
    assert since == [None] * 4 + [10.0] * 2


def test_a_flash_and_a_tunnel_are_no_disturbance() -> None:
    flash = [*lumas(30, 2.0), *lumas(20, 1.0, level=254), *lumas(30, 2.0), *lumas(20, 1.0, level=2), *lumas(30, 2.0)]
    assert not found(iter(flash), OVEREXPOSED)
    assert not found(iter(flash), BLACK)


def test_a_night_with_lamps_is_not_black() -> None:
    def night() -> Iterator[np.ndarray]:
        for luma in lumas(6 * RATE_HZ, 1.0, level=6):
            luma[60:80, 100:130] = luma[90:100, 200:230] = 200
            yield luma

    assert not found(night(), BLACK)


def test_a_slow_camera_is_not_found_frozen_too_early() -> None:
    health = PictureHealth()
    (picture,) = lumas(1, 2.0)
    since = [health.inspect(thumbnail(picture), float(second))[FROZEN] for second in range(8)]
    assert since == [None] * 4 + [0.0] * 4  # needs a first picture and four that equal it


def test_thumbnails_of_a_jpeg_are_those_of_its_pixels() -> None:
    color = np.repeat(scene().astype(np.uint8)[..., None], 3, axis=2)
    large = np.kron(color, np.ones((6, 6, 1), np.uint8))  # 1920 x 1080
    small = jpeg_thumbnail(encode_jpeg(large, 95))
    assert small is not None
    assert abs(small.astype(int) - thumbnail(scene().astype(np.uint8))).max() <= 2
    assert jpeg_thumbnail(encode_jpeg(color[:8, :8])) is not None
    assert jpeg_thumbnail(b"\xff\xd8\xff and no more") is None


@pytest.mark.parametrize("clip", ["countryroad", "street", "rain", "night"])
def test_real_clips_are_neither_frozen_nor_overexposed_nor_black(shared: Path, clip: str) -> None:
    paths = [path for path in (shared / "data" / "real_weather" / "clips").glob("*.mp4") if clip in path.stem]
    if not paths:
        pytest.skip(f"no clip of {clip} there")
    health, seen = PictureHealth(), set()
    for frame in read_video(paths[0]):
        now_s = frame.time_ns / 1e9
        if now_s > 12.0:
            break
        if health.is_due(now_s):
            luma = frame.image[::2, ::2].mean(axis=2).astype(np.uint8)
            found_now = health.inspect(thumbnail(luma), now_s)
            seen |= {disturbance for disturbance, since_s in found_now.items() if since_s is not None}
    assert not seen
