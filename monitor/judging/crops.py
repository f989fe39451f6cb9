"""The crops that heads read in one frame: their tracks, their closed forms, and the strongest contradiction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradwatch.models.gradients.head import head_scores
from gradwatch.models.outputs import Activation, HeadOutputs, Observation

from ..scorers import ClosedForm, CropScores

BORDER_PX = 2.0  # a box that comes so near to the picture's border is taken for cut off


class Contradiction(Struct, frozen=True):
    """What a track led to expect of a crop and what its head predicts; the defaults stand for no crop at all."""

    mismatch: float = -np.inf
    track_id: int | None = None
    expected: str = ""
    observed: str = ""


def crop_tracks(
    outputs: HeadOutputs, detection_index: NDArray[np.int32], track_id: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Track id (k,) of each crop of a head, -1 where its detection belongs to none.

    detection_index (m,) and track_id (m,) are the detections and ids of the frame's tracks.
    """
    by_detection = {int(d): int(t) for d, t in zip(detection_index, track_id, strict=True) if d >= 0}
    return np.array([by_detection.get(int(d), -1) for d in outputs.detection_index], dtype=np.int64)


def readable_sides(observation: Observation, outputs: HeadOutputs) -> NDArray[np.float64]:
    """Shorter side (k,) px of the box of each crop of a head; 0 where the picture's border cuts the object off.

    Half a sign is often read as another one, so an object that leaves the picture contradicts nothing.
    """
    xyxy = observation.detections.xyxy[outputs.detection_index].astype(np.float64).reshape(-1, 4)
    whole = (xyxy[:, :2] > BORDER_PX).all(axis=1) & (xyxy[:, 2:] < np.array(observation.size) - BORDER_PX).all(axis=1)
    return np.where(whole, np.minimum(xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]), 0.0)


def closed_forms(outputs: HeadOutputs, q: NDArray[np.float64], activation: Activation, head: int = 0) -> CropScores:
    """Closed forms of the k crops of head number `head`; those of expectancy only where a row of q (k, C) is finite."""
    has_expectation = np.isfinite(q[:, 0])
    expected = q.astype(np.float32) if has_expectation.any() else None
    scores = head_scores(outputs.logits, outputs.features, expected, activation=activation)
    every = np.ones(len(q), bool)
    return {
        name: ClosedForm(values[rows], outputs.detection_index[rows], np.full(np.count_nonzero(rows), head, np.int32))
        for name, values in scores.items()
        for rows in [has_expectation if name.startswith("expectancy_") else every]
        if rows.any()
    }


def join_heads(by_head: Sequence[CropScores]) -> CropScores:
    """The closed forms of several heads' crops as one, in the order of the detections."""
    joined: CropScores = {}
    for name in {name: None for forms in by_head for name in forms}:
        parts = [forms[name] for forms in by_head if name in forms]
        order = np.argsort(np.concatenate([part.detection_index for part in parts]), kind="stable")
        columns = zip(*((part.values, part.detection_index, part.head) for part in parts), strict=True)
        joined[name] = ClosedForm(*(np.concatenate(column)[order] for column in columns))
    return joined


def strongest_contradiction(
    forms: CropScores,
    outputs: HeadOutputs,
    track_id: NDArray[np.int64],
    q: NDArray[np.float64],
    classes: Sequence[str],
) -> Contradiction:
    """The crop of a head with the largest expectancy gradient; none where no track expects anything yet.

    `track_id` (k,) and the expected class distributions `q` (k, C) belong to the crops of `outputs`.
    """
    form = forms.get("expectancy_gradient")
    if form is None:
        return Contradiction()
    largest = int(form.values.argmax())
    row = int(np.flatnonzero(outputs.detection_index == form.detection_index[largest])[0])
    expected, observed = classes[int(q[row].argmax())], classes[int(outputs.logits[row].argmax())]
    return Contradiction(float(form.values[largest]), int(track_id[row]), expected, observed)
