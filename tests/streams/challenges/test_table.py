"""Challenges are deterministic, get worse by level, and move or stay as they should."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gradwatch.streams.challenges import weather
from gradwatch.streams.challenges.table import CHALLENGES, LEVELS, apply_challenge, contact_sheet
from gradwatch.streams.recordings import curetsd
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import ChallengeOnset, Playback
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg

Image = NDArray[np.uint8]
MOVING = ("noise", "rain", "snow", "codec_error")
STAYING = ("haze", "dirty_lens")


@pytest.fixture(scope="module")
def road() -> Image:
    """A drawn road with sky, trees, lane markings, texture and a sign."""
    height, width = 270, 480
    rng = np.random.default_rng(7)
    image = np.empty((height, width, 3), np.uint8)
    image[:120] = (140, 180, 225)
    image[120:] = (90, 92, 95)
    for x in range(0, width, 12):
        cv2.circle(image, (x, 115), int(rng.integers(8, 22)), (30, int(rng.integers(50, 100)), 30), -1)
    for x in (100, 240, 380):
        cv2.line(image, (240, 125), (x * 2 - 240, height), (240, 240, 235), 3)
    cv2.circle(image, (400, 100), 18, (200, 20, 30), -1)
    cv2.circle(image, (400, 100), 12, (245, 245, 245), -1)
    grain = rng.integers(-8, 9, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def luma(image: Image) -> NDArray[np.float64]:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)


def levels_of(road: Image, name: str) -> list[Image]:
    return [apply_challenge(road, name, level, seed=3, seq=5) for level in (0, *LEVELS)]


@pytest.mark.parametrize("name", CHALLENGES)
@pytest.mark.parametrize("level", LEVELS)
def test_same_arguments_same_picture_and_the_input_is_left_alone(road: Image, name: str, level: int) -> None:
    before = road.copy()
    first = apply_challenge(road, name, level, seed=1, seq=2)
    assert first.shape == road.shape
    assert first.dtype == np.uint8
    assert not np.array_equal(first, road)
    np.testing.assert_array_equal(first, apply_challenge(road.copy(), name, level, seed=1, seq=2))
    np.testing.assert_array_equal(road, before)


@pytest.mark.parametrize("name", [*MOVING, *STAYING])
def test_seeds_differ(road: Image, name: str) -> None:
    one, two = (apply_challenge(road, name, 3, seed, seq=0) for seed in (1, 2))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("name", CHALLENGES)
def test_what_falls_flickers_or_breaks_moves_and_the_rest_stays(road: Image, name: str) -> None:
    one, two = (apply_challenge(road, name, 3, 1, seq) for seq in (0, 1))
    assert np.array_equal(one, two) == (name not in MOVING)


def test_results_do_not_depend_on_what_was_drawn_before(road: Image) -> None:
    expected = apply_challenge(road, "rain", 2, 1, 4)
    for seed in range(12):  # pushes the field out of its cache
        apply_challenge(road, "rain", 2, seed + 100, 0)
    np.testing.assert_array_equal(expected, apply_challenge(road, "rain", 2, 1, 4))


@pytest.mark.parametrize("name", CHALLENGES)
def test_threads_do_not_meet(road: Image, name: str) -> None:
    seqs = list(range(8))
    expected = [apply_challenge(road, name, 4, 1, seq) for seq in seqs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seq: apply_challenge(road, name, 4, 1, seq), seqs))
    for alone, beside in zip(expected, together, strict=True):
        np.testing.assert_array_equal(alone, beside)


@pytest.mark.parametrize("name", ["haze", "rain", "dirty_lens"])
def test_veils_take_away_contrast(road: Image, name: str) -> None:
    spreads = [float(luma(image).std()) for image in levels_of(road, name)]
    assert spreads[:4] == sorted(spreads[:4], reverse=True)  # from level 4 on, haze has a glow of its own
    assert max(spreads[4:]) < 0.75 * spreads[0]


def test_haze_is_brightest_near_the_middle(road: Image) -> None:
    hazy = luma(apply_challenge(np.zeros_like(road), "haze", 5, 1, 0))
    middle = hazy[100:140, 220:260].mean()
    assert middle > hazy[:20, :20].mean() + 20
    assert middle > hazy[-20:, -20:].mean() + 20


def test_rain_is_bluish(road: Image) -> None:
    rainy = apply_challenge(np.full_like(road, 128), "rain", 5, 1, 0).astype(float)
    assert rainy[:, :, 2].mean() > rainy[:, :, 0].mean() + 8


def test_shadow_bars_have_the_published_width_and_opacity() -> None:
    gray = np.full((20, weather.REFERENCE_WIDTH_PX, 3), 200, np.uint8)
    row = apply_challenge(gray, "shadow", 5, 1, 0)[7, :, 0].astype(int)
    starts = np.flatnonzero(np.diff(row) < 0) + 1
    ends = np.flatnonzero(np.diff(row) > 0) + 1
    assert set(np.diff(starts)) == {142}
    assert set(ends[1:] - starts[: len(ends) - 1]) == {67}  # 47 %
    assert set(row) == {50, 200}


def test_shadow_fits_any_width() -> None:
    for width in range(1, 300):
        gray = np.full((2, width, 3), 200, np.uint8)
        shaded = apply_challenge(gray, "shadow", 5, 1, 0)
        assert set(np.unique(shaded)) <= {50, 200}
        if width >= 46:  # a bar and its gap are four pixels
            assert (shaded == 50).mean() == pytest.approx(0.47, abs=0.12)


@pytest.mark.parametrize("shape", [(17, 23, 3), (96, 1, 3), (1236, 1628, 3)])
@pytest.mark.parametrize("name", CHALLENGES)
def test_any_picture_size(name: str, shape: tuple[int, int, int]) -> None:
    image = np.full(shape, 100, np.uint8)
    assert apply_challenge(image, name, 5, 1, 0).shape == shape


@pytest.mark.parametrize(("name", "level"), [("none", 0), ("none", 3), ("rain", 0)])
def test_nothing_returns_the_picture_itself(road: Image, name: str, level: int) -> None:
    assert apply_challenge(road, name, level, 1, 1) is road


def test_errors_name_the_nearest_challenge_and_what_came(road: Image) -> None:
    with pytest.raises(ValueError, match="nearest 'darkening'") as caught:
        apply_challenge(road, "darkenning", 1, 0, 0)
    assert all(name in str(caught.value) for name in CHALLENGES)
    for level in (-1, 6):
        with pytest.raises(ValueError, match=f"from 0 .* got {level}"):
            apply_challenge(road, "rain", level, 0, 0)
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8, got \(270, 480\)"):
        apply_challenge(road[:, :, 0], "rain", 1, 0, 0)


def test_every_challenge_of_curetsd_is_there_under_its_number() -> None:
    assert dict(enumerate(CHALLENGES, start=1)) == {
        **{1: "decolorization", 2: "lens_blur", 3: "codec_error", 4: "darkening", 5: "dirty_lens", 6: "exposure"},
        **{7: "gaussian_blur", 8: "noise", 9: "rain", 10: "shadow", 11: "snow", 12: "haze"},
    }


@pytest.mark.parametrize("name", CHALLENGES)
def test_sources_and_names_of_recordings_know_every_challenge(name: str) -> None:
    picture = encode_jpeg(np.full((24, 32, 3), 90, np.uint8))
    frames = list(jpegs([picture] * 3, Playback(challenge=ChallengeOnset(name, 5, onset_seq=1))))
    assert frames[0].content == picture
    expected = apply_challenge(decode_picture(picture), name, 5, 0, 2)
    assert frames[2].content == encode_jpeg(expected)
    assert curetsd.RecordingName(1, 4, [*CHALLENGES].index(name) + 1, 3).challenge == name


def test_contact_sheet_shows_every_challenge(road: Image) -> None:
    sheet = contact_sheet(road, seed=1, cell_width_px=64)
    assert sheet.shape == (28 + 4 + len(CHALLENGES) * (36 + 4), 130 + 4 + 5 * (64 + 4), 3)
