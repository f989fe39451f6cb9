"""The overlay of a report: as vectors (foxglove.ImageAnnotations) and drawn on its picture.

Both are made from the report alone, from the same marks, trails and status, so that they agree. Colors are from the
palette of Okabe and Ito, which color-blind people can tell apart; no fact is shown by color alone (a state has its
word, a suspicious object its p-value, an unseen track its dashes).
"""
# No `from __future__ import annotations` here: it would share its name with the function below.

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradwatch.streams.wire.messages import Alert, FrameReport, Outcome, Severity, StreamState

from ..alarms.policy import POLICY
from .canvas import (
    INK,
    LINE_LIST,
    LINE_LOOP,
    MUTED,
    PAPER,
    Canvas,
    Color,
    Image,
    Rectangle,
    Span,
    Vectors,
    corners,
    dashes,
    format_p,
    format_ratio,
    short_name,
    words,
)

SKY: Color = (86, 180, 233)
YELLOW: Color = (240, 228, 66)
ORANGE: Color = (245, 170, 30)
VERMILION: Color = (226, 66, 24)
PINK: Color = (222, 150, 196)

STATE_COLORS = {
    StreamState.NO_SIGNAL: MUTED,
    StreamState.CALIBRATING: YELLOW,
    StreamState.WATCHING: SKY,
    StreamState.ALERTING: VERMILION,
}
STATE_HINTS = {
    StreamState.NO_SIGNAL: "nothing to learn from: black, one color or the same picture all the time",
    StreamState.CALIBRATING: "learning what is normal here; the start is assumed healthy",
}
SEVERITY_COLORS = {Severity.INFO: SKY, Severity.WARNING: ORANGE, Severity.CRITICAL: VERMILION}
KIND_COLORS = {"sign": PAPER, "pedestrian": PINK}

# The score whose p-value is shown on a box of a kind: the first that applies. The smallest of several would be no
# p-value.
BOX_SCORERS = {
    "sign": ("expectancy_gradient", "head_gradient_predicted"),
    "pedestrian": ("pedestrian_expectancy_gradient", "pedestrian_head_gradient_predicted"),
}
# The kind of alert by the score that carries it.
KIND_BY_CARRIER = {name: kind for kind, policy in POLICY.items() for name in policy.carriers}
NO_DETECTIONS = np.empty(0, np.int32)
SUSPICIOUS_P = 0.01  # an object at or below this p-value is drawn in orange


@dataclass(frozen=True, slots=True)
class Mark:
    """One box with its label; `p_value` is NaN where no score applies, `seen` is False for a predicted box."""

    xyxy: NDArray[np.float32]
    color: Color
    label: str
    track_id: int | None
    p_value: float
    expected: str
    seen: bool

    def spans(self) -> list[Span]:
        """The parts of the label, the most important first."""
        spans = [Span(self.label, PAPER, 600)]
        if self.track_id is not None:
            spans.append(Span(f"#{self.track_id}", MUTED))
        if not math.isnan(self.p_value):
            color, weight = (ORANGE, 600) if self.p_value <= SUSPICIOUS_P else (MUTED, 400)
            spans.append(Span(f"p {format_p(self.p_value)}", color, weight))
        if self.expected and self.expected != self.label:
            spans.append(Span(f"expected {self.expected}", ORANGE))
        if not self.seen:
            spans.append(Span("not seen", MUTED))
        return spans


@dataclass(frozen=True, slots=True)
class Trail:
    """The forecast of one track: discs (T, 3) of x, y, radius px at `horizon_s` (T,); starts at `start` (2,)."""

    start: NDArray[np.float64]
    discs: NDArray[np.float64]
    horizon_s: NDArray[np.float32]
    color: Color

    def fade(self, step: int) -> float:
        """Opacity of a step: 1 for the nearest horizon, less for each further one."""
        return 1 - 0.65 * step / max(len(self.discs) - 1, 1)


def marks(report: FrameReport) -> list[Mark]:
    """All boxes of a report: each detection with its track, then the tracks that were not seen."""
    found: list[Mark] = []
    tracks, detections = report.tracks, report.detections
    by_detection: dict[int, tuple[int, str]] = {}
    unseen: list[Mark] = []
    if tracks is not None:
        for row, detection in enumerate(tracks.detection_index):
            track_id, kind, expected = tracks.track_id[row], tracks.kind[row], tracks.expected[row]
            if detection >= 0:
                by_detection[int(detection)] = track_id, expected
            else:
                color = KIND_COLORS.get(kind, PAPER)
                unseen.append(Mark(tracks.xyxy[row], color, words(expected or kind), track_id, math.nan, "", False))
    if detections is not None:
        p_values = box_p_values(report)
        for i, (kind, label) in enumerate(zip(detections.kind, detections.label, strict=True)):
            id_, expected = by_detection.get(i, (None, ""))
            suspicious = p_values[i] <= SUSPICIOUS_P or (expected not in ("", label))
            color = ORANGE if suspicious else KIND_COLORS.get(kind, PAPER)
            found.append(Mark(detections.xyxy[i], color, words(label), id_, p_values[i], words(expected), True))
    return [mark for mark in found + unseen if np.isfinite(mark.xyxy).all()]


def box_p_values(report: FrameReport) -> NDArray[np.float64]:
    """The p-value (n,) of each detection by the first of its kind's `BOX_SCORERS` that applies to it, else NaN.

    Raises ValueError or IndexError for a report whose arrays don't fit each other.
    """
    if report.detections is None:
        return np.empty(0)
    found = np.full(len(report.detections.kind), np.nan)
    for names in BOX_SCORERS.values():
        for name in reversed(names):
            index = report.score_detections.get(name, NO_DETECTIONS)
            if len(index) and index.min() < 0:
                raise IndexError(f"score_detections of {name}: expected rows of the detections, got {index.min()}")
            if name in report.p_values:
                found[index] = report.p_values[name]
    return found


def trails(report: FrameReport) -> list[Trail]:
    """The forecasts of all tracks; horizons without a finite region are left out."""
    if report.tracks is None or report.forecasts is None:
        return []
    discs = np.dstack([report.forecasts.mean, report.forecasts.radius[:, :, None]]).astype(np.float64)  # (m, T, 3)
    usable = np.isfinite(discs).all(axis=2) & (discs[:, :, 2] > 0)
    xyxy = np.asarray(report.tracks.xyxy, np.float64)
    start = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    horizon_s = np.asarray(report.forecasts.horizon_s)
    return [
        Trail(
            start[row], discs[row, usable[row]], horizon_s[usable[row]], KIND_COLORS.get(report.tracks.kind[row], PAPER)
        )
        for row in np.flatnonzero(usable.any(axis=1) & np.isfinite(start).all(axis=1)).tolist()
    ]


def status(report: FrameReport) -> tuple[str, Color]:
    """The word and the color of a frame: its stream's state, or the outcome of a frame that was not judged."""
    if report.outcome is not Outcome.JUDGED:
        return f"{report.outcome} {words(report.cause or '')}".strip().upper(), MUTED
    return str(report.state).upper(), STATE_COLORS[report.state]


def coverage_note(report: FrameReport) -> str:
    """The coverage of the forecast regions, asked and achieved; "" without forecasts."""
    forecasts = report.forecasts
    if forecasts is None or not len(forecasts.mean):
        return ""
    achieved = forecasts.coverage_achieved
    held = ", none checked yet" if math.isnan(achieved) else f" held {achieved:.0%} of {forecasts.checked}"
    return f"{forecasts.coverage_asked:.0%} regions (not calibrated){held}"  # the Kalman filter's own


def finite_change(report: FrameReport) -> dict[str, float]:
    """The change ratios that are not NaN, sorted by name."""
    return {name: ratio for name, ratio in sorted(report.change.items()) if not math.isnan(ratio)}


def banner(report: FrameReport) -> tuple[str, Color]:
    """The first line of the overlay: the state; while alerting, the change furthest over (or nearest) its threshold."""
    word, color = status(report)
    if report.outcome is not Outcome.JUDGED or report.state is not StreamState.ALERTING:
        return word, color
    change = finite_change(report)
    if not change:
        return "ALERT  alert", color
    name, ratio = max(change.items(), key=lambda item: item[1])
    kind = words(KIND_BY_CARRIER.get(name, ""))
    return "ALERT  " + ": ".join(filter(None, [kind, f"{words(name)} {format_ratio(ratio)} threshold"])), color


def annotations(report: FrameReport) -> dict[str, Any]:
    """The overlay as a foxglove.ImageAnnotations message, ready for JSON: every number is finite.

    Coordinates are pixels of the camera's picture, colors 0 to 1, times `{sec, nsec}` of the capture.
    """
    vectors = Vectors(report.capture_ns, report.height)
    scale = vectors.scale
    for trail in trails(report):
        vectors.path(np.vstack([trail.start, trail.discs[:, :2]]), trail.color, 1)
        for step, (x, y, radius) in enumerate(trail.discs.tolist()):
            vectors.disc(x, y, radius, trail.color, 0.12 * trail.fade(step), 0.8 * trail.fade(step))
    for mark in marks(report):
        if mark.seen:
            vectors.path(corners(mark.xyxy), mark.color, 2, LINE_LOOP)
        elif pieces := dashes(mark.xyxy, 8 * scale):
            vectors.path(np.vstack(pieces), mark.color, 2, LINE_LIST)
        label = "  ".join(span.text for span in mark.spans())
        vectors.text(mark.xyxy[0], mark.xyxy[1] - 4 * scale, label, mark.color)
    left, y = 12 * scale, 22 * scale
    vectors.text(left, y, *banner(report))
    if note := coverage_note(report):
        y += 22 * scale
        vectors.text(left, y, note, MUTED)
    for name, ratio in finite_change(report).items():
        y += 26 * scale
        color = VERMILION if ratio >= 1 else SKY
        vectors.text(left, y, f"{short_name(name)} {format_ratio(ratio)}", color)
        vectors.bar(left, y + 6 * scale, 120 * scale, ratio, color)
    return vectors.message()


def draw(image: Image, report: FrameReport) -> Image:
    """Draws the overlay on a copy of the (H, W, 3) uint8 RGB picture; other arrays raise ValueError.

    Where the picture has another size than the report's frame, coordinates are scaled to it.
    """
    canvas = Canvas(image)
    stretch = np.array(
        [canvas.width / (report.width or canvas.width), canvas.height / (report.height or canvas.height)]
    )
    for trail in trails(report):
        _draw_trail(canvas, trail, stretch)
    boxes = [(mark, mark.xyxy.astype(np.float64) * np.tile(stretch, 2)) for mark in marks(report)]
    for mark, xyxy in boxes:
        paths = [corners(xyxy)] if mark.seen else dashes(xyxy, max(canvas.px(8), 6))
        canvas.lines(paths, mark.color, closed=mark.seen)
    strip_top = canvas.height - _strip_height(canvas)
    _draw_labels(canvas, boxes, strip_top)
    _draw_strip(canvas, report, strip_top)
    text, color = banner(report)
    if color is VERMILION:
        _draw_alarm(canvas, text)
    return canvas.image


def _draw_trail(canvas: Canvas, trail: Trail, stretch: NDArray[np.float64]) -> None:
    centers = trail.discs[:, :2] * stretch
    for step in reversed(range(len(centers))):  # near ones cover far ones
        fade, radius = trail.fade(step), trail.discs[step, 2] * float(stretch.mean())
        x, y = centers[step]
        canvas.disc(x, y, radius, trail.color, 0.14 * fade, 0.75 * fade)
    canvas.lines([np.vstack([trail.start * stretch, centers])], trail.color, 1.5)
    size, (x, y) = canvas.text_px(10), centers[-1]
    x += trail.discs[-1, 2] * stretch[0]
    if 0 <= x < canvas.width and 0 <= y < canvas.height:
        canvas.text(x + canvas.px(4), y + size / 3, [Span(f"+{trail.horizon_s[-1]:.1f} s")], size, shadow=True)


def _draw_labels(canvas: Canvas, boxes: list[tuple[Mark, NDArray[np.float64]]], bottom: float) -> None:
    size = canvas.text_px(12)
    labels: list[Rectangle] = []
    outlines: list[Rectangle] = [(xyxy[0], xyxy[1], xyxy[2], xyxy[3]) for _, xyxy in boxes]
    for i, (mark, _) in enumerate(boxes):
        spans = mark.spans()
        avoid = [*outlines[:i], *outlines[i + 1 :], *labels * 9]  # covering a box is better than covering a label
        labels.append(canvas.label_place(outlines[i], canvas.plate_size(spans, size), avoid, bottom))
        canvas.plate(labels[-1][0], labels[-1][1], spans, size, mark.color)


def _strip_height(canvas: Canvas) -> int:
    return 4 * canvas.text_px(11) + canvas.px(10)


def _draw_strip(canvas: Canvas, report: FrameReport, top: int) -> None:
    """The strip at the bottom: stream and coverage on the left, a bar for each change statistic on the right."""
    size, left = canvas.text_px(11), canvas.px(10)
    canvas.shade(0, top, canvas.width, canvas.height, INK, 0.8)
    word, color = status(report)
    canvas.shade(0, top, canvas.px(4), canvas.height, color, 1.0)
    split = canvas.width * 0.34
    first, second = top + size * 1.6, top + size * 3.4
    frame = f"frame {report.identity.seq}"
    room = split - left - canvas.text_width(f"{word}{frame}", size, 600) - size
    name = canvas.fit(report.identity.stream_id, room, size)
    canvas.text(left, first, [Span(word, color, 600), Span(name), Span(frame, MUTED)], size)
    canvas.text(left, second, [Span(canvas.fit(coverage_note(report), split - left, size), MUTED)], size)
    change = finite_change(report)
    if change:
        _draw_bars(canvas, change, split + left, top, size)
    elif report.outcome is Outcome.JUDGED and (hint := STATE_HINTS.get(report.state)):
        canvas.text(split + left, first, [Span(hint, MUTED)], size)


def _draw_bars(canvas: Canvas, change: dict[str, float], left: float, top: int, size: int) -> None:
    """At most two rows of cells, each a name, a ratio and a bar; the lowest ratios are left out if room is short."""
    columns = max(int((canvas.width - left) // (size * 10.5)), 1)
    shown = sorted(sorted(change, key=lambda name: -change[name])[: 2 * columns])
    cell = (canvas.width - left) / min(columns, max(len(shown), 3))
    for i, name in enumerate(shown):
        ratio = change[name]
        x, y = left + cell * (i % columns), top + (i // columns) * (size * 1.95) + size * 1.25
        value = format_ratio(ratio)
        room = cell - size * 1.2
        value_x = x + room - canvas.text_width(value, size, 600)
        canvas.text(x, y, [Span(canvas.fit(short_name(name), value_x - x - 3, size), MUTED)], size)
        canvas.text(value_x, y, [Span(value, VERMILION if ratio >= 1 else PAPER, 600)], size)
        canvas.bar(x, y + size * 0.3, room, ratio, SKY, VERMILION)


def _draw_alarm(canvas: Canvas, text: str) -> None:
    thick, size = canvas.px(5), canvas.text_px(17)
    canvas.frame(VERMILION, thick)
    spans = [Span(text, PAPER, 600)]
    width, height = canvas.plate_size(spans, size)
    canvas.shade(thick, thick, thick + width, thick + height, VERMILION, 0.92)
    canvas.text(thick + size * 0.5, thick + height - size * 0.42, spans, size)


def still(image: Image, report: FrameReport, alert: Alert) -> Image:
    """The picture of an alert: the drawn frame with a caption below, (H + caption, W, 3) uint8 RGB.

    The caption gives the alert's reason, the scores that carried it, its onset, and the frames since then.
    """
    drawn = draw(image, report)
    canvas = Canvas(drawn)
    size, margin = canvas.text_px(13), canvas.px(14)
    title = Span(f"{words(alert.kind)} · {alert.severity}", PAPER, 600)
    lines = [[title, Span(f"{alert.stream_id} · {alert.state}", MUTED)]]
    lines += [[Span(line)] for line in canvas.wrap(alert.reason, canvas.width - 2 * margin, size)]
    lines += [[Span(label, MUTED), Span(text)] for label, text in _facts(report, alert)]
    height = round(len(lines) * size * 1.6 + size * 1.1)
    page = np.full((canvas.height + height, canvas.width, 3), INK, np.uint8)
    page[: canvas.height] = drawn
    caption = Canvas(page)
    caption.shade(0, canvas.height, canvas.px(4), page.shape[0], SEVERITY_COLORS[alert.severity], 1.0)
    for i, line in enumerate(lines):
        caption.text(margin, canvas.height + size * (1.7 + 1.6 * i), line, size)
    return caption.image


def _facts(report: FrameReport, alert: Alert) -> Iterator[tuple[str, str]]:
    carried = ", ".join(words(name) for name in alert.carried_by)
    alone = " alone" if len(alert.carried_by) == 1 else ""
    yield "carried by", f"{carried or 'nothing'}{alone}, {format_ratio(alert.score)} threshold"
    delay_s = (report.capture_ns - alert.onset_capture_ns) / 1e9
    frames = report.identity.seq - alert.onset_seq
    onset = f"{datetime.fromtimestamp(alert.onset_capture_ns / 1e9, UTC):%H:%M:%S}" if report.clock == "utc" else ""
    media = f"{alert.onset_capture_ns / 1e9:.1f} s"
    yield "onset", f"frame {alert.onset_seq} at {onset or media}, this frame {frames} later ({delay_s:.1f} s)"
    if alert.expected or alert.observed:
        yield "expected", f"{words(alert.expected) or '?'}, observed {words(alert.observed) or '?'}"
    if alert.calibration_note:
        yield "calibration", alert.calibration_note
