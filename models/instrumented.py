"""Runs instrumented ONNX files: boxes or classes, each with the logits and the inputs of the linear head behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import non_max_suppression
from .decoders import DECODERS
from .gradients.head import sigmoid
from .manifest import Manifest, read_manifest
from .onnx_runtime import ModelError, input_type, run_on_zeros
from .outputs import Floats, Head, HeadOutputs, Integers
from .preprocess import letterbox

LEVEL_OUTPUTS = ("index", "score", "regression", "logits", "features")  # in the order of the graph


@dataclass(frozen=True, slots=True)
class DetectorOutputs:
    """The objects that an instrumented detector found in one picture.

    xyxy (n, 4) px of the picture, score (n,) in [0, 1], class_id (n,) of the model's own classes, best first.
    levels: for each head of the detector, which of the n it found, with logits (m, C) and features (m, D).
    """

    xyxy: Floats
    score: Floats
    class_id: Integers
    levels: tuple[HeadOutputs, ...]

    def __len__(self) -> int:
        return len(self.score)


class InstrumentedDetector:
    """A detector that returns, with each box, the logits and features that it was computed from.

    session: an ONNX Runtime session of a file made by `gradwatch instrument`. classes: the class ids to detect, None =
    all that the file ranks by. Boxes below `score_threshold` are dropped, of two boxes of a class that overlap by
    more than `iou_threshold` the better is kept, and at most `limit` are returned. `heads`: one linear head for each
    level. Raises NotInstrumentedError, and ModelError for a classifier or for classes that the file does not rank by.
    """

    def __init__(
        self,
        session: Any,
        *,
        classes: Sequence[int] | None = None,
        score_threshold: float = 0.35,
        iou_threshold: float = 0.6,
        limit: int = 100,
    ) -> None:
        self.manifest = manifest = read_manifest(session)
        if manifest.decoder not in DECODERS:
            raise ModelError(f"{manifest.family}: expected a detector with a decoder of {', '.join(DECODERS)}")
        self.classes = _checked_classes(classes, manifest)
        self.score_threshold, self.iou_threshold, self.limit = score_threshold, iou_threshold, limit
        self.input_size = manifest.input_size
        self.heads = _read_heads(session, manifest)
        self._session = session
        self._input = session.get_inputs()[0].name
        self._dtype = input_type(session)
        self._decode = DECODERS[manifest.decoder]
        names = (*LEVEL_OUTPUTS, "objectness") if manifest.objectness else LEVEL_OUTPUTS
        self._width = len(names)
        self._outputs = [f"{name}_{level}" for level in range(len(manifest.levels)) for name in names]
        # The score in the file is that of exactly the classes that it ranks by.
        self._uses_ranked_score = set(self.classes) == set(manifest.ranked)

    def __call__(self, image: NDArray[np.uint8]) -> DetectorOutputs:
        """The objects in a picture (H, W, 3) uint8 RGB, best first."""
        preprocessing = self.manifest.preprocessing
        canvas, box = letterbox(image, self.input_size, stretch=preprocessing.stretch, fill=preprocessing.fill)
        outputs = self._session.run(self._outputs, {self._input: self.normalize(canvas)})
        levels = [self._boxes(i, outputs[i * self._width :][: self._width]) for i in range(len(self.heads))]
        boxes, scores, class_ids, logits, features = zip(*levels, strict=True)
        score, class_id = np.concatenate(scores), np.concatenate(class_ids)
        xyxy = box.to_picture(np.concatenate(boxes))
        kept = non_max_suppression(xyxy, score, class_id, self.iou_threshold)[: self.limit]
        heads, start = [], 0
        for level_logits, level_features in zip(logits, features, strict=True):
            own = kept - start  # numbers within the level
            index = np.flatnonzero((own >= 0) & (own < len(level_logits))).astype(np.int32)
            heads.append(HeadOutputs(index, logits=level_logits[own[index]], features=level_features[own[index]]))
            start += len(level_logits)
        return DetectorOutputs(xyxy[kept], score[kept], class_id[kept], tuple(heads))

    def normalize(self, canvas: NDArray[np.uint8]) -> NDArray[Any]:
        """A canvas (H, W, 3) RGB of the input's size as the network's input (1, 3, H, W)."""
        return self.manifest.preprocessing(canvas, self._dtype)

    def _boxes(self, number: int, outputs: list[NDArray[Any]]) -> tuple[Floats, Floats, Integers, Floats, Floats]:
        """Of one level, above the threshold: boxes in px of the input, scores, class ids, logits, features."""
        index, score, regression, logits, features = (output[0] for output in outputs[: len(LEVEL_OUTPUTS)])
        # Locations are sorted by score, and no class scores higher than its location.
        count = int(np.count_nonzero(score >= self.score_threshold))
        picked = logits[:count, self.classes]
        best = picked.argmax(axis=1)
        score, rows = score[:count], np.arange(count)
        if not self._uses_ranked_score:
            score = sigmoid(picked[rows, best])
            if self.manifest.objectness:
                score *= outputs[len(LEVEL_OUTPUTS)][0, :count]
            rows = np.flatnonzero(score >= self.score_threshold)
            score, best = score[rows], best[rows]
        xyxy = self._decode(regression[rows], index[rows], self.manifest.levels[number], self.input_size)
        return xyxy, score, self.classes[best], logits[rows], features[rows]


class InstrumentedClassifier:
    """A classifier that returns, with the logits of each picture, the features that they were computed from.

    session: an ONNX Runtime session of a file made by `gradwatch instrument`. `head` is its linear head.
    Raises NotInstrumentedError, and ModelError for a detector.
    """

    def __init__(self, session: Any) -> None:
        self.manifest = manifest = read_manifest(session)
        if manifest.decoder is not None:
            raise ModelError(f"{manifest.family}: expected a classifier, got a detector")
        weight, bias = run_on_zeros(session, ["weight", "bias"])
        self.head = Head(weight, bias, manifest.activation, manifest.classes)
        self._session = session
        self._input = session.get_inputs()[0].name
        self._dtype = input_type(session)

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> tuple[Floats, Floats]:
        """Pictures, each (H, W, 3) uint8 RGB of any size -> logits (n, C) and features (n, D). n = 0 is legal."""
        classes, width = self.head.weight.shape
        logits, features = np.zeros((len(pictures), classes), np.float32), np.zeros((len(pictures), width), np.float32)
        preprocessing, size = self.manifest.preprocessing, self.manifest.input_size
        for i, picture in enumerate(pictures):
            canvas, _ = letterbox(picture, size, stretch=preprocessing.stretch, fill=preprocessing.fill)
            blob = preprocessing(canvas, self._dtype)
            logits[i : i + 1], features[i : i + 1] = self._session.run(["logits", "features"], {self._input: blob})
        return logits, features


def _checked_classes(classes: Sequence[int] | None, manifest: Manifest) -> Integers:
    wanted, ranked = manifest.ranked if classes is None else tuple(classes), manifest.ranked
    if not wanted or not set(wanted) <= set(ranked):
        known = str(list(ranked)) if len(ranked) <= 10 else f"{ranked[0]} to {ranked[-1]}"
        raise ModelError(
            f"{manifest.family}: expected classes among those that the file ranks its locations by, {known}, "
            f"got {list(wanted)}"
        )
    return np.array(wanted, np.int32)


def _read_heads(session: Any, manifest: Manifest) -> list[Head]:
    names = [f"{name}_{level}" for level in range(len(manifest.levels)) for name in ("weight", "bias")]
    constants = run_on_zeros(session, names)
    return [
        Head(weight, bias, manifest.activation, manifest.classes)
        for weight, bias in zip(constants[::2], constants[1::2], strict=True)
    ]
