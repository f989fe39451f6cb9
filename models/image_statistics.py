"""Plain statistics of a frame: the baseline that every gradient score has to beat.

They need no network. Their Mahalanobis distance to a stream's own clean frames detects darkening, blur, noise and
haze; the values depend on the camera, so they are never compared across streams.
"""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from .outputs import Floats

STATISTICS = (
    "luma_mean",  # 0 to 255
    "luma_std",
    "luma_q05",  # 5 % quantile
    "luma_q95",
    "saturation_mean",  # of HSV, 0 to 255
    "dark_channel_mean",  # He et al. 2011: rises with haze
    "log_laplacian_variance",  # falls with blur
    "log_noise_sigma",  # after Immerkaer 1996, by the median instead of the mean, which is robust to edges
    "log_blockiness",  # ratio of steps at the borders of 8 px blocks to steps elsewhere, full resolution
    "edge_density",  # fraction of edge pixels, 0 to 1
    "log_gradient_ratio",  # energy of fine over coarser gradients: the slope of the spectrum
    "log_colorfulness",  # Hasler and Suesstrunk 2003
    "log_red_blue",  # color cast
)
EDGE = 100  # |Sobel x| + |Sobel y| of luma above which a pixel is an edge: a step of about 25 of 255
DARK_CHANNEL_PX = 7
NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
# White noise of deviation s has deviation 6 s behind the kernel, and a median of |x| of 0.6745 * 6 s.
NOISE_SCALE = 1 / (6 * 0.6745)
BLOCK_PX = 8


def image_statistics(image: NDArray[np.uint8], small: NDArray[np.uint8]) -> Floats:
    """The `STATISTICS` (s,) float32 of a frame (H, W, 3) uint8 RGB and its `autoencoder.shrink`; always finite."""
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    red, green, blue = cv2.split(small)
    brightest = cv2.max(cv2.max(red, green), blue)
    darkest = cv2.min(cv2.min(red, green), blue)
    saturation = cv2.divide(cv2.subtract(brightest, darkest), brightest, scale=255)
    dark_channel = cv2.erode(darkest, np.ones((DARK_CHANNEL_PX, DARK_CHANNEL_PX), np.uint8))
    laplacian = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))[1].item()
    noise = cv2.convertScaleAbs(cv2.filter2D(luma, cv2.CV_16S, NOISE_KERNEL))
    fine_energy, edge_density = _gradients(luma)
    half = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    mean, deviation = (values.item() for values in cv2.meanStdDev(luma))
    red_mean, _, blue_mean, _ = cv2.mean(small)
    q05, q95 = _quantiles(luma, (0.05, 0.95))
    (noise_median,) = _quantiles(noise, (0.5,))
    return np.array(
        [
            mean,
            deviation,
            q05,
            q95,
            cv2.mean(saturation)[0],
            cv2.mean(dark_channel)[0],
            np.log(laplacian**2 + 1),
            np.log(noise_median * NOISE_SCALE + 0.1),
            _blockiness(image),
            edge_density,
            np.log((fine_energy + 1) / (_gradients(half)[0] + 1)),
            np.log(_colorfulness(red, green, blue) + 1),
            np.log((red_mean + 1) / (blue_mean + 1)),
        ],
        np.float32,
    )


def _quantiles(values: MatLike, levels: tuple[float, ...]) -> list[float]:
    """Quantiles of uint8 values at levels in (0, 1), interpolated within a bin, so that they change smoothly."""
    counts = cv2.calcHist([values], [0], None, [256], [0, 256]).ravel()  # (256, 1) before OpenCV 5
    cumulative = np.cumsum(counts, dtype=np.float64)
    found = []
    for level in levels:
        wanted = level * cumulative[-1]
        bin_ = int(np.searchsorted(cumulative, wanted))
        found.append(bin_ - (cumulative[bin_] - wanted) / max(float(counts[bin_]), 1.0) + 0.5)
    return found


def _gradients(luma: MatLike) -> tuple[float, float]:
    """Mean squared Sobel gradient, and the fraction of edge pixels."""
    dx, dy = cv2.spatialGradient(luma)
    energy = (cv2.norm(dx, cv2.NORM_L2SQR) + cv2.norm(dy, cv2.NORM_L2SQR)) / luma.size
    edges = cv2.addWeighted(cv2.convertScaleAbs(dx), 1, cv2.convertScaleAbs(dy), 1, 0)
    return energy, cv2.countNonZero(cv2.threshold(edges, EDGE, 255, cv2.THRESH_BINARY)[1]) / luma.size


def _blockiness(image: NDArray[np.uint8]) -> float:
    """Log ratio of steps across JPEG's block borders to steps elsewhere, in the green channel of every eighth row."""
    rows = image[BLOCK_PX // 2 :: BLOCK_PX, :, 1] if len(image) > BLOCK_PX else image[:, :, 1]
    if rows.shape[1] <= 2 * BLOCK_PX:
        return 0.0
    steps = cv2.absdiff(rows[:, 1:].copy(), rows[:, :-1].copy()).mean(axis=0)
    at_border = steps[BLOCK_PX - 1 :: BLOCK_PX]
    elsewhere = (steps.sum() - at_border.sum()) / (len(steps) - len(at_border))
    return float(np.log((at_border.mean() + 0.1) / (elsewhere + 0.1)))


def _colorfulness(red: MatLike, green: MatLike, blue: MatLike) -> float:
    """Colorfulness after Hasler and Suesstrunk, from two opponent channels."""
    yellow = cv2.addWeighted(red, 0.5, green, 0.5, 0)
    opponents = (cv2.subtract(red, green, dtype=cv2.CV_16S), cv2.subtract(yellow, blue, dtype=cv2.CV_16S))
    (mean_a, deviation_a), (mean_b, deviation_b) = (
        (mean.item(), deviation.item()) for mean, deviation in map(cv2.meanStdDev, opponents)
    )
    return float(np.hypot(deviation_a, deviation_b) + 0.3 * np.hypot(mean_a, mean_b))
