"""The report of `gradwatch evaluate pedestrians`, from its figures."""

from __future__ import annotations

from ..replaying import coverage
from ..reports import Figures, cell, render, table
from .recording import MIN_HEIGHT_PX, NAME
from .scores import CALIBRATED_ON
from .tracks import MIN_IOU, RIVALS

Blocks = list[str | list[str]]


def pedestrians_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate pedestrians`."""
    broker, annotated, drives = figures["broker"], figures["annotated"], figures["drives"]
    return render(
        "Pedestrians: tracks, forecasts and scores on a real recording",
        "gradwatch evaluate pedestrians",
        f"The recording {NAME}, published to an embedded broker and judged by a worker with `--policy every_frame` and "
        f"default settings: {broker['reports']} reports of {broker['frames']} frames, one a frame: "
        f"{'yes' if broker['one_report_a_frame'] else '**no**'}. Models {figures['models_id']}. Annotated are "
        f"{annotated['boxes']} boxes of {annotated['people']} people. Nothing is tuned on this recording.",
        *_tracks_section(figures["tracks"], drives),
        *_forecasts_section(figures["forecasts"], broker),
        *_scores_section(figures["scores"], drives),
    )


def _tracks_section(tracks: Figures, drives: Figures | None) -> Blocks:
    blocks: Blocks = [
        "## Tracks",
        f"A track's box matches an annotated person at an overlap (IoU) of {MIN_IOU:g} or more. All trackers get the "
        "same boxes, those of the reports. Our tracks count where they were seen in the frame; *with predicted boxes* "
        "also where they were not.",
        _tracks_table(tracks),
    ]
    missing = [name for name in RIVALS if name not in tracks]
    if missing:
        blocks.append(f"Not installed where this was printed: {', '.join(missing)}.")
    if drives:
        blocks += [
            f"The same on {drives['drives']} synthetic drives through towns, at 5 Hz and with exact truth, "
            f"{drives['frames']} frames: {drives['boxes']} boxes of {drives['people']} people of {MIN_HEIGHT_PX:g} px "
            "or more, at least half visible. Boxes on smaller or more hidden people are not counted. A detector that "
            "was trained on photographs finds few drawn people: read the recall before anything else.",
            _tracks_table(drives["tracks"]),
        ]
    return blocks


def _tracks_table(tracks: Figures) -> list[str]:
    shares, counts = ("idf1", "mota", "recall", "precision"), ("id_switches", "fragmentations", "tracks")
    return table(
        ["tracker", "IDF1", "MOTA", "recall", "precision", "ID switches", "fragmentations", "tracks", "mostly tracked"],
        [
            [name, *(f"{one[m]:.3f}" for m in shares), *(f"{one[m]:.0f}" for m in (*counts, "mostly_tracked"))]
            for name, one in tracks.items()
        ],
    )


def _forecasts_section(forecasts: Figures, broker: Figures) -> Blocks:
    if not forecasts:
        return []
    header = ["horizon s", "checked", "mean error px", "standing still px", "median radius px", "coverage"]
    rows = [
        [
            f"{one['horizon_s']:.1f}",
            str(one["checked"]),
            *(cell(one[way], ".1f") for way in ("error_px", "still_px", "radius_px")),
            cell(one["coverage"], ".3f"),
        ]
        for one in forecasts["horizons"]
    ]
    (ade, ade_still), (fde, fde_still) = ([cell(px, ".1f") for px in forecasts[name]] for name in ("ade_px", "fde_px"))
    return [
        "## Forecasts",
        "Coverage: the share of future centers inside their region. The last report states, against the filtered "
        f"centers of its tracks, {coverage(broker)}. The table is against the annotation: detected boxes are some "
        "pixels off the annotated ones, which no forecast can predict.",
        table(header, rows),
        f"Over the {forecasts['forecasts']} forecasts whose person is annotated at every horizon: ADE {ade} px "
        f"(standing still {ade_still}), FDE {fde} px ({fde_still}).",
    ]


def _scores_section(recording: Figures, drives: Figures | None) -> Blocks:
    title = "## Scores: is this box no pedestrian?"
    if not recording["by_score"]:
        return [title, "The networks have no heads for pedestrians."]
    blocks: Blocks = [
        title,
        f"The first {CALIBRATED_ON} frames are the stream's calibration, the others are judged. A box is a person if "
        f"it overlaps an annotated one by {MIN_IOU:g} or more: one that fits badly counts among the others. Expectancy "
        "scores are of tracks that expect something. An AUROC below 0.5 says that the score points the other way here. "
        "*As they come*: the same closed forms without standardizing them by the head of their stride.",
        f"The recording, {_judged(recording)}:",
        _scores_table(recording["by_score"]),
    ]
    if drives:
        blocks += [
            f"The synthetic drives, calibrated on the first and judged on the others, {_judged(drives['scores'])}:",
            _scores_table(drives["scores"]["by_score"]),
        ]
    return blocks


def _judged(scores: Figures) -> str:
    by_head = ", ".join(f"{boxes} by `{head_id}`" for head_id, boxes in scores.get("by_head", {}).items())
    return f"{scores.get('frames', 0)} frames judged, boxes: {by_head or 'none'}"


def _scores_table(by_score: Figures) -> list[str]:
    rows = [
        [
            f"`{name}`",
            one["family"],
            f"{one['people']} / {one['others']}",
            *(cell(one.get(figure), ".3f") for figure in ("auroc", "raw_auroc")),
            *(" ".join(f"{q:.1f}" for q in one.get(f"{whose}_quantiles", [])) or "-" for whose in ("people", "others")),
        ]
        for name, one in by_score.items()
    ]
    return table(
        ["score", "family", "people / others", "AUROC", "as they come", "10, 50, 90 % of people", "of the others"], rows
    )
