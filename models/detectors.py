"""Detectors of pedestrians (NanoDet-m) and of traffic signs (our own small network), and the classifier of signs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import non_max_suppression
from .instrumented import InstrumentedDetector
from .manifest import read_manifest
from .onnx_runtime import ModelError
from .outputs import NO_DETECTIONS, PEDESTRIAN, SIGN, Detections, HeadOutputs
from .preprocess import letterbox

PERSON_NAME = "person"


def join_detections(parts: list[Detections]) -> Detections:
    """The detections of several detectors, one after the other."""
    columns = ("xyxy", "score", "class_id")
    return Detections(*(np.concatenate([getattr(part, name) for part in (NO_DETECTIONS, *parts)]) for name in columns))


class PedestrianDetector:
    """People by NanoDet-m 416 (RangiLyu/nanodet, Apache-2.0), or by any instrumented detector with a class `person`.

    `session` is an ONNX Runtime session of `weights/nanodet_m.onnx`. `heads`: head id -> linear head of a level.
    Raises ModelError for a file without that class, and what `InstrumentedDetector` raises.
    """

    def __init__(self, session: Any, *, score_threshold: float = 0.35, iou_threshold: float = 0.6) -> None:
        names = read_manifest(session).classes
        if PERSON_NAME not in names:
            raise ModelError(
                f"pedestrian detector: expected a class {PERSON_NAME!r}, got {', '.join(names)}; "
                "if they have names: gradwatch instrument MODEL.onnx --out FILE --names NAMES"
            )
        self.network = InstrumentedDetector(
            session, classes=[names.index(PERSON_NAME)], score_threshold=score_threshold, iou_threshold=iou_threshold
        )
        self.heads = {
            f"pedestrians_{level}": replace(head, kind="pedestrian") for level, head in enumerate(self.network.heads)
        }

    def __call__(self, image: NDArray[np.uint8]) -> tuple[Detections, dict[str, HeadOutputs]]:
        """The people in a picture (H, W, 3) uint8 RGB, in its pixels, best first; and the outputs by head id."""
        found = self.network(image)
        people = Detections(found.xyxy, found.score, np.full(len(found), PEDESTRIAN, np.int32))
        return people, dict(zip(self.heads, found.levels, strict=True))


class SignDetector:
    """Our detector of traffic signs of any type; their types are left to the classifier.

    `session` is an ONNX Runtime session of `weights/sign_detector.onnx`: `image` (1, H, W, 3) uint8 RGB ->
    `boxes` (1, K, 4) xyxy px of the input and `scores` (1, K), which are the K highest peaks.
    """

    def __init__(self, session: Any, *, score_threshold: float = 0.4, iou_threshold: float = 0.5) -> None:
        self._session = session
        self.score_threshold, self.iou_threshold = score_threshold, iou_threshold
        _, height, width, channels = session.get_inputs()[0].shape
        if channels != 3:
            raise ModelError(f"sign detector: expected an input (1, H, W, 3), got {session.get_inputs()[0].shape}")
        self.input_size = (int(width), int(height))

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """The signs in a picture (H, W, 3) uint8 RGB, in its pixels, best first."""
        canvas, box = letterbox(image, self.input_size)
        boxes, scores = self._session.run(["boxes", "scores"], {"image": canvas[None]})
        found = scores[0] >= self.score_threshold
        xyxy, score = box.to_picture(boxes[0][found]), scores[0][found]
        class_id = np.full(len(score), SIGN, np.int32)
        kept = non_max_suppression(xyxy, score, class_id, self.iou_threshold)
        return Detections(xyxy[kept], score[kept], class_id[kept])
