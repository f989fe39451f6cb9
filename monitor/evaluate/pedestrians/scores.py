"""Whether the scores of single boxes separate false boxes from people: gradient scores beside their baselines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradwatch.models.outputs import PEDESTRIAN, Observation

from ...alarms.calibration import CleanFrame, fit_clean
from ...judging.judge import Judge
from ...judging.offline import Observed, clean_frames
from ...judging.settings import JudgeSettings
from ...scorers import PEDESTRIAN_PREFIX, SCORERS, Parameters
from ..metrics import auroc
from ..reports import Figures
from .tracks import Labeled, match

Array = NDArray[np.float64]

SCORES = tuple(name for name in SCORERS if name.startswith(PEDESTRIAN_PREFIX))
CALIBRATED_ON = JudgeSettings().calibration_frames  # first frames of the recording; the others are judged
QUANTILES = (0.1, 0.5, 0.9)


def score_figures(truth: Sequence[Labeled], observed: Sequence[Observed], judge: Judge) -> Figures:
    """How well each score separates false boxes from people; `by_score` is empty without pedestrian heads.

    The first `CALIBRATED_ON` frames are the stream's calibration, the others are judged. `raw_auroc` is of the closed
    forms over the same frames, all strides together: it shows the effect of standardizing by stride.
    """
    frames = clean_frames(observed, judge)
    if not any(name in frame.crops for frame in frames for name in SCORES):
        return {"by_score": {}}
    parameters = fit_clean(frames[:CALIBRATED_ON]).parameters
    judged = frames[CALIBRATED_ON:]
    people = [is_person(t, found) for t, (_, found) in zip(truth, observed, strict=True)][CALIBRATED_ON:]
    numbers = [int(n) for frame in judged if SCORES[0] in frame.crops for n in frame.crops[SCORES[0]].head]
    return {
        "frames": len(judged),
        "by_head": {head_id: numbers.count(n) for n, head_id in enumerate(judge.heads) if n in numbers},
        "by_score": {name: _one_score(name, judged, people, parameters[name]) for name in SCORES},
    }


def is_person(annotated: Labeled, found: Observation) -> NDArray[np.bool_]:
    """Whether each detection (n,) of a frame is a pedestrian that matches an annotated person."""
    person: NDArray[np.bool_] = found.detections.class_id == PEDESTRIAN
    person[person] = match(found.detections.xyxy[person], annotated.xyxy) >= 0
    return person


def _one_score(name: str, frames: list[CleanFrame], people: list[NDArray[np.bool_]], parameters: Parameters) -> Figures:
    values, raw, labels = [np.empty(0)], [np.empty(0)], [np.empty(0, bool)]
    for frame, person in zip(frames, people, strict=True):
        if name in frame.crops:
            form = frame.crops[name]
            values.append(SCORERS[name].score(frame.observation, frame.crops, parameters))
            raw.append(form.values.astype(np.float64))
            labels.append(person[form.detection_index])
    score, plain, label = np.concatenate(values), np.concatenate(raw), np.concatenate(labels)
    if not len(score):
        return {"family": SCORERS[name].family, "people": 0, "others": 0}
    return {
        "family": SCORERS[name].family,
        "people": int(label.sum()),
        "others": int((~label).sum()),
        "auroc": auroc(score[label], score[~label]),
        "raw_auroc": auroc(plain[label], plain[~label]),
        "people_quantiles": quantiles(score[label]),
        "others_quantiles": quantiles(score[~label]),
    }


def quantiles(values: Array) -> list[float]:
    """The `QUANTILES` of values (n,); empty for no values."""
    return [float(q) for q in np.quantile(values, QUANTILES)] if len(values) else []
