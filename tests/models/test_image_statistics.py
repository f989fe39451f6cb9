"""Statistics are finite and respond to the disturbance that they are named after."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradwatch.models.autoencoder import shrink
from gradwatch.models.image_statistics import STATISTICS, image_statistics


@pytest.fixture(scope="module")
def picture():
    generator = np.random.default_rng(5)
    coarse = generator.integers(30, 220, (18, 32, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (960, 540), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    for _ in range(80):
        x, y = generator.integers(0, 900), generator.integers(0, 480)
        cv2.rectangle(picture, (int(x), int(y)), (int(x) + 50, int(y) + 40), generator.integers(0, 255, 3).tolist(), 2)
    return np.clip(picture + generator.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def statistics_of(image):
    return image_statistics(image, shrink(image))


def named(image):
    return dict(zip(STATISTICS, statistics_of(image).tolist(), strict=True))


def changes(picture, changed):
    before, after = named(picture), named(changed)
    return {name: after[name] - before[name] for name in STATISTICS}


def test_darkening(picture):
    moved = changes(picture, (picture * 0.4).astype(np.uint8))
    assert moved["luma_mean"] < -40
    assert moved["luma_q95"] < -60
    assert moved["luma_std"] < -10


def test_blur(picture):
    moved = changes(picture, cv2.GaussianBlur(picture, (0, 0), 4))
    assert moved["log_laplacian_variance"] < -1
    assert moved["log_gradient_ratio"] < -0.3
    assert moved["edge_density"] < 0


def test_noise(picture):
    noise = np.random.default_rng(0).normal(0, 20, picture.shape)
    moved = changes(picture, np.clip(picture + noise, 0, 255).astype(np.uint8))
    assert moved["log_noise_sigma"] > 1


def test_haze(picture):
    moved = changes(picture, (picture * 0.5 + 110).astype(np.uint8))
    assert moved["dark_channel_mean"] > 40
    assert moved["saturation_mean"] < -20
    assert moved["luma_std"] < -10


def test_coarse_jpeg(picture):
    coarse = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 5])[1], cv2.IMREAD_COLOR)
    assert changes(picture, coarse)["log_blockiness"] > 0.3


def test_color(picture):
    gray = np.repeat(picture.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    assert named(gray)["log_colorfulness"] < 0.1
    assert named(gray)["saturation_mean"] == 0
    red = picture.copy()
    red[:, :, 2] //= 2
    assert changes(picture, red)["log_red_blue"] > 0.5


def test_known_values():
    half = np.zeros((270, 480, 3), np.uint8)
    half[:, 240:] = 200
    statistics = named(half)
    assert statistics["luma_mean"] == pytest.approx(100)
    assert statistics["luma_std"] == pytest.approx(100)
    assert statistics["luma_q95"] == pytest.approx(200, abs=0.5)
    noise = np.random.default_rng(0).normal(128, 10, (270, 480)).clip(0, 255).astype(np.uint8)
    assert np.exp(named(np.repeat(noise[:, :, None], 3, 2))["log_noise_sigma"]) == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("level", [0, 1, 77, 255])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (270, 480), (333, 501)])
def test_finite_for_constant_pictures_of_any_size(level, size):
    assert np.isfinite(statistics_of(np.full((*size, 3), level, np.uint8))).all()


def test_one_float32_for_each_name(picture):
    statistics = statistics_of(picture)
    assert (statistics.shape, statistics.dtype) == ((len(STATISTICS),), np.float32)
