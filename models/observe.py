"""The first half of the monitor: runs every network over frames, from pixels and sequence numbers to arrays.

An observation is a function of its frame, its `seq` and the settings, and does not depend on other frames, so an
`Observation` can be stored once and judged any number of times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gradwatch.ranges import Seed, Share

from .autoencoder import TILES, TileAutoencoder, shrink
from .classifier import SignClassifier
from .crops import crop
from .detectors import PedestrianDetector, SignDetector, join_detections
from .image_statistics import image_statistics
from .instrument import open_instrumented
from .onnx_runtime import Device, file_hash, load_session
from .outputs import NO_DETECTIONS, Detections, Floats, Head, HeadOutputs, Observation
from .zoo import MODELS, WEIGHTS

SIGNS = "signs"  # head id of the sign classifier
PEDESTRIANS = "pedestrians"
# Increased whenever the code between pixels and networks changes the observations: a calibration made with another
# version is refused.
VERSION = 1


class ObserverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The networks to run and their thresholds. Only networks that are switched on need their weights."""

    weights: str | None = None  # folder of the ONNX files; None = those of the package
    pedestrians: bool = True
    pedestrian_model: str | None = None  # an ONNX detector with a class `person`; None = NanoDet-m of the weights
    pedestrian_decoder: str | None = None  # the family of that file; None = recognized by its graph
    pedestrian_score: Share = 0.35  # boxes below it are dropped
    pedestrian_iou: Share = 0.6  # of two boxes that overlap by more than this the better is kept
    signs: bool = True  # detector and classifier
    sign_score: Share = 0.45  # 0.05 false boxes a frame on clean drives, see the model card
    sign_iou: Share = 0.5
    sign_crops: Annotated[int, Meta(ge=0, le=1000)] = 8  # maximum of signs classified in a frame, best score first
    tiles_per_frame: Annotated[int, Meta(ge=1, le=TILES)] = 9  # of 180: 9 cover the whole frame every 20 frames
    tile_seed: Seed = 0  # of the order in which tiles are selected

    def __post_init__(self) -> None:
        if self.pedestrian_decoder is not None and self.pedestrian_model is None:
            raise ValueError(
                f"pedestrian_decoder: expected a pedestrian_model beside it, whose family it names, got "
                f"{self.pedestrian_decoder!r} alone"
            )


class Observer:
    """Opens the networks once, then observes frames.

    heads: head id -> linear head, whose outputs are in `Observation.heads`. models_id: hash of weights, settings
    and code version; observations with different ids are not comparable. device: where the networks run. batched:
    whether networks with a batch axis run once for all pictures of a call.
    Raises MissingFileError for missing weights and what `load_session` raises.
    """

    def __init__(self, settings: ObserverSettings, device: Device = "auto", threads: int = 1) -> None:
        self.settings = settings
        folder = Path(settings.weights) if settings.weights else WEIGHTS
        paths: dict[str, Path] = {}
        if settings.pedestrians:
            own = settings.pedestrian_model
            paths[PEDESTRIANS] = MODELS["nanodet_m"].path(folder) if own is None else Path(own)
        names = ["sign_detector", "sign_classifier"] * settings.signs + ["tiles"]
        paths |= {name: MODELS[name].path(folder) for name in names}
        sessions = {name: load_session(paths[name], device, threads) for name in names}
        if settings.pedestrians:
            sessions[PEDESTRIANS] = open_instrumented(paths[PEDESTRIANS], device, threads, settings.pedestrian_decoder)
        self.device = "cuda" if "CUDAExecutionProvider" in sessions["tiles"].get_providers() else "cpu"
        # On a CPU, batching saves at most 5 % of these two networks and changes the last bits of the tiles' cosines
        # (both measured): there each picture is processed alone, which makes it independent of its batch.
        self.batched = self.device == "cuda"
        self.models_id = _models_id(settings, paths)
        self.heads: dict[str, Head] = {}
        self._pedestrians = self._signs = self._classifier = None
        if settings.pedestrians:
            self._pedestrians = PedestrianDetector(
                sessions[PEDESTRIANS],
                score_threshold=settings.pedestrian_score,
                iou_threshold=settings.pedestrian_iou,
            )
            self.heads |= self._pedestrians.heads
        if settings.signs:
            self._signs = SignDetector(
                sessions["sign_detector"], score_threshold=settings.sign_score, iou_threshold=settings.sign_iou
            )
            self._classifier = SignClassifier(sessions["sign_classifier"])
            self.heads[SIGNS] = self._classifier.head
        self._tiles = TileAutoencoder(sessions["tiles"], per_frame=settings.tiles_per_frame, seed=settings.tile_seed)

    def observe(self, images: Sequence[NDArray[np.uint8]], seqs: Sequence[int]) -> list[Observation]:
        """One observation for each picture (H, W, 3) uint8 RGB with its number within the run; none for none.

        If `batched`, sign classifier and tiles run once for all pictures (the detectors' graphs have no batch
        axis), and `latency_ms` of those two is a picture's share of the run.
        """
        if len(images) != len(seqs):
            raise ValueError(f"expected one seq for each picture, got {len(images)} pictures and {len(seqs)} seqs")
        if self.batched and len(images) > 1:
            return self._observe(images, seqs)
        return [self._observe([image], [seq])[0] for image, seq in zip(images, seqs, strict=True)]

    def _observe(self, images: Sequence[NDArray[np.uint8]], seqs: Sequence[int]) -> list[Observation]:
        detected = [self._detect(image, seq) for image, seq in zip(images, seqs, strict=True)]
        stopwatch = _Stopwatch()
        sign_heads = self._classify(images, detected)
        stopwatch.lap("classifier")
        tiles = self._tiles([picture.small for picture in detected], seqs)
        stopwatch.lap("tiles")
        shared_ms = {name: taken_ms / len(images) for name, taken_ms in stopwatch.laps_ms.items()}
        return [
            Observation(
                size=(image.shape[1], image.shape[0]),
                detections=join_detections([picture.people, picture.signs]),
                heads=heads | picture.people_heads,
                tiles=tiles_of_picture,
                image_statistics=picture.statistics,
                latency_ms=picture.latency_ms | shared_ms,
            )
            for image, picture, heads, tiles_of_picture in zip(images, detected, sign_heads, tiles, strict=True)
        ]

    def _detect(self, image: NDArray[np.uint8], seq: int) -> _Detected:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"picture {seq}: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
        stopwatch = _Stopwatch()
        people, people_heads = self._pedestrians(image) if self._pedestrians else (NO_DETECTIONS, {})
        stopwatch.lap("pedestrians")
        signs = self._signs(image) if self._signs else NO_DETECTIONS
        stopwatch.lap("signs")
        small = shrink(image)
        statistics = image_statistics(image, small)
        stopwatch.lap("image_statistics")
        return _Detected(people, people_heads, signs, small, statistics, stopwatch.laps_ms)

    def _classify(
        self, images: Sequence[NDArray[np.uint8]], detected: Sequence[_Detected]
    ) -> list[dict[str, HeadOutputs]]:
        """Logits and features of each picture's best signs, which follow its people among the detections."""
        if self._classifier is None:
            return [{} for _ in detected]
        best = [picture.signs.xyxy[: self.settings.sign_crops] for picture in detected]
        crops = [crop(image, boxes) for image, boxes in zip(images, best, strict=True)]
        logits, features = self._classifier(np.concatenate(crops))
        ends = np.cumsum([len(boxes) for boxes in best])
        heads = []
        for picture, end, count in zip(detected, ends, map(len, best), strict=True):
            index = np.arange(len(picture.people), len(picture.people) + count, dtype=np.int32)
            own = slice(end - count, end)
            heads.append({SIGNS: HeadOutputs(index, logits=logits[own], features=features[own])})
        return heads


class _Detected(NamedTuple):
    """The outputs for one picture of all that runs before the networks with a batch axis."""

    people: Detections
    people_heads: dict[str, HeadOutputs]
    signs: Detections
    small: NDArray[np.uint8]
    statistics: Floats
    latency_ms: dict[str, float]


class _Stopwatch:
    """Durations in ms between consecutive calls of `lap`, by name."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last_s = perf_counter()

    def lap(self, name: str) -> None:
        now_s = perf_counter()
        self.laps_ms[name] = (now_s - self._last_s) * 1e3
        self._last_s = now_s


def _models_id(settings: ObserverSettings, paths: dict[str, Path]) -> str:
    """16 hexadecimal digits of a hash of the weights' content and the settings, independent of the files' paths."""
    content = {
        "version": VERSION,
        "settings": msgspec.structs.asdict(msgspec.structs.replace(settings, weights=None, pedestrian_model=None)),
        "weights": {name: file_hash(path) for name, path in paths.items()},
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]
