"""The report of `gradwatch evaluate pedestrians`, from its figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reports import heading, table
from .recording import MIN_HEIGHT_PX
from .scores import CALIBRATED_ON
from .tracks import MIN_IOU, RIVALS

Figures = dict[str, Any]


def pedestrians_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate pedestrians`."""
    broker, annotated = figures["broker"], figures["annotated"]
    lines = heading("Pedestrians: tracks, forecasts and scores on a real recording", "gradwatch evaluate pedestrians")
    lines += [
        f"PETS 2009 S2.L1, view 1, frames 0 to {broker['frames'] - 1} at 10 Hz, published to an embedded broker and "
        f"judged by a worker with `--policy every_frame` and default settings: {broker['reports']} reports of "
        f"{broker['frames']} frames, one a frame: {'yes' if broker['one_report_a_frame'] else '**no**'}. Models "
        f"{figures['models_id']}. Annotated are {annotated['boxes']} boxes of {annotated['people']} people. Nothing is "
        "tuned on this recording.",
        "",
        *_tracks_section(figures["tracks"], figures["drives"]),
        *_forecasts_section(figures["forecasts"], broker),
        *_scores_section(figures["scores"], figures["drives"]),
    ]
    return "\n".join(lines)


def _tracks_section(tracks: Figures, drives: Figures | None) -> list[str]:
    missing = [name for name in RIVALS if name not in tracks]
    return [
        "## Tracks",
        "",
        f"A track's box stands for an annotated person from an overlap (IoU) of {MIN_IOU:g} on. All trackers get the "
        "same boxes, those of the reports. Tracks of ours count where they were seen in the frame; *with predicted "
        "boxes* also where they were not.",
        "",
        *_tracks_table(tracks),
        *([f"Not installed where this was printed: {', '.join(missing)}.", ""] if missing else []),
        *(_drive_tracks(drives) if drives else []),
    ]


def _drive_tracks(drives: Figures) -> list[str]:
    return [
        f"The same on {drives['drives']} synthetic drives through towns, at 5 Hz and with exact truth, "
        f"{drives['frames']} frames: {drives['boxes']} boxes of {drives['people']} people of {MIN_HEIGHT_PX:g} px or "
        "more, at least half visible. Boxes on smaller or more hidden people count for nothing. Drawn people are "
        "strange to a detector that was trained on photographs: look at the recall before anything else.",
        "",
        *_tracks_table(drives["tracks"]),
    ]


def _tracks_table(tracks: Figures) -> list[str]:
    shares, counts = ("idf1", "mota", "recall", "precision"), ("id_switches", "fragmentations", "tracks")
    return table(
        ["tracker", "IDF1", "MOTA", "recall", "precision", "ID switches", "fragmentations", "tracks", "mostly tracked"],
        [
            [name, *(f"{one[m]:.3f}" for m in shares), *(f"{one[m]:.0f}" for m in (*counts, "mostly_tracked"))]
            for name, one in tracks.items()
        ],
    )


def _forecasts_section(forecasts: Figures, broker: Figures) -> list[str]:
    if not forecasts:
        return []
    rows = [
        [
            f"{one['horizon_s']:.1f}",
            str(one["checked"]),
            *(_px(one[way]) for way in ("error_px", "still_px", "radius_px")),
            "-" if one["coverage"] is None else f"{one['coverage']:.3f}",
        ]
        for one in forecasts["horizons"]
    ]
    ade, fde = forecasts["ade_px"], forecasts["fde_px"]
    return [
        "## Forecasts",
        "",
        f"Asked: {forecasts['coverage_asked']:.0%} of the future centers inside their region. The last report's own "
        f"tally, against the filtered centers of its tracks: {_coverage(broker)}. The table is against the annotation: "
        "detected boxes sit beside annotated ones by some pixels, which no forecast knows.",
        "",
        *table(["horizon s", "checked", "mean error px", "standing still px", "median radius px", "coverage"], rows),
        f"Over the {forecasts['forecasts']} forecasts whose person is annotated at every horizon: ADE {_px(ade[0])} px "
        f"(standing still {_px(ade[1])}), FDE {_px(fde[0])} px ({_px(fde[1])}).",
        "",
    ]


def _scores_section(recording: Figures, drives: Figures | None) -> list[str]:
    lines = ["## Scores: is this box no pedestrian?", ""]
    if not recording["by_score"]:
        return [*lines, "The networks have no heads for pedestrians.", ""]
    return [
        *lines,
        f"The first {CALIBRATED_ON} frames are the stream's calibration, the others are judged. A box is a person if "
        f"it overlaps an annotated one by {MIN_IOU:g} or more: one that fits badly counts among the others. Expectancy "
        "scores are of tracks that expect something. An AUROC below 0.5 says that the score points the other way here. "
        "*As they come*: the same closed forms without standardizing them by the head of their stride.",
        "",
        f"The recording, {_judged(recording)}:",
        "",
        *_scores_table(recording["by_score"]),
        *(_drive_scores(drives["scores"]) if drives else []),
    ]


def _drive_scores(scores: Figures) -> list[str]:
    return [
        f"The synthetic drives, calibrated on the first and judged on the others, {_judged(scores)}:",
        "",
        *_scores_table(scores["by_score"]),
    ]


def _judged(scores: Figures) -> str:
    by_head = ", ".join(f"{boxes} by `{head_id}`" for head_id, boxes in scores.get("by_head", {}).items())
    return f"{scores.get('frames', 0)} frames judged, boxes: {by_head or 'none'}"


def _scores_table(by_score: Figures) -> list[str]:
    rows = [
        [
            f"`{name}`",
            one["family"],
            f"{one['people']} / {one['others']}",
            *(_share(one.get(figure)) for figure in ("auroc", "raw_auroc")),
            *(" ".join(f"{q:.1f}" for q in one.get(f"{whose}_quantiles", [])) or "-" for whose in ("people", "others")),
        ]
        for name, one in by_score.items()
    ]
    return table(
        ["score", "family", "people / others", "AUROC", "as they come", "10, 50, 90 % of people", "of the others"], rows
    )


def _px(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"


def _coverage(one: Figures) -> str:
    if one["coverage_achieved"] is None:
        return "none checked"
    return f"{one['coverage_achieved']:.3f} of {one['forecasts_checked']}"
