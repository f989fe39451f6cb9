"""Overlays: what a report says is drawn, nothing else changes, and no report can break a drawing."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwatch.monitor.overlay import annotations as overlays
from gradwatch.monitor.overlay.canvas import Canvas, bar_fraction, dashes
from gradwatch.streams.wire.messages import (
    FrameReport,
    Outcome,
    OutcomeCause,
    ReportedDetections,
    ReportedForecasts,
    ReportedTracks,
    StreamState,
)

from ..town import alert, bare_report

WIDTH, HEIGHT = 480, 270
GRAY = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
ROAD = np.random.default_rng(3).integers(60, 160, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def report(**changes: Any) -> FrameReport:
    """A sign (track 4, expected to be another), a pedestrian without a track, and track 9 that was not seen."""
    whole = bare_report(
        57,
        capture_ns=12_345_678_901,
        width=WIDTH,
        height=HEIGHT,
        detections=ReportedDetections(
            np.array([[300, 60, 340, 100], [60, 90, 90, 170]], np.float32),
            np.array([0.9, 0.6], np.float32),
            ["sign", "pedestrian"],
            ["yield", "pedestrian"],
        ),
        p_values={
            "expectancy_gradient": np.array([0.004], np.float32),
            "image_statistics": np.array([1e-6], np.float32),
        },
        score_detections={"expectancy_gradient": np.array([0], np.int32)},
        tracks=ReportedTracks(
            [4, 9],
            ["sign", "pedestrian"],
            np.array([[300, 60, 340, 100], [200, 80, 230, 160]], np.float32),
            np.array([[10, 0], [5, 0]], np.float32),
            np.zeros((2, 4, 4), np.float32),
            np.array([1, 2], np.float32),
            np.array([0, -1], np.int32),
            ["stop", ""],
        ),
        forecasts=ReportedForecasts(
            np.array([0.5, 1.0], np.float32),
            np.array([[[325, 80], [330, 80]], [[218, 120], [220, 120]]], np.float32),
            np.array([[10, 20], [12, 25]], np.float32),
            0.9,
            0.87,
            120,
        ),
        change={"image_statistics": 0.4, "expectancy_gradient": 1.7},
    )
    return msgspec.structs.replace(whole, **changes)


def empty(**changes: Any) -> FrameReport:
    return report(
        **{
            "detections": None,
            "tracks": None,
            "forecasts": None,
            "change": {},
            "p_values": {},
            "score_detections": {},
            **changes,
        }
    )


def texts(message: dict[str, Any]) -> str:
    return "\n".join(text["text"] for text in message["texts"])


def near(image: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.abs(image.astype(int) - color).max(axis=2) < 30


class TestMarks:
    def test_detections_are_joined_with_their_tracks(self) -> None:
        sign, pedestrian, unseen = overlays.marks(report())
        assert (sign.track_id, sign.expected, sign.seen) == (4, "stop", True)
        assert sign.p_value == pytest.approx(0.004)
        assert (pedestrian.track_id, pedestrian.seen) == (None, True)
        assert math.isnan(pedestrian.p_value)
        assert (unseen.track_id, unseen.label, unseen.seen) == (9, "pedestrian", False)

    def test_contradicted_expectation_is_orange(self) -> None:
        sign, pedestrian, _ = overlays.marks(report(p_values={}))
        assert sign.color == overlays.ORANGE
        assert pedestrian.color == overlays.PINK

    def test_a_frame_score_is_never_put_on_a_box(self) -> None:
        values = {"image_statistics": np.array([1e-6], np.float32)}
        assert np.isnan(overlays.box_p_values(report(p_values=values))).all()

    def test_p_values_without_their_detections_are_left_out(self) -> None:
        """As in reports of wire version 1.0."""
        values = {"head_gradient_predicted": np.array([0.1], np.float32)}
        assert np.isnan(overlays.box_p_values(report(p_values=values, score_detections={}))).all()

    @pytest.mark.parametrize("index", [[2], [-1], [0, 1]], ids=str)
    def test_an_index_that_does_not_fit_is_refused(self, index: list[int]) -> None:
        values = {"expectancy_gradient": np.array([0.1], np.float32)}
        broken = report(p_values=values, score_detections={"expectancy_gradient": np.array(index, np.int32)})
        if index == [0, 1]:
            broken = msgspec.structs.replace(broken, p_values={"expectancy_gradient": np.ones(3, np.float32)})
        with pytest.raises((IndexError, ValueError)):
            overlays.box_p_values(broken)

    def test_pedestrians_have_p_values_of_their_own(self) -> None:
        boxes = ReportedDetections(
            np.arange(12, dtype=np.float32).reshape(3, 4),
            np.ones(3, np.float32),
            ["pedestrian", "sign", "pedestrian"],
            ["person", "stop", "person"],
        )
        values = {
            "head_gradient_predicted": np.array([0.5], np.float32),
            "pedestrian_head_gradient_predicted": np.array([0.2, 0.001], np.float32),
        }
        index = {
            "head_gradient_predicted": np.array([1], np.int32),
            "pedestrian_head_gradient_predicted": np.array([0, 2], np.int32),
        }
        shown = report(detections=boxes, tracks=None, p_values=values, score_detections=index)
        assert overlays.box_p_values(shown) == pytest.approx([0.2, 0.5, 0.001])
        marks = overlays.marks(shown)
        assert [mark.color for mark in marks] == [overlays.PINK, overlays.PAPER, overlays.ORANGE]

    def test_expectancy_scores_belong_to_the_signs_that_they_are_about(self) -> None:
        boxes = ReportedDetections(
            np.arange(12, dtype=np.float32).reshape(3, 4), np.ones(3, np.float32), ["sign"] * 3, ["stop"] * 3
        )
        values = {
            "expectancy_gradient": np.array([0.3], np.float32),
            "head_gradient_predicted": np.array([0.5, 0.6], np.float32),  # the third crop was not read
        }
        index = {
            "expectancy_gradient": np.array([1], np.int32),
            "head_gradient_predicted": np.array([0, 1], np.int32),
        }
        shown = report(detections=boxes, tracks=None, p_values=values, score_detections=index)
        assert overlays.box_p_values(shown) == pytest.approx([0.5, 0.3, np.nan], nan_ok=True)


class TestAnnotations:
    def test_follows_the_foxglove_schema(self) -> None:
        message = overlays.annotations(report())
        assert set(message) == {"timestamp", "circles", "points", "texts"}
        assert message["timestamp"] == {"sec": 12, "nsec": 345_678_901}
        for circle in message["circles"]:
            assert set(circle) == {
                "timestamp", "position", "diameter", "thickness", "fill_color", "outline_color",
            }  # fmt: skip
        for points in message["points"]:
            assert points["type"] in {2, 3, 4}
            assert points["outline_colors"] == []
            assert len(points["points"]) % 2 == 0 or points["type"] != 4
        for text in message["texts"]:
            assert set(text) == {"timestamp", "position", "text", "font_size", "text_color", "background_color"}
            assert all(0 <= v <= 1 for v in text["text_color"].values())

    def test_contains_every_fact(self) -> None:
        said = texts(overlays.annotations(report()))
        for words in ("WATCHING", "yield", "#4", "p 0.004", "expected stop", "#9", "not seen", "image stats 0.40×"):
            assert words in said
        assert "90% regions (not calibrated) held 87% of 120" in said

    def test_discs_have_the_radii_and_fade(self) -> None:
        circles = overlays.annotations(report())["circles"]
        assert [c["diameter"] for c in circles] == [20, 40, 24, 50]
        assert circles[0]["outline_color"]["a"] > circles[1]["outline_color"]["a"]

    def test_alerting_names_the_largest_ratio(self) -> None:
        said = texts(overlays.annotations(report(state=StreamState.ALERTING)))
        assert "ALERT  expectancy mismatch: expectancy gradient 1.7× threshold" in said

    def test_dropped_frame_shows_its_cause(self) -> None:
        dropped = empty(outcome=Outcome.DROPPED, cause=OutcomeCause.STALE, state=StreamState.ALERTING)
        assert texts(overlays.annotations(dropped)) == "DROPPED STALE"

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.sampled_from([math.nan, math.inf, -math.inf, -1e30, -5.0, 0.0, 50.0, 1e30]), min_size=15, max_size=15
        )
    )
    def test_any_number_can_be_drawn(self, values: list[float]) -> None:
        whole = report()
        assert whole.forecasts is not None
        odd = np.array(values, np.float32)
        detections = ReportedDetections(odd[None, :4], odd[:1], ["sign"], ["stop"])
        forecasts = msgspec.structs.replace(
            whole.forecasts,
            mean=np.array(values[:8], np.float32).reshape(2, 2, 2),
            radius=odd[8:12].reshape(2, 2),
            coverage_achieved=values[12],
        )
        if not math.isfinite(values[12]):
            forecasts = msgspec.structs.replace(forecasts, coverage_achieved=math.nan)
        broken = report(
            detections=detections,
            forecasts=forecasts,
            p_values={"expectancy_gradient": odd[13:14]},
            change={"a": values[13], "b": values[14]},
        )
        json.dumps(overlays.annotations(broken), allow_nan=False)
        assert overlays.draw(GRAY, broken).shape == GRAY.shape


class TestDraw:
    def test_leaves_its_input_alone(self) -> None:
        before = ROAD.copy()
        drawn = overlays.draw(ROAD, report(state=StreamState.ALERTING))
        assert (before == ROAD).all()
        assert drawn.shape == ROAD.shape
        assert drawn.dtype == np.uint8

    def test_an_empty_report_changes_the_strip_alone(self) -> None:
        drawn = overlays.draw(ROAD, empty())
        top = HEIGHT - overlays._strip_height(Canvas(ROAD))
        assert (drawn[:top] == ROAD[:top]).all()
        assert (drawn[top:] != ROAD[top:]).any()

    def test_boxes_are_where_the_report_says(self) -> None:
        drawn = overlays.draw(GRAY, report())
        outline = near(drawn, overlays.ORANGE)
        assert outline[70:90, 299:302].any(axis=1).all()  # the sign's left side, whole
        assert not outline[110:200].any()

    def test_unseen_track_is_dashed(self) -> None:
        drawn = overlays.draw(GRAY, report(forecasts=None))
        side = near(drawn, overlays.PINK)[82:158, 199:202].any(axis=1)
        assert 0.2 < side.mean() < 0.8
        seen = near(drawn, overlays.PINK)[92:168, 59:62].any(axis=1)
        assert seen.all()

    def test_red_frame_while_alerting_alone(self) -> None:
        for state in StreamState:
            edge = near(overlays.draw(GRAY, empty(state=state)), overlays.VERMILION)
            framed = edge[:, 0].all() and edge[:, -1].all() and edge[0].all() and edge[-1].all()
            assert framed == (state is StreamState.ALERTING)

    def test_bar_turns_red_over_the_threshold(self) -> None:
        def red(ratio: float) -> int:
            return int(near(overlays.draw(GRAY, empty(change={"a/b": ratio})), overlays.VERMILION).sum())

        assert red(0.99) == 0
        assert red(1.0) > 20

    def test_other_size_than_the_report_s(self) -> None:
        twice = np.full((HEIGHT * 2, WIDTH * 2, 3), 110, np.uint8)
        drawn = overlays.draw(twice, report(forecasts=None))
        assert near(drawn, overlays.ORANGE)[140:180, 597:604].any(axis=1).all()

    @pytest.mark.parametrize("size", [(8, 8), (360, 640), (1236, 1628), (40, 1000), (1000, 40)])
    def test_any_size_of_picture(self, size: tuple[int, int]) -> None:
        image = np.zeros((*size, 3), np.uint8)
        assert overlays.draw(image, report(state=StreamState.ALERTING)).shape == image.shape
        assert overlays.still(image, report(), alert()).shape[1] == size[1]

    def test_zero_objects(self) -> None:
        nothing = ReportedDetections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [], [])
        assert overlays.marks(empty(detections=nothing)) == []
        overlays.draw(GRAY, empty(detections=nothing))

    @pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
    def test_refuses_arrays_that_are_no_picture(self, bad: np.ndarray) -> None:
        with pytest.raises(ValueError, match="expected an"):
            overlays.draw(bad, report())


class TestStill:
    def test_is_the_drawn_frame_with_a_caption_below(self) -> None:
        page = overlays.still(ROAD, report(), alert())
        assert (page[:HEIGHT] == overlays.draw(ROAD, report())).all()
        assert page.shape[0] > HEIGHT
        assert near(page[HEIGHT:], (245, 247, 250)).any()

    def test_caption_tells_carriers_onset_and_delay(self) -> None:
        facts = dict(overlays._facts(report(), alert()))
        assert facts["carried by"] == "image statistics alone, 3.2× threshold"
        assert facts["onset"] == "frame 50 at 10.9 s, this frame 7 later (1.4 s)"
        assert "calibration" not in facts
        assert "provisional" in dict(overlays._facts(report(), alert(calibration_note="provisional")))["calibration"]

    def test_longer_reason_makes_a_longer_caption(self) -> None:
        longer = alert(reason="much darker than anything in the calibration " * 3)
        assert overlays.still(ROAD, report(), longer).shape[0] > overlays.still(ROAD, report(), alert()).shape[0]


class TestDrawing:
    def test_bar_has_the_threshold_in_its_middle(self) -> None:
        assert [bar_fraction(r) for r in (-1, 0, 1, 3, math.inf)] == [0, 0, 0.5, 0.75, 1]
        assert bar_fraction(math.nan) == 0

    def test_dashes_cover_about_half_and_the_corners(self) -> None:
        box = np.array([10, 20, 110, 80], np.float32)
        paths = dashes(box, 6)
        length = sum(float(np.abs(path[1] - path[0]).max()) for path in paths)
        assert 0.45 < length / 320 < 0.65
        assert any((path[0] == (10, 20)).all() for path in paths)

    def test_track_of_no_size_breaks_nothing(self) -> None:
        tracks = report().tracks
        assert tracks is not None
        shrunk = report(tracks=msgspec.structs.replace(tracks, xyxy=np.full((2, 4), 50, np.float32)))
        json.dumps(overlays.annotations(shrunk), allow_nan=False)
        overlays.draw(GRAY, shrunk)

    def test_degenerate_boxes_have_no_dashes(self) -> None:
        assert dashes(np.array([5, 5, 5, 5], np.float32), 6) == []
        assert dashes(np.array([5, 5, np.nan, 9], np.float32), 6) == []

    def test_fit_cuts_with_an_ellipsis(self) -> None:
        canvas = Canvas(GRAY)
        cut = canvas.fit("a very long name of a scorer", 60, 12)
        assert cut.endswith("…")
        assert canvas.text_width(cut, 12) <= 60
        assert canvas.fit("short", 60, 12) == "short"

    def test_wrap_keeps_all_words_while_there_is_room(self) -> None:
        canvas = Canvas(GRAY)
        text = "one two three four five six seven"
        assert " ".join(canvas.wrap(text, 100, 12, most=9)) == text
        assert len(canvas.wrap(text * 9, 100, 12)) == 3
        assert canvas.wrap("", 100, 12) == []
