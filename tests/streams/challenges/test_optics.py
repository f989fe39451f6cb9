"""Faults of the camera follow their published settings, to figures worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gradwatch.streams.challenges import optics
from gradwatch.streams.challenges.table import LEVELS, apply_challenge

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def texture() -> Image:
    """Colored blotches of all sizes from a pixel up."""
    rng = np.random.default_rng(3)
    total = np.zeros((260, 480, 3), np.float32)
    for size in (1, 3, 9, 27):
        coarse = rng.normal(0, 28, (260 // size + 1, 480 // size + 1, 3)).astype(np.float32)
        total += cv2.resize(coarse, (480, 260), interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 120, 0, 255).astype(np.uint8)


def luma(image: Image) -> NDArray[np.float64]:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)


def sharpness(image: Image) -> float:
    return float(cv2.Laplacian(luma(image), cv2.CV_64F).var())


@pytest.mark.parametrize(
    ("color", "gray"),
    [
        ((200, 0, 0), 80),  # reds 40
        ((0, 200, 0), 80),  # greens 40
        ((0, 0, 200), 40),  # blues 20
        ((200, 200, 0), 120),  # yellows 60
        ((0, 200, 200), 120),  # cyans 60
        ((200, 0, 200), 160),  # magentas 80
        ((250, 150, 50), 50 + 60 + 40),  # orange: minimum, 60 % of the yellow in it, 40 % of the red
        ((37, 37, 37), 37),
    ],
)
def test_black_and_white_has_the_published_weights(color: tuple[int, ...], gray: int) -> None:
    image = np.full((5, 7, 3), color, np.uint8)
    assert abs(apply_challenge(image, "decolorization", 5, 0, 0).astype(int) - gray).max() <= 1


def test_decolorization_mixes_color_with_gray_in_equal_steps(texture: Image) -> None:
    spreads = [np.ptp(apply_challenge(texture, "decolorization", level, 0, 0), axis=2).mean() for level in (0, *LEVELS)]
    np.testing.assert_allclose(np.array(spreads) / spreads[0], [1, 0.8, 0.6, 0.4, 0.2, 0], atol=0.02)


def test_darkening_and_exposure_scale_the_picture(texture: Image) -> None:
    dark = [luma(apply_challenge(texture, "darkening", level, 0, 0)).mean() for level in LEVELS]
    np.testing.assert_allclose(dark / luma(texture).mean(), [0.73, 0.39, 0.21, 0.11, 0.06], atol=0.01)
    dim = np.full((4, 4, 3), 20, np.uint8)
    bright = [int(apply_challenge(dim, "exposure", level, 0, 0)[0, 0, 0]) for level in LEVELS]
    assert bright == [32, 51, 82, 131, 210]
    assert apply_challenge(np.full_like(dim, 90), "exposure", 4, 0, 0).min() == 255


@pytest.mark.parametrize("name", ["gaussian_blur", "lens_blur"])
def test_blur_takes_away_detail(texture: Image, name: str) -> None:
    large = np.asarray(cv2.resize(texture, (960, 520), interpolation=cv2.INTER_CUBIC), np.uint8)
    values = [sharpness(apply_challenge(large, name, level, 0, 0)) for level in (0, *LEVELS)]
    assert all(later < 0.95 * earlier for earlier, later in pairwise(values))


@pytest.mark.parametrize("name", ["gaussian_blur", "lens_blur"])
def test_blur_scales_with_the_width(texture: Image, name: str) -> None:
    large = np.asarray(cv2.resize(texture, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8)
    blurred = cv2.resize(apply_challenge(large, name, 5, 0, 0), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    error = np.abs(blurred.astype(int) - apply_challenge(texture, name, 5, 0, 0))
    assert error[8:-8, 8:-8].mean() < 1.5


def test_a_point_out_of_focus_is_a_hexagon_of_the_published_radius() -> None:
    point = np.zeros((101, optics.REFERENCE_WIDTH_PX, 3), np.uint8)
    point[50, 800] = 255
    disk = apply_challenge(point, "lens_blur", 2, 0, 0)[:, :, 0].astype(float)
    disk /= disk.max()
    area_px, rows, columns = disk.sum(), np.flatnonzero(disk.max(axis=1) > 0), np.flatnonzero(disk.max(axis=0) > 0)
    assert area_px == pytest.approx(3 * np.sqrt(3) / 2 * 4**2, rel=0.1)  # of a regular hexagon
    assert len(rows) in (8, 9)
    assert len(columns) == 7  # narrower than high: it stands on a corner
    assert disk[46, 797] == 0  # no corner at 45 degrees: a square would have one


@pytest.mark.parametrize("radius_px", [0.001, 0.3, 0.99, 1.01, 1.7, 2.6, 3.9])
def test_an_iris_of_any_size_spreads_light_as_far_as_a_hexagon(radius_px: float) -> None:
    kernel = optics._hexagon(radius_px)
    at = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel.sum(axis=0) * at**2).sum() == pytest.approx(5 / 24 * radius_px**2 + min(radius_px, 1) / 12, abs=0.12)


def test_an_iris_drawn_at_half_size_blurs_alike(texture: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    large = np.asarray(cv2.resize(texture, (1628, 260), interpolation=cv2.INTER_CUBIC), np.uint8)
    quick = apply_challenge(large, "lens_blur", 4, 0, 0)
    monkeypatch.setattr(optics, "HALF_SIZE_FROM_PX", np.inf)
    exact = apply_challenge(large, "lens_blur", 4, 0, 0)
    assert not np.array_equal(quick, exact)
    assert np.abs(quick.astype(int) - exact).mean() < 1.5
    assert sharpness(quick) == pytest.approx(sharpness(exact), rel=0.35)


def test_noise_grows_and_is_colored() -> None:
    gray = np.full((200, 300, 3), 120, np.uint8)
    images = [apply_challenge(gray, "noise", level, 3, 5) for level in (0, *LEVELS)]
    spreads = [float(image.std()) for image in images]
    assert spreads == sorted(spreads)
    assert spreads[1] == pytest.approx(0.2 * 0.5 * 255 / np.sqrt(3), rel=0.05)  # one layer, uniform on +-25.5
    red, green = images[3][:, :, 0].ravel(), images[3][:, :, 1].ravel()
    assert abs(np.corrcoef(red, green)[0, 1]) < 0.05


def test_noise_layers_clip() -> None:
    black = apply_challenge(np.zeros((200, 300, 3), np.uint8), "noise", 5, 0, 0)
    assert black.mean() > 40  # the reference grid: blacks rise to 45 and more at level 5
