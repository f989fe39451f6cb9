"""The first half of the monitor: runs every network over frames. Pure: pixels and sequence numbers in, arrays out.

What is found in a frame depends on the frame, its `seq` and the settings alone, never on the frames before it or
beside it, so an `Observation` can be stored once and judged as often as one likes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np
from numpy.typing import NDArray

from .autoencoder import TileAutoencoder, shrink
from .classifier import SignClassifier
from .crops import crop
from .detectors import PedestrianDetector, SignDetector, join_detections, no_detections
from .image_statistics import image_statistics
from .onnx_runtime import Device, file_hash, load_session
from .outputs import Detections, Head, HeadOutputs, Observation
from .zoo import MODELS, WEIGHTS

SIGNS = "signs"  # the head of the sign classifier
# Raised whenever the code between pixels and networks changes what is observed: a calibration made with another
# version is refused.
VERSION = 1


class ObserverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for. A network that is switched off needs no weights; one that is on must have them."""

    weights: str | None = None  # folder of the ONNX files; None = those of the package
    pedestrians: bool = True
    pedestrian_score: float = 0.35  # boxes below it are dropped
    pedestrian_iou: float = 0.6  # of two boxes that overlap by more than this the better stays
    signs: bool = True  # detector and classifier
    sign_score: float = 0.45  # 0.05 false boxes a frame on clean drives, see the model card
    sign_iou: float = 0.5
    sign_crops: int = 8  # at most so many signs a frame are classified, best score first
    tiles_per_frame: int = 9  # of 180: 9 look at the whole frame every 20 frames
    tile_seed: int = 0  # of the order in which tiles are looked at


class Observer:
    """Opens the networks once, then observes frames.

    heads: the linear heads by id, whose outputs `Observation.heads` carries. models_id: names weights, settings
    and code version; observations of different ids are not comparable. device: where the networks run.
    Raises FileNotFoundError for missing weights and what `load_session` raises.
    """

    def __init__(self, settings: ObserverSettings, device: Device = "auto", threads: int = 1) -> None:
        self.settings = settings
        folder = Path(settings.weights) if settings.weights else WEIGHTS
        names = ["nanodet_m"] * settings.pedestrians + ["sign_detector", "sign_classifier"] * settings.signs + ["tiles"]
        paths = {name: MODELS[name].path(folder) for name in names}
        sessions = {name: load_session(path, device, threads) for name, path in paths.items()}
        self.device = "cuda" if "CUDAExecutionProvider" in sessions["tiles"].get_providers() else "cpu"
        self.models_id = _models_id(settings, paths)
        self.heads: dict[str, Head] = {}
        self._pedestrians = self._signs = self._classifier = None
        if settings.pedestrians:
            self._pedestrians = PedestrianDetector(
                sessions["nanodet_m"],
                score_threshold=settings.pedestrian_score,
                iou_threshold=settings.pedestrian_iou,
            )
        if settings.signs:
            self._signs = SignDetector(
                sessions["sign_detector"], score_threshold=settings.sign_score, iou_threshold=settings.sign_iou
            )
            self._classifier = SignClassifier(sessions["sign_classifier"])
            self.heads[SIGNS] = self._classifier.head
        self._tiles = TileAutoencoder(sessions["tiles"], per_frame=settings.tiles_per_frame, seed=settings.tile_seed)

    def observe(self, images: Sequence[NDArray[np.uint8]], seqs: Sequence[int]) -> list[Observation]:
        """One observation a picture (H, W, 3) uint8 RGB, with its number within the run. Empty in, empty out."""
        if len(images) != len(seqs):
            raise ValueError(f"expected one seq a picture, got {len(images)} pictures and {len(seqs)} seqs")
        return [self._observe(image, seq) for image, seq in zip(images, seqs, strict=True)]

    def _observe(self, image: NDArray[np.uint8], seq: int) -> Observation:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"picture {seq}: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
        stopwatch = _Stopwatch()
        people = self._pedestrians(image) if self._pedestrians else no_detections()
        stopwatch.lap("pedestrians")
        signs = self._signs(image) if self._signs else no_detections()
        stopwatch.lap("signs")
        heads = self._classify(image, signs, len(people))
        stopwatch.lap("classifier")
        small = shrink(image)
        tiles = self._tiles(small, seq)
        stopwatch.lap("tiles")
        statistics = image_statistics(image, small)
        stopwatch.lap("image_statistics")
        return Observation(
            size=(image.shape[1], image.shape[0]),
            detections=join_detections([people, signs]),
            heads=heads,
            tiles=tiles,
            image_statistics=statistics,
            latency_ms=stopwatch.laps_ms,
        )

    def _classify(self, image: NDArray[np.uint8], signs: Detections, before: int) -> dict[str, HeadOutputs]:
        """Logits and features of the best signs, which stand after `before` other detections of the frame."""
        if self._classifier is None:
            return {}
        best = signs.xyxy[: self.settings.sign_crops]
        logits, features = self._classifier(crop(image, best))
        index = np.arange(before, before + len(best), dtype=np.int32)
        return {SIGNS: HeadOutputs(detection_index=index, logits=logits, features=features)}


class _Stopwatch:
    """Names the time since the last lap."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last_s = perf_counter()

    def lap(self, name: str) -> None:
        now_s = perf_counter()
        self.laps_ms[name] = (now_s - self._last_s) * 1e3
        self._last_s = now_s


def _models_id(settings: ObserverSettings, paths: dict[str, Path]) -> str:
    """16 hexadecimal digits from the weights' content and the settings, wherever the files lie."""
    content = {
        "version": VERSION,
        "settings": msgspec.structs.asdict(msgspec.structs.replace(settings, weights=None)),
        "weights": {name: file_hash(path) for name, path in paths.items()},
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]
