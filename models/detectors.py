"""Detectors of pedestrians (NanoDet-m) and of traffic signs (our own small network), and the classifier of signs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import non_max_suppression
from .crops import SIZE_PX as CROP_PX
from .instrumented import InstrumentedDetector
from .manifest import read_manifest
from .onnx_runtime import ModelError, run_on_zeros
from .outputs import NO_DETECTIONS, PEDESTRIAN, SIGN, SIGN_CLASSES, Detections, Floats, Head, HeadOutputs
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


class SignClassifier:
    """Classifies sign crops by a convolutional network with global average pooling and a linear head.

    `session` is an ONNX Runtime session of `weights/sign_classifier.onnx`, or of any graph with input `crops`
    (N, 32, 32, 3) uint8 and outputs `logits`, `features`, `weight`, `bias`. `head` is the linear layer. Raises
    ModelError when the head does not have `SIGN_CLASSES`.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        weight, bias = run_on_zeros(session, ["weight", "bias"])
        if len(weight) != len(SIGN_CLASSES) or bias.shape != (len(weight),):
            raise ModelError(
                f"sign classifier: expected a head of {len(SIGN_CLASSES)} classes, "
                f"got weight {weight.shape} and bias {bias.shape}"
            )
        self.head = Head(weight=weight, bias=bias, activation="softmax", classes=SIGN_CLASSES)

    def __call__(self, crops: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """(n, 32, 32, 3) uint8 RGB -> logits (n, 14) and features (n, D) = the global average pool, float32.

        n = 0 is legal and runs nothing. Raises ValueError for another shape or type.
        """
        if crops.shape[1:] != (CROP_PX, CROP_PX, 3) or crops.dtype != np.uint8:
            raise ValueError(f"crops: expected (n, {CROP_PX}, {CROP_PX}, 3) uint8, got {crops.shape} {crops.dtype}")
        if len(crops) == 0:
            classes, width = self.head.weight.shape
            return np.zeros((0, classes), np.float32), np.zeros((0, width), np.float32)
        logits, features = self._session.run(["logits", "features"], {"crops": crops})
        return logits, features
