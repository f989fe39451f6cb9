"""Where things are: pedestrians by NanoDet-m, traffic signs by our own small detector."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import suppress
from .instrumented import InstrumentedDetector
from .manifest import read_manifest
from .outputs import PEDESTRIAN, SIGN, Detections, Floats, HeadOutputs
from .preprocess import letterbox

PERSON_NAME = "person"


def no_detections() -> Detections:
    """What a detector finds in a picture of nothing."""
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


def join_detections(parts: list[Detections]) -> Detections:
    """The detections of several detectors, one after the other."""
    parts = [no_detections(), *parts]
    return Detections(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.class_id for part in parts]),
    )


def keep_best(xyxy: Floats, score: Floats, kind: int, iou_threshold: float, limit: int) -> Detections:
    """At most `limit` boxes of one kind that don't overlap by more than `iou_threshold`, best first."""
    class_id = np.full(len(score), kind, np.int32)
    kept = suppress(xyxy, score, class_id, iou_threshold)[:limit]
    return Detections(xyxy[kept], score[kept], class_id[kept])


class PedestrianDetector:
    """People by NanoDet-m 416 (RangiLyu/nanodet, Apache-2.0), or by any instrumented detector that knows `person`.

    `session` is an ONNX Runtime session of `weights/nanodet_m.onnx`. `heads` has the linear head of each level by its
    id. Raises ValueError for a file without that class, and what `InstrumentedDetector` raises.
    """

    def __init__(
        self, session: Any, *, score_threshold: float = 0.35, iou_threshold: float = 0.6, limit: int = 100
    ) -> None:
        names = read_manifest(session).classes
        if PERSON_NAME not in names:
            raise ValueError(
                f"pedestrian detector: expected a class {PERSON_NAME!r}, got {', '.join(names)}; "
                "if they have names: gradwatch instrument MODEL.onnx --out FILE --names NAMES"
            )
        self._detector = InstrumentedDetector(
            session,
            classes=[names.index(PERSON_NAME)],
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            limit=limit,
        )
        self.input_size = self._detector.input_size
        self.side_px = self.input_size[0]
        self.heads = {
            f"pedestrians_{level}": replace(head, kind="pedestrian") for level, head in enumerate(self._detector.heads)
        }

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """The people in a picture (H, W, 3) uint8 RGB, in its pixels, best first."""
        return self.read(image)[0]

    def read(self, image: NDArray[np.uint8]) -> tuple[Detections, dict[str, HeadOutputs]]:
        """The people, and what each of `heads` said about those that it found, by the head's id."""
        reading = self._detector(image)
        people = Detections(reading.xyxy, reading.score, np.full(len(reading), PEDESTRIAN, np.int32))
        return people, dict(zip(self.heads, reading.levels, strict=True))

    def normalize(self, canvas: NDArray[np.uint8]) -> NDArray[Any]:
        """A canvas of the input's size, RGB, as the network's input."""
        return self._detector.normalize(canvas)


class SignDetector:
    """Our detector of traffic signs of any type; what a sign says is the classifier's business.

    `session` is an ONNX Runtime session of `weights/sign_detector.onnx`: `image` (1, H, W, 3) uint8 RGB ->
    `boxes` (1, K, 4) xyxy px of the input and `scores` (1, K), already the K highest peaks.
    """

    def __init__(
        self, session: Any, *, score_threshold: float = 0.4, iou_threshold: float = 0.5, limit: int = 32
    ) -> None:
        self._session = session
        self.score_threshold, self.iou_threshold, self.limit = score_threshold, iou_threshold, limit
        _, height, width, channels = session.get_inputs()[0].shape
        if channels != 3:
            raise ValueError(f"sign detector: expected an input (1, H, W, 3), got {session.get_inputs()[0].shape}")
        self.input_size = (int(width), int(height))

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """The signs in a picture (H, W, 3) uint8 RGB, in its pixels, best first."""
        canvas, box = letterbox(image, self.input_size)
        boxes, scores = self._session.run(["boxes", "scores"], {"image": canvas[None]})
        found = scores[0] >= self.score_threshold
        xyxy = box.to_picture(boxes[0][found])
        return keep_best(xyxy, scores[0][found], SIGN, self.iou_threshold, self.limit)
