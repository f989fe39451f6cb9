"""Where things are: pedestrians by NanoDet-m, traffic signs by our own small detector."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import suppress
from .outputs import PEDESTRIAN, SIGN, Detections, Floats
from .preprocess import letterbox

COCO_PERSON = 0


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
    """NanoDet-m 416 (RangiLyu/nanodet, Apache-2.0), of whose 80 COCO classes only `person` is read.

    `session` is an ONNX Runtime session of `weights/nanodet_m.onnx`: a picture (1, 3, 416, 416), BGR, each channel
    less its mean and over its deviation. Per stride s = 8, 16, 32 it gives probabilities (1, (416/s)^2, 80) and
    for each side of the box 8 bins (1, (416/s)^2, 32); a side's distance is s times the bins' softmax mean
    (Generalized Focal Loss, Li et al. 2020). Raises ValueError when the graph's outputs are others.
    """

    STRIDES_PX = (8, 16, 32)
    BINS = 8
    MEAN_RGB = (123.675, 116.28, 103.53)
    DEVIATION_RGB = (58.395, 57.12, 57.375)

    def __init__(
        self, session: Any, *, score_threshold: float = 0.35, iou_threshold: float = 0.6, limit: int = 100
    ) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self.score_threshold, self.iou_threshold, self.limit = score_threshold, iou_threshold, limit
        self.side_px = int(session.get_inputs()[0].shape[2])
        # The published graph numbers its outputs; their shapes tell them apart.
        by_shape = {tuple(output.shape[1:]): output.name for output in session.get_outputs()}
        places = [(self.side_px // stride) ** 2 for stride in self.STRIDES_PX]
        wanted = [(n, 80) for n in places] + [(n, 4 * self.BINS) for n in places]
        missing = [shape for shape in wanted if shape not in by_shape]
        if missing:
            raise ValueError(f"NanoDet-m: expected outputs of shapes {wanted}, got {sorted(by_shape)}")
        self._outputs = [by_shape[shape] for shape in wanted]
        self._centers = np.concatenate([self._grid(stride) for stride in self.STRIDES_PX])
        self._strides = np.repeat(np.array(self.STRIDES_PX, np.float32), places)

    def _grid(self, stride: int) -> Floats:
        along = (np.arange(self.side_px // stride, dtype=np.float32) + 0.5) * stride
        y, x = np.meshgrid(along, along, indexing="ij")
        return np.stack([x, y, x, y], -1).reshape(-1, 4)

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """The people in a picture (H, W, 3) uint8 RGB, in its pixels, best first."""
        canvas, box = letterbox(image, (self.side_px, self.side_px), fill=0)
        outputs = self._session.run(self._outputs, {self._input: self.normalize(canvas)})
        score = np.concatenate([output[0, :, COCO_PERSON] for output in outputs[:3]])
        found = np.flatnonzero(score >= self.score_threshold)
        if not len(found):
            return no_detections()
        bins = np.concatenate([output[0] for output in outputs[3:]])[found].reshape(-1, 4, self.BINS)
        xyxy = box.to_picture(self.decode(bins, found))
        return keep_best(xyxy, score[found], PEDESTRIAN, self.iou_threshold, self.limit)

    def normalize(self, canvas: NDArray[np.uint8]) -> Floats:
        """A canvas (side, side, 3) RGB as the network's input (1, 3, side, side), BGR."""
        blob = np.empty((1, 3, *canvas.shape[:2]), np.float32)
        for channel in range(3):
            plane, deviation = blob[0, 2 - channel], self.DEVIATION_RGB[channel]
            np.multiply(canvas[:, :, channel], np.float32(1 / deviation), out=plane)
            plane -= self.MEAN_RGB[channel] / deviation
        return blob

    def decode(self, bins: Floats, place: NDArray[np.intp]) -> Floats:
        """Boxes (n, 4) xyxy px of the input from logits of bins (n, 4, 8) at places (n,) of the three grids."""
        weights = np.exp(bins - bins.max(axis=2, keepdims=True))
        distance = weights @ np.arange(self.BINS, dtype=np.float32) / weights.sum(axis=2)
        signs = np.array([-1, -1, 1, 1], np.float32)
        boxes: Floats = self._centers[place] + signs * distance * self._strides[place][:, None]
        return boxes


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
