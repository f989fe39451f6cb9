"""Challenges are deterministic, get worse by level, and move or stay as they should."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gradwatch.streams import curetsd
from gradwatch.streams.challenges import CHALLENGES, LEVELS, apply_challenge, contact_sheet

Image = NDArray[np.uint8]
MOVING = ("noise", "rain")
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


def sharpness(image: Image) -> float:
    return float(cv2.Laplacian(luma(image), cv2.CV_64F).var())


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
def test_rain_and_noise_move_the_others_stay(road: Image, name: str) -> None:
    one, two = (apply_challenge(road, name, 3, 1, seq) for seq in (0, 1))
    assert np.array_equal(one, two) == (name not in MOVING)


def test_results_do_not_depend_on_what_was_drawn_before(road: Image) -> None:
    expected = apply_challenge(road, "rain", 2, 1, 4)
    for seed in range(12):  # pushes the field out of its cache
        apply_challenge(road, "rain", 2, seed + 100, 0)
    np.testing.assert_array_equal(expected, apply_challenge(road, "rain", 2, 1, 4))


def test_darkening_follows_the_published_stops(road: Image) -> None:
    means = [luma(image).mean() for image in levels_of(road, "darkening")]
    assert means == sorted(means, reverse=True)
    ratios = np.array(means[1:]) / means[0]
    np.testing.assert_allclose(ratios, [0.73, 0.39, 0.21, 0.11, 0.06], atol=0.01)


def test_blur_takes_away_detail(road: Image) -> None:
    values = [sharpness(image) for image in levels_of(road, "gaussian_blur")]
    assert all(later < 0.95 * earlier for earlier, later in pairwise(values))


def test_blur_scales_with_the_width(road: Image) -> None:
    large = cv2.resize(road, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    blurred = cv2.resize(
        apply_challenge(np.asarray(large, np.uint8), "gaussian_blur", 4, 0, 0),
        None,
        fx=0.5,
        fy=0.5,
        interpolation=cv2.INTER_AREA,
    )
    small = apply_challenge(road, "gaussian_blur", 4, 0, 0)
    assert np.abs(blurred.astype(int) - small).mean() < 1.0


def test_noise_grows_and_is_colored() -> None:
    gray = np.full((200, 300, 3), 120, np.uint8)
    images = levels_of(gray, "noise")
    spreads = [float(image.std()) for image in images]
    assert spreads == sorted(spreads)
    assert spreads[1] == pytest.approx(0.2 * 0.5 * 255 / np.sqrt(3), rel=0.05)  # one layer, uniform on +-25.5
    red, green = images[3][:, :, 0].ravel(), images[3][:, :, 1].ravel()
    assert abs(np.corrcoef(red, green)[0, 1]) < 0.05


def test_noise_layers_clip(road: Image) -> None:
    black = apply_challenge(np.zeros((200, 300, 3), np.uint8), "noise", 5, 0, 0)
    assert black.mean() > 40  # the reference grid: blacks rise to 45 and more at level 5


@pytest.mark.parametrize("name", ["haze", "rain", "dirty_lens"])
def test_veils_take_away_contrast(road: Image, name: str) -> None:
    spreads = [float(luma(image).std()) for image in levels_of(road, name)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 0.75 * spreads[0]


def test_haze_is_brightest_near_the_middle(road: Image) -> None:
    hazy = luma(apply_challenge(np.zeros_like(road), "haze", 5, 1, 0))
    middle = hazy[100:140, 220:260].mean()
    assert middle > hazy[:20, :20].mean() + 20
    assert middle > hazy[-20:, -20:].mean() + 20


def test_rain_is_bluish(road: Image) -> None:
    rainy = apply_challenge(np.full_like(road, 128), "rain", 5, 1, 0).astype(float)
    assert rainy[:, :, 2].mean() > rainy[:, :, 0].mean() + 8


@pytest.mark.parametrize("shape", [(17, 23, 3), (96, 1, 3), (1236, 1628, 3)])
@pytest.mark.parametrize("name", CHALLENGES)
def test_any_picture_size(name: str, shape: tuple[int, int, int]) -> None:
    image = np.full(shape, 100, np.uint8)
    assert apply_challenge(image, name, 5, 1, 0).shape == shape


@pytest.mark.parametrize(("name", "level"), [("none", 0), ("none", 3), ("rain", 0)])
def test_nothing_returns_the_picture_itself(road: Image, name: str, level: int) -> None:
    assert apply_challenge(road, name, level, 1, 1) is road


def test_errors_name_the_nearest_challenge_and_what_came(road: Image) -> None:
    with pytest.raises(ValueError, match="nearest 'darkening'"):
        apply_challenge(road, "darkenning", 1, 0, 0)
    for level in (-1, 6):
        with pytest.raises(ValueError, match=f"from 0 .* got {level}"):
            apply_challenge(road, "rain", level, 0, 0)
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8, got \(270, 480\)"):
        apply_challenge(road[:, :, 0], "rain", 1, 0, 0)


def test_type_numbers_are_those_of_file_names() -> None:
    for challenge in CHALLENGES.values():
        assert curetsd.CHALLENGE_NAMES[challenge.type_number] == challenge.name


def test_contact_sheet_shows_every_challenge(road: Image) -> None:
    sheet = contact_sheet(road, seed=1, cell_width_px=64)
    assert sheet.shape == ((1 + len(CHALLENGES)) * 36, 130 + 5 * 64, 3)
