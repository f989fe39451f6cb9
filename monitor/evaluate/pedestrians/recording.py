"""`gradwatch evaluate pedestrians`: tracks, forecasts and gradient scores of the people in one annotated recording.

PETS 2009 S2.L1, view 1, goes through the broker to a worker, as a camera would; the reports are held against the
annotation. The scores of single people need to know which box each is of, which no report says; they are judged from
the same frames, observed once. Nothing is tuned on this recording, and its pictures can't be published: stills are
left beside the observations.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gradwatch import MissingFileError
from gradwatch.streams.wire.messages import FrameReport, Outcome
from gradwatch.streams.world.drive import TruthBox

from ...judging.judge import Judge
from ...judging.offline import Observed, judge_all, offline_stamp
from ...judging.state import new_run
from .. import store
from ..drives import CLEAN_FRAMES, CLEAN_SEEDS, Unit, drive_of, setting_of
from ..observing import observe_unit
from ..recordings import RECORDINGS, broker_figures, draw_stills, observe_recording, reports_of
from .forecast_errors import forecast_figures
from .scores import score_figures
from .tracks import Labeled, found_boxes, match, reported_tracks, rivals, track_figures

Figures = dict[str, Any]

NAME, KIND = "pets_a", "pedestrian"
ANNOTATION = "data/pets09_s2l1/pets_a_gt.csv"  # frame, track_id, x, y, w, h px
MIN_HEIGHT_PX, MIN_VISIBILITY = 32.0, 0.5  # of people in a drive who must be tracked; others may be
# Most people walk in towns. The drives are among those of `gradwatch evaluate alerts`.
DRIVES = tuple(Unit(seed, 0, CLEAN_FRAMES) for seed in CLEAN_SEEDS if setting_of(seed) == "town")[:3]


def evaluate_pedestrians(shared: Path, folder: Path, observations: Path | None, judge: Judge) -> Figures:
    """All figures of the report.

    Args:
        shared: the folder above `data/` that holds the recording; it can't be published with the code.
        folder: where observations of recordings and stills are kept; one for each set of models.
        observations: the same for synthetic drives, one for each set of models and pictures; None leaves drives out.
        judge: of the shipped networks, with default settings.

    Raises:
        MissingFileError: the recording or its annotation is missing.
        ModuleNotFoundError: a library of the extra `dev` is missing.
    """
    recording, annotation = shared / RECORDINGS[NAME], shared / ANNOTATION
    for path in (recording, annotation):
        if not path.is_file():
            raise MissingFileError(f"expected the recording and its annotation below {shared}, missing: {path}")
    run = reports_of(NAME, recording)
    reports = sorted((r for r in run.reports if r.outcome == Outcome.JUDGED), key=lambda r: r.identity.seq)
    draw_stills(recording, reports, folder / "stills", "pedestrians")
    truth = read_annotation(annotation, run.frames)
    store.run_units(partial(observe_recording, shared), [folder / f"{NAME}.recording"], processes=1)
    seen = [(offline_stamp(NAME, f.seq, f.capture_ns), f.observation) for f in store.load(folder / f"{NAME}.recording")]
    return {
        "models_id": judge.models_id,
        "broker": broker_figures(run.reports, run.frames),
        "annotated": _counts(truth),
        "tracks": {name: track_figures(truth, tracks) for name, tracks in tracks_by(reports).items()},
        "drives": drive_figures(observations, judge) if observations is not None else None,
        "forecasts": forecast_figures(truth, reports, KIND),
        "scores": score_figures(truth, seen, judge),
    }


def read_annotation(path: Path, frames: int) -> list[Labeled]:
    """The annotated people of each of the first `frames` frames."""
    people: list[list[list[float]]] = [[] for _ in range(frames)]
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            x, y, w, h = (float(row[side]) for side in "xywh")
            if int(row["frame"]) < frames:
                people[int(row["frame"])].append([float(row["track_id"]), x, y, x + w, y + h])
    boxes = [np.array(frame, np.float64).reshape(-1, 5) for frame in people]
    return [Labeled(frame[:, 0].astype(np.int64), frame[:, 1:]) for frame in boxes]


def tracks_by(reports: Sequence[FrameReport]) -> dict[str, list[Labeled]]:
    """The people that every tracker follows in one run: ours as reported, and others on the same detections."""
    found = [found_boxes(report, KIND) for report in reports]
    rate_hz = 1e9 / float(np.median(np.diff([report.capture_ns for report in reports])))
    return {
        "gradwatch": [reported_tracks(report, KIND) for report in reports],
        "gradwatch, with predicted boxes": [reported_tracks(report, KIND, predicted=True) for report in reports],
    } | {name: track(found, rate_hz) for name, track in rivals().items()}


# -- synthetic drives --------------------------------------------------------------------------------------------


def drive_figures(folder: Path, judge: Judge) -> Figures:
    """Tracks and scores of all `DRIVES` together, against the exact truth.

    `people` and `boxes` are those that must be tracked; a score's box may be on anybody.
    """
    store.run_units(observe_unit, [folder / unit.name for unit in DRIVES])
    truth: list[Labeled] = []
    everybody: list[Labeled] = []
    frames: list[Observed] = []
    tracks: dict[str, list[Labeled]] = {}
    for number, unit in enumerate(DRIVES):
        seen = [(offline_stamp("drive", f.seq, f.capture_ns), f.observation) for f in store.load(folder / unit.name)]
        reports = [judgement.report for judgement in judge_all(seen, judge, new_run(None, "drive", "offline"))]
        drive = drive_of(unit.seed)
        people = [_walkers(drive.truth(frame.identity.seq)) for frame, _ in seen]
        truth += [_apart(due, number) for due, _ in people]
        everybody += [Labeled(np.append(a.identity, b.identity), np.append(a.xyxy, b.xyxy, axis=0)) for a, b in people]
        frames += seen
        for name, own in tracks_by(reports).items():
            counted = [without_excused(frame, *of_frame) for frame, of_frame in zip(own, people, strict=True)]
            tracks.setdefault(name, []).extend(_apart(frame, number) for frame in counted)
    return {
        "drives": len(DRIVES),
        "frames": len(truth),
        **_counts(truth),
        "tracks": {name: track_figures(truth, own) for name, own in tracks.items()},
        # the first drive calibrates: its frames are as many as a stream's own start
        "scores": score_figures(everybody, frames, judge),
    }


def without_excused(tracked: Labeled, due: Labeled, excused: Labeled) -> Labeled:
    """`tracked` less the boxes on people who are too small or too hidden: to follow them is no mistake."""
    on_due, on_excused = match(tracked.xyxy, due.xyxy) >= 0, match(tracked.xyxy, excused.xyxy) >= 0
    kept = on_due | ~on_excused
    return Labeled(tracked.identity[kept], tracked.xyxy[kept])


def _walkers(boxes: Sequence[TruthBox]) -> tuple[Labeled, Labeled]:
    """The people of a frame who must be tracked, and those who need not."""
    people = [box for box in boxes if box.kind == KIND]
    due = [b.visibility >= MIN_VISIBILITY and b.xyxy[3] - b.xyxy[1] >= MIN_HEIGHT_PX for b in people]
    identity = np.array([box.identity for box in people], np.int64)
    xyxy = np.array([box.xyxy for box in people], np.float64).reshape(-1, 4)
    rows = np.array(due, bool)
    return Labeled(identity[rows], xyxy[rows]), Labeled(identity[~rows], xyxy[~rows])


def _apart(frame: Labeled, drive: int) -> Labeled:
    """Identities count from 0 in every drive: apart for good."""
    return Labeled(frame.identity + drive * 1_000_000, frame.xyxy)


def _counts(truth: Sequence[Labeled]) -> dict[str, int]:
    """How many boxes of how many people."""
    return {
        "boxes": sum(len(frame.identity) for frame in truth),
        "people": len({int(identity) for frame in truth for identity in frame.identity}),
    }
