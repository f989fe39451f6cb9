"""The monitor's own work on the frames of a drive, timed part by part: no decoding, detector or classifier."""

from __future__ import annotations

from pathlib import Path
from time import thread_time

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.autoencoder import TileAutoencoder, shrink
from gradwatch.models.classifier import SignClassifier
from gradwatch.models.crops import crop
from gradwatch.models.detectors import PedestrianDetector
from gradwatch.models.image_statistics import image_statistics
from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.outputs import KINDS, Detections, HeadOutputs, Observation
from gradwatch.models.zoo import MODELS, WEIGHTS
from gradwatch.streams.wire.messages import FrameStamp
from gradwatch.streams.wire.outputs import encode_alert, encode_report
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg
from gradwatch.streams.world.drive import Drive

from ..judging.judge import Judge
from ..judging.offline import clean_frames, offline_stamp
from ..judging.settings import JudgeSettings
from ..judging.state import new_run
from ..overlay import annotations as overlays
from .broker_setup import RATE_HZ, SEED

CROPS = 8
TILES_PER_FRAME = 9
PARTS = ("crops", "shrink", "tiles", "image_statistics", "judge", "overlay", "encode")


class Networks:
    """The shipped networks, opened on one thread of the CPU. Raises MissingFileError for missing weights."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        paths = {name: MODELS[name].path(weights) for name in ("nanodet_m", "sign_classifier", "tiles")}
        sessions = {name: load_session(path, "cpu", 1) for name, path in paths.items()}
        self.classifier = SignClassifier(sessions["sign_classifier"])
        self.tiles = TileAutoencoder(sessions["tiles"], per_frame=TILES_PER_FRAME)
        self.tiles_path, self.tiles_session = paths["tiles"], sessions["tiles"]
        self.pedestrians, self.reference_session = PedestrianDetector(sessions["nanodet_m"]), sessions["nanodet_m"]
        self.judge = Judge({"signs": self.classifier.head}, "bench", JudgeSettings())


class MonitoredDrive:
    """A drive that the monitor is calibrated on, with its true boxes and two more signs in every frame.

    The monitor's work does not depend on the origin of the boxes, so no detector is needed; the classifier reads the
    crops of the boxes as it would live. `size` is (width, height) px.
    """

    def __init__(self, networks: Networks, size: tuple[int, int], frames: int) -> None:
        self.networks, self.size = networks, size
        drive = Drive("town", SEED, frames, RATE_HZ, size)
        self.contents = [encode_jpeg(drive.image(seq)) for seq in range(frames)]  # as a camera would send them
        self.boxes = [self._boxes(drive, seq) for seq in range(frames)]
        images = map(decode_picture, self.contents)
        observed = [(_stamp(seq), self._observe(image, seq, _Laps())) for seq, image in enumerate(images)]
        calibration = networks.judge.calibrate(clean_frames(observed, networks.judge), "bench", size)
        self.start = replace(new_run(None, "bench", "offline"), calibration=calibration)

    def _boxes(self, drive: Drive, seq: int) -> tuple[Detections, HeadOutputs]:
        """The boxes of a frame, signs last, as the observer orders them, and the classifier's outputs for the signs."""
        truth = drive.truth(seq)
        signs = [*(box.xyxy for box in truth if box.kind == "sign"), *standing_signs(self.size, seq)][-CROPS:]
        people = [box.xyxy for box in truth if box.kind == "pedestrian"]
        xyxy = np.array([*people, *signs], np.float32).reshape(-1, 4)
        kinds = np.array([KINDS.index("pedestrian")] * len(people) + [KINDS.index("sign")] * len(signs), np.int32)
        crops = crop(decode_picture(self.contents[seq]), xyxy[len(people) :])
        index = np.arange(len(people), len(xyxy), dtype=np.int32)
        detections = Detections(xyxy, np.full(len(xyxy), 0.9, np.float32), kinds)
        return detections, HeadOutputs(index, *self.networks.classifier(crops))

    def time(self) -> dict[str, float]:
        """Monitors the drive once: the median of each of `PARTS` in ms, and of the whole frame as `total`."""
        taken_ms, state = [], self.start
        for seq, content in enumerate(self.contents):
            image = decode_picture(content)  # not timed, and leaves the caches as decoding does
            laps = _Laps()
            observation = self._observe(image, seq, laps)
            judgement = self.networks.judge(_stamp(seq), observation, state)
            laps.lap("judge")
            overlay = overlays.annotations(judgement.report)
            laps.lap("overlay")
            encode_report(judgement.report)
            msgspec.json.encode(overlay)
            for alert in judgement.alerts:
                encode_alert(alert)
            laps.lap("encode")
            taken_ms.append(laps.taken_ms | {"total": sum(laps.taken_ms.values())})
            state = judgement.state
        return {name: float(np.median([frame[name] for frame in taken_ms])) for name in (*PARTS, "total")}

    def _observe(self, image: NDArray[np.uint8], seq: int, laps: _Laps) -> Observation:
        """The work of `Observer` without detectors and classifier, in its order."""
        detections, outputs = self.boxes[seq]
        crop(image, detections.xyxy[outputs.detection_index])
        laps.lap("crops")
        small = shrink(image)
        laps.lap("shrink")
        (tiles,) = self.networks.tiles([small], [seq])
        laps.lap("tiles")
        statistics = image_statistics(image, small)
        laps.lap("image_statistics")
        return Observation(self.size, detections, {"signs": outputs}, tiles, statistics)


def standing_signs(size: tuple[int, int], seq: int) -> list[tuple[float, float, float, float]]:
    """Two boxes that drift slowly, as a sign far ahead does: the tracker keeps them all the time."""
    width, height = size
    side, drift = 0.05 * width, 0.0005 * width * seq
    lefts = (0.3 * width + drift, 0.7 * width - drift)
    return [(left, 0.35 * height, left + side, 0.35 * height + side) for left in lefts]


def _stamp(seq: int) -> FrameStamp:
    return offline_stamp("bench", seq, round(seq * 1e9 / RATE_HZ))


class _Laps:
    """Processor times of the parts of one frame, in ms."""

    def __init__(self) -> None:
        self.taken_ms: dict[str, float] = {}
        self._last_s = thread_time()

    def lap(self, part: str) -> None:
        """Ends a part."""
        now_s = thread_time()
        self.taken_ms[part] = 1e3 * (now_s - self._last_s)
        self._last_s = now_s
