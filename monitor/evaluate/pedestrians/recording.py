"""`gradwatch evaluate pedestrians`: tracks, forecasts and gradient scores of the people in one annotated recording.

The recording goes through the broker to a worker, as a camera's frames would, and the reports are compared with the
annotation. Reports lack the closed forms before they are standardized, so the scores are judged from the same frames,
observed once. Nothing is tuned on this recording. Stills are left beside the observations.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradwatch.streams.wire.messages import FrameReport, Outcome
from gradwatch.streams.world.drive import TruthBox

from ...judging.judge import Judge
from ...judging.offline import Observed, judge_all
from ...judging.state import new_run
from .. import store
from ..drives import CLEAN_FRAMES, CLEAN_SEEDS, Unit, drive_of, setting_of
from ..observing import observe_units
from ..recordings import RECORDINGS, check_recordings, observed_recordings
from ..replaying import broker_figures, draw_stills, replay
from ..reports import Figures
from .forecast_errors import forecast_figures
from .scores import score_figures
from .tracks import Labeled, found_boxes, match, reported_tracks, rivals, track_figures

NAME, KIND = "pets_a", "pedestrian"
RECORDING = RECORDINGS[NAME].path
ANNOTATION = "data/pets09_s2l1/pets_a_gt.csv"  # frame, track_id, x, y, w, h px
MIN_HEIGHT_PX, MIN_VISIBILITY = 32.0, 0.5  # of people in a drive who must be tracked; others may be
# Most people walk in towns. The drives are among those of `gradwatch evaluate alerts`.
DRIVES = tuple(Unit(seed, 0, CLEAN_FRAMES) for seed in CLEAN_SEEDS if setting_of(seed) == "town")[:3]


def evaluate_pedestrians(recordings: Path, folder: Path, observations: Path | None, judge: Judge) -> Figures:
    """All figures of the report. Raises MissingFileError, and MissingPackageError without the extra `dev`.

    `recordings` is the folder of recordings; observations of recordings and stills are kept in `folder`, observations
    of synthetic drives in `observations`, None leaves drives out.
    """
    check_recordings(recordings, [RECORDING, ANNOTATION])
    replayed = replay(NAME, recordings / RECORDING)
    reports = sorted((r for r in replayed.reports if r.outcome == Outcome.JUDGED), key=lambda r: r.identity.seq)
    draw_stills(recordings / RECORDING, reports, folder / "stills", "pedestrians")
    truth = read_annotation(recordings / ANNOTATION, replayed.frames)
    observed = observed_recordings(recordings, folder, [NAME])[NAME]
    return {
        "models_id": judge.models_id,
        "broker": broker_figures(replayed.reports, replayed.frames),
        "annotated": _counts(truth),
        "tracks": {name: track_figures(truth, tracks) for name, tracks in tracks_by(reports).items()},
        "drives": drive_figures(observations, judge) if observations is not None else None,
        "forecasts": forecast_figures(truth, reports, KIND),
        "scores": score_figures(truth, observed, judge),
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
    """The tracks of people by every tracker over one recording: ours as reported, others on the same detections."""
    found = [found_boxes(report, KIND) for report in reports]
    rate_hz = 1e9 / float(np.median(np.diff([report.capture_ns for report in reports])))
    return {
        "gradwatch": [reported_tracks(report, KIND) for report in reports],
        "gradwatch, with predicted boxes": [reported_tracks(report, KIND, predicted=True) for report in reports],
    } | {name: track(found, rate_hz) for name, track in rivals().items()}


# -- synthetic drives --------------------------------------------------------------------------------------------


def drive_figures(folder: Path, judge: Judge) -> Figures:
    """Tracks and scores of all `DRIVES` together, against the exact truth.

    `people` and `boxes` are those that must be tracked; scores take the boxes of all people.
    """
    observe_units(folder, DRIVES)
    truth: list[Labeled] = []
    everybody: list[Labeled] = []
    frames: list[Observed] = []
    tracks: dict[str, list[Labeled]] = {}
    for number, unit in enumerate(DRIVES):
        observed = store.load(folder / unit.name)
        reports = [one.report for one in judge_all(observed, judge, new_run(None, "evaluation", "offline"))]
        drive = drive_of(unit.seed)
        people = [_walkers(drive.truth(stamp.identity.seq)) for stamp, _ in observed]
        truth += [_unique(due, number) for due, _ in people]
        everybody += [Labeled(np.append(a.identity, b.identity), np.append(a.xyxy, b.xyxy, axis=0)) for a, b in people]
        frames += observed
        for name, own in tracks_by(reports).items():
            counted = [without_excused(frame, *of_frame) for frame, of_frame in zip(own, people, strict=True)]
            tracks.setdefault(name, []).extend(_unique(frame, number) for frame in counted)
    return {
        "drives": len(DRIVES),
        "frames": len(truth),
        **_counts(truth),
        "tracks": {name: track_figures(truth, own) for name, own in tracks.items()},
        # the first drive calibrates: it has as many frames as a stream's own start
        "scores": score_figures(everybody, frames, judge),
    }


def without_excused(tracked: Labeled, due: Labeled, excused: Labeled) -> Labeled:
    """`tracked` less the boxes on `excused` people, too small or too hidden: tracking them is not an error."""
    on_due, on_excused = match(tracked.xyxy, due.xyxy) >= 0, match(tracked.xyxy, excused.xyxy) >= 0
    kept = on_due | ~on_excused
    return Labeled(tracked.identity[kept], tracked.xyxy[kept])


def _walkers(boxes: Sequence[TruthBox]) -> tuple[Labeled, Labeled]:
    """The people of a frame who must be tracked, and those who may be."""
    people = [box for box in boxes if box.kind == KIND]
    due = [b.visibility >= MIN_VISIBILITY and b.xyxy[3] - b.xyxy[1] >= MIN_HEIGHT_PX for b in people]
    identity = np.array([box.identity for box in people], np.int64)
    xyxy = np.array([box.xyxy for box in people], np.float64).reshape(-1, 4)
    rows = np.array(due, bool)
    return Labeled(identity[rows], xyxy[rows]), Labeled(identity[~rows], xyxy[~rows])


def _unique(frame: Labeled, drive: int) -> Labeled:
    """Makes identities, which count from 0 in every drive, unique over the drives."""
    return Labeled(frame.identity + drive * 1_000_000, frame.xyxy)


def _counts(truth: Sequence[Labeled]) -> dict[str, int]:
    """The number of boxes and of people."""
    return {
        "boxes": sum(len(frame.identity) for frame in truth),
        "people": len({int(identity) for frame in truth for identity in frame.identity}),
    }
