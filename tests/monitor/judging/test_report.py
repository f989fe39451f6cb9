"""The parts of a report, from tracks and forecasts."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch.monitor.judging.forecasts import Regions, empty_ledger
from gradwatch.monitor.judging.report import report_forecasts, report_tracks
from gradwatch.monitor.judging.tracking import TrackerSettings, advance, no_tracks, track_boxes

FRAME_NS = 100_000_000


def test_tracks_have_their_covariance_in_the_order_of_the_wire():
    tracks = no_tracks()
    for i in range(4):
        boxes = [[85 + 5 * i, 60, 115 + 5 * i, 140], [390, 270, 410, 330]]
        tracks, index = advance(tracks, i * FRAME_NS, boxes, [0.9, 0.9], [1, 1], TrackerSettings())
    report = report_tracks(tracks, index, ["", "stop"])
    assert report.kind == ["pedestrian"] * 2
    assert report.expected == ["", "stop"]
    np.testing.assert_allclose(report.age_s, [0.3, 0.3])
    np.testing.assert_allclose(report.xyxy, track_boxes(tracks), rtol=1e-6)
    p = tracks.covariance[0]
    wanted = [
        [p[0, 0, 0], 0, p[0, 0, 1], 0],
        [0, p[1, 0, 0], 0, p[1, 0, 1]],
        [p[0, 1, 0], 0, p[0, 1, 1], 0],
        [0, p[1, 1, 0], 0, p[1, 1, 1]],
    ]
    np.testing.assert_allclose(report.covariance[0], wanted, rtol=1e-6)
    with pytest.raises(ValueError, match="expected 2 detection indices"):
        report_tracks(tracks, index[:1], ["", ""])


def test_no_tracks_are_legal():
    assert report_tracks(no_tracks(), np.empty(0, np.int32), []).xyxy.shape == (0, 4)


def test_forecasts_have_the_coverage_of_the_ledger():
    regions = Regions(np.array([0.5, 1.0]), np.zeros((1, 2, 2)), np.ones((1, 2)))
    report = report_forecasts(regions, 0.9, replace(empty_ledger(), checked=4, hit=3))
    assert (report.coverage_asked, report.coverage_achieved, report.checked) == (0.9, 0.75, 4)
    assert report.mean.shape == (1, 2, 2)
    assert report.mean.dtype == report.radius.dtype == report.horizon_s.dtype == np.float32
