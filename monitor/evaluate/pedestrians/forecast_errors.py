"""Errors of forecasts: the predicted centers of people against the annotated ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradwatch.streams.wire.messages import FrameReport

from ..reports import Figures
from .tracks import Labeled, match

Array = NDArray[np.float64]

EARLY_NS = 1_000_000  # a frame up to this much before a forecast is due counts as due


def forecast_figures(truth: Sequence[Labeled], reports: Sequence[FrameReport], kind: str) -> Figures:
    """Distances of forecast centers from the annotated ones, beside the forecast that everybody stands still.

    A track is compared with the person whose box it matches when the forecast is made, if that person is still
    annotated at the horizon. `horizons` has one row per horizon; `ade_px` (mean over the horizons) and `fde_px` (the
    last one) are of the forecasts whose person is annotated at all of them: [forecast, standing still].
    """
    forecasts = reports[-1].forecasts
    if forecasts is None:
        return {}
    errors = _errors(truth, reports, kind)  # (n, T, 3): forecast, standing still, radius
    whole = errors[np.isfinite(errors).all(axis=(1, 2))]
    return {
        "coverage_asked": forecasts.coverage_asked,
        "horizons": [
            _horizon_figures(float(horizon_s), errors[:, step]) for step, horizon_s in enumerate(forecasts.horizon_s)
        ],
        "forecasts": len(whole),
        "ade_px": [float(whole[:, :, way].mean()) if len(whole) else None for way in (0, 1)],
        "fde_px": [float(whole[:, -1, way].mean()) if len(whole) else None for way in (0, 1)],
    }


def _errors(truth: Sequence[Labeled], reports: Sequence[FrameReport], kind: str) -> Array:
    """(n, T, 3) px of every forecast: its error, that of standing still, its radius; NaN if nobody is annotated."""
    where = [dict(zip(t.identity.tolist(), (t.xyxy[:, :2] + t.xyxy[:, 2:]) / 2, strict=True)) for t in truth]
    times_ns = np.array([report.capture_ns for report in reports])
    result = []
    for now, (report, annotated) in enumerate(zip(reports, truth, strict=True)):
        tracks, forecasts = report.tracks, report.forecasts
        if tracks is None or forecasts is None:
            continue
        due = np.searchsorted(
            times_ns, times_ns[now] + np.round(forecasts.horizon_s.astype(np.float64) * 1e9) - EARLY_NS
        )
        for row, person in enumerate(match(tracks.xyxy.reshape(-1, 4), annotated.xyxy)):
            if person < 0 or tracks.kind[row] != kind or tracks.detection_index[row] < 0:
                continue
            identity = int(annotated.identity[person])
            later = np.array([where[t].get(identity, (np.nan,) * 2) if t < len(where) else (np.nan,) * 2 for t in due])
            start = (tracks.xyxy[row, :2] + tracks.xyxy[row, 2:]) / 2
            error, still = (np.linalg.norm(at - later, axis=1) for at in (forecasts.mean[row], start))
            result.append(np.stack([error, still, np.where(np.isfinite(error), forecasts.radius[row], np.nan)], axis=1))
    return np.array(result).reshape(-1, len(reports[-1].forecasts.horizon_s) if reports[-1].forecasts else 0, 3)


def _horizon_figures(horizon_s: float, errors: Array) -> Figures:
    known = errors[np.isfinite(errors).all(axis=1)]
    return {
        "horizon_s": horizon_s,
        "checked": len(known),
        "error_px": float(known[:, 0].mean()) if len(known) else None,
        "still_px": float(known[:, 1].mean()) if len(known) else None,
        "radius_px": float(np.median(known[:, 2])) if len(known) else None,
        "coverage": float(np.mean(known[:, 0] <= known[:, 2])) if len(known) else None,
    }
