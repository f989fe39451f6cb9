"""The sign classifier: crops in, logits and the inputs of its linear head out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .crops import SIZE_PX as CROP_PX
from .onnx_runtime import ModelError, run_on_zeros
from .outputs import SIGN_CLASSES, Floats, Head


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
