"""What watching costs beside the networks that are watched: `gradwatch bench`.

Everything runs on one thread of a CPU, and it is that thread's processor time that is measured: other programs
on the machine then cost caches but no turns. In every round each figure is measured in turn, as the median of
many repetitions, so that a machine that slows down slows all of them; a ratio is formed within its round. What
is reported is {min, median, max} over the rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any

import cv2
import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.autoencoder import TileAutoencoder, cut_tiles, shrink, tiles_of
from gradwatch.models.classifier import SignClassifier
from gradwatch.models.crops import crop
from gradwatch.models.detectors import PedestrianDetector
from gradwatch.models.image_statistics import image_statistics
from gradwatch.models.onnx_runtime import cut_graph, load_session
from gradwatch.models.outputs import KINDS, Detections, HeadOutputs, Observation
from gradwatch.models.preprocess import letterbox
from gradwatch.models.zoo import MODELS, WEIGHTS
from gradwatch.streams.wire.messages import FrameStamp
from gradwatch.streams.wire.outputs import encode_alert, encode_report
from gradwatch.streams.wire.pictures import decode_picture
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.world.drive import Drive

from ..alarms.calibration import MIN_FRAMES
from ..evaluate.metrics import spread
from ..evaluate.reports import heading, machine, table
from ..judging.crops import closed_forms
from ..judging.judge import Judge
from ..judging.offline import offline_stamp
from ..judging.settings import JudgeSettings
from ..judging.state import JudgeState, new_run
from ..overlay import annotations as overlays

Figures = dict[str, Any]
Image = NDArray[np.uint8]
Measured = dict[str, float]  # figure -> median of one round

SIZES = {"monitor": (960, 540), "monitor_480x270": (480, 270)}  # figure -> (width, height) px of the camera's picture
FRAMES = 120
RATE_HZ = 5.0
SEED = 3000
CROPS = 8
TILES_PER_FRAME = 9
PARTS = ("crops", "shrink", "tiles", "image_statistics", "judge", "overlay", "encode")

# figure -> the largest median that the project allows itself
BARS = {
    "head_us_8": 80.0,
    "head_ratio_1": 1.05,
    "head_ratio_8": 1.05,
    "gradcon_ratio": 4.0,
    "monitor_ratio": 0.5,
}


class Clip(msgspec.Struct, frozen=True):
    """Frames as a camera would send them, with the boxes in each and what the sign classifier says of them."""

    size: tuple[int, int]
    contents: list[bytes]
    detections: list[Detections]
    outputs: list[HeadOutputs]


class Networks:
    """The shipped networks, opened on one thread of the CPU. Raises FileNotFoundError for missing weights."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        paths = {name: MODELS[name].path(weights) for name in ("nanodet_m", "sign_classifier", "tiles")}
        sessions = {name: load_session(path, "cpu", 1) for name, path in paths.items()}
        self.classifier = SignClassifier(sessions["sign_classifier"])
        self.tiles = TileAutoencoder(sessions["tiles"], per_frame=TILES_PER_FRAME)
        self.tiles_path, self.tiles_session = paths["tiles"], sessions["tiles"]
        self.pedestrians, self.reference_session = PedestrianDetector(sessions["nanodet_m"]), sessions["nanodet_m"]
        self.judge = Judge({"signs": self.classifier.head}, "bench", JudgeSettings())


def bench(
    weights: Path = WEIGHTS,
    rounds: int = 5,
    frames: int = FRAMES,
    repetitions: int = 60,
    sizes: Mapping[str, tuple[int, int]] = SIZES,
) -> Figures:
    """All figures, each {min, median, max} over the rounds; `notes` says why one is None.

    Args:
        weights: folder of the ONNX files.
        rounds: how often everything is measured; at least 1.
        frames: length of the drives that the monitor watches, at least `MIN_FRAMES`.
        repetitions: of every network in a round; the head's scores are repeated ten times as often.
        sizes: figure -> (width, height) px of the pictures that the monitor watches; `monitor` must be there.

    Returns:
        `head_us_1`, `head_us_8`, `classifier_ms_1`, `classifier_ms_8`, `head_ratio_1`, `head_ratio_8`,
        `gradcon_ms`, `autoencoder_ms`, `gradcon_ratio`, `reference_ms`, and for each of `sizes` `…_ms`, `…_ratio`
        and the split `…_parts_ms`; besides `rounds`, `crops_per_frame` and `notes`.
    """
    if rounds < 1 or frames < MIN_FRAMES:
        raise ValueError(f"bench: expected rounds >= 1 and frames >= {MIN_FRAMES}, got {rounds} and {frames}")
    cv2.setNumThreads(1)
    networks = Networks(weights)
    clips = {name: make_clip(networks, size, frames) for name, size in sizes.items()}
    watched = {name: Watched(networks, clip) for name, clip in clips.items()}
    with plain_autoencoder(networks.tiles_path) as (plain, reason):
        calls = _calls(networks, clips["monitor"], plain)
        measured = [_round(calls, watched, repetitions) for _ in range(rounds)]
    figures: Figures = {name: spread([one[name] for one in measured]) for name in measured[0] if "." not in name}
    for name in sizes:
        figures[f"{name}_parts_ms"] = {part: spread([one[f"{name}.{part}"] for one in measured]) for part in PARTS}
    if reason:
        figures |= {"autoencoder_ms": None, "gradcon_ratio": None}
    crops = [len(outputs.logits) for outputs in clips["monitor"].outputs]
    notes = {"gradcon_ratio": reason} if reason else {}
    return figures | {"rounds": rounds, "crops_per_frame": spread([float(n) for n in crops]), "notes": notes}


def make_clip(networks: Networks, size: tuple[int, int], frames: int) -> Clip:
    """A drive through a town with its true boxes, and two signs more that stay, so that no frame has fewer.

    Where the boxes come from is no matter of the monitor's, so no detector is needed; the classifier reads the
    crops of the boxes as it would live.
    """
    drive = Drive("town", SEED, frames, RATE_HZ, size)
    contents, detections, outputs = [], [], []
    for seq in range(frames):
        content = encode_jpeg(drive.image(seq))
        truth = sorted(drive.truth(seq), key=lambda box: box.kind == "sign")  # signs last, as the observer has them
        signs = [*(box.xyxy for box in truth if box.kind == "sign"), *_standing_signs(size, seq)][-CROPS:]
        people = [box.xyxy for box in truth if box.kind == "pedestrian"]
        xyxy = np.array([*people, *signs], np.float32).reshape(-1, 4)
        kinds = np.array([KINDS.index("pedestrian")] * len(people) + [KINDS.index("sign")] * len(signs), np.int32)
        logits, features = networks.classifier(crop(decode_picture(content), xyxy[len(people) :]))
        index = np.arange(len(people), len(xyxy), dtype=np.int32)
        contents.append(content)
        detections.append(Detections(xyxy, np.full(len(xyxy), 0.9, np.float32), kinds))
        outputs.append(HeadOutputs(index, logits, features))
    return Clip(size, contents, detections, outputs)


class Watched:
    """The monitor's own share of a frame, on a clip that it is calibrated on: no decoding, detector or classifier."""

    def __init__(self, networks: Networks, clip: Clip) -> None:
        self.networks, self.clip = networks, clip
        clean, state = [], new_run(None, "bench", "offline")
        for seq, content in enumerate(clip.contents):
            observation = self._observe(decode_picture(content), seq, _Laps())
            gathered, state = networks.judge.gather(self._stamp(seq), observation, state)
            clean.append(gathered)
        self.fresh: JudgeState = replace(
            new_run(None, "bench", "offline"), calibration=networks.judge.calibrate(clean, "bench", clip.size)
        )

    def watch(self) -> Measured:
        """Watches the clip once: the median frame in ms as `total`, and of each of `PARTS`."""
        laps, state = _Laps(), self.fresh
        for seq, content in enumerate(self.clip.contents):
            image = decode_picture(content)  # outside the clock, and leaves the caches as decoding does
            laps.start()
            observation = self._observe(image, seq, laps)
            judgement = self.networks.judge(self._stamp(seq), observation, state)
            laps.lap("judge")
            overlay = overlays.annotations(judgement.report)
            laps.lap("overlay")
            encode_report(judgement.report)
            msgspec.json.encode(overlay)
            for alert in judgement.alerts:
                encode_alert(alert)
            laps.lap("encode")
            laps.stop()
            state = judgement.state
        return {name: float(np.median(taken)) for name, taken in laps.taken_ms.items()}

    def _observe(self, image: Image, seq: int, laps: _Laps) -> Observation:
        """What `Observer` does besides running detectors and classifier, in its order."""
        clip, detections, outputs = self.clip, self.clip.detections[seq], self.clip.outputs[seq]
        crop(image, detections.xyxy[outputs.detection_index])
        laps.lap("crops")
        small = shrink(image)
        laps.lap("shrink")
        tiles = self.networks.tiles(small, seq)
        laps.lap("tiles")
        statistics = image_statistics(image, small)
        laps.lap("image_statistics")
        return Observation(clip.size, detections, {"signs": outputs}, tiles, statistics)

    def _stamp(self, seq: int) -> FrameStamp:
        return offline_stamp("bench", seq, round(seq * 1e9 / RATE_HZ))


class _Laps:
    """Times of the parts of many frames, in ms."""

    def __init__(self) -> None:
        self.taken_ms: dict[str, list[float]] = {}
        self._started_s = self._last_s = thread_time()

    def start(self) -> None:
        """A frame begins."""
        self._started_s = self._last_s = thread_time()

    def lap(self, part: str) -> None:
        """A part is done."""
        now_s = thread_time()
        self.taken_ms.setdefault(part, []).append(1e3 * (now_s - self._last_s))
        self._last_s = now_s

    def stop(self) -> None:
        """A frame is done."""
        self.taken_ms.setdefault("total", []).append(1e3 * (self._last_s - self._started_s))


@contextmanager
def plain_autoencoder(path: Path) -> Iterator[tuple[Any, str]]:
    """A session of the auto-encoder without its gradients, cut out of the shipped graph, or None and the reason.

    ONNX Runtime computes every output of a graph whichever are asked for, so a shorter graph is needed for a
    fair comparison; the weights are the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        try:
            cut_graph(path, plain, ["tiles"], ["loss"])
        except ModuleNotFoundError as error:
            yield None, str(error)
            return
        yield load_session(plain, "cpu", 1), ""


def _calls(networks: Networks, clip: Clip, plain: Any) -> dict[str, Callable[[], object]]:
    """What is timed by itself: figure -> one call."""
    image = decode_picture(clip.contents[0])
    canvas, _ = letterbox(image, (networks.pedestrians.side_px, networks.pedestrians.side_px), fill=0)
    reference_input = {networks.reference_session.get_inputs()[0].name: networks.pedestrians.normalize(canvas)}
    tiles = {"tiles": cut_tiles(shrink(image), tiles_of(0, 0, TILES_PER_FRAME))}
    calls: dict[str, Callable[[], object]] = {
        "reference_ms": lambda: networks.reference_session.run(None, reference_input),
        "gradcon_ms": lambda: networks.tiles_session.run(["loss", "cosines"], tiles),
    }
    if plain is not None:
        calls["autoencoder_ms"] = lambda: plain.run(["loss"], tiles)
    boxes = np.array([box for seq in range(CROPS) for box in _standing_signs(clip.size, seq)], np.float32)[:CROPS]
    for count in (1, CROPS):
        crops = crop(image, boxes[:count])
        outputs = HeadOutputs(np.arange(count, dtype=np.int32), *networks.classifier(crops))
        classes = outputs.logits.shape[1]
        expected = np.full((count, classes), 1 / classes)  # every crop belongs to a track that expects something
        calls[f"classifier_ms_{count}"] = partial(networks.classifier, crops)
        calls[f"head_us_{count}"] = partial(closed_forms, outputs, expected, networks.classifier.head.activation)
    return calls


def _round(calls: dict[str, Callable[[], object]], watched: dict[str, Watched], repetitions: int) -> Measured:
    one: Measured = {}
    for name, call in calls.items():
        short = name.startswith("head_us")
        one[name] = _median_s(call, repetitions, at_a_time=10 if short else 1) * (1e6 if short else 1e3)
    for name, clip in watched.items():
        laps = clip.watch()
        one[f"{name}_ms"] = laps["total"]
        one[f"{name}_ratio"] = laps["total"] / one["reference_ms"]
        one |= {f"{name}.{part}": laps[part] for part in PARTS}
    for count in (1, CROPS):
        classifier_ms = one[f"classifier_ms_{count}"]
        one[f"head_ratio_{count}"] = (classifier_ms + one[f"head_us_{count}"] / 1e3) / classifier_ms
    if "autoencoder_ms" in one:
        one["gradcon_ratio"] = one["gradcon_ms"] / one["autoencoder_ms"]
    return one


def _median_s(call: Callable[[], object], repetitions: int, at_a_time: int = 1) -> float:
    """The median time of a call; `at_a_time` calls are timed together where one is short beside reading the clock."""
    call()  # the first after another network finds cold caches
    taken = []
    for _ in range(repetitions):
        started_s = thread_time()
        for _ in range(at_a_time):
            call()
        taken.append((thread_time() - started_s) / at_a_time)
    return float(np.median(taken))


def _standing_signs(size: tuple[int, int], seq: int) -> list[tuple[float, float, float, float]]:
    """Two boxes that drift slowly, as a sign far ahead does: the tracker keeps them all the time."""
    width, height = size
    side, drift = 0.05 * width, 0.0005 * width * seq
    lefts = (0.3 * width + drift, 0.7 * width - drift)
    return [(left, 0.35 * height, left + side, 0.35 * height + side) for left in lefts]


def surroundings() -> Figures:
    """What the figures depend on: `machine` and `date` (UTC)."""
    return {"machine": machine(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}


def figure_rows(figures: Figures) -> list[list[str]]:
    """Rows of figure, min, median, max, bar; the parts of a frame stand below the frame."""
    rows = []
    for name, values in figures.items():
        if name.endswith("_parts_ms"):
            rows += [[f"  {name.removesuffix('_parts_ms')}: {part}, ms", *_cells(v), ""] for part, v in values.items()]
        elif isinstance(values, dict) and "median" in values:
            rows.append([name, *_cells(values), f"<= {BARS[name]:g}" if name in BARS else ""])
        elif values is None:
            rows.append([name, "-", "-", "-", f"<= {BARS[name]:g}" if name in BARS else ""])
    return rows


def bench_report(figures: Figures, command: str) -> str:
    """The figures as Markdown, with the command that reprints them."""
    width, height = SIZES["monitor"]
    lines = heading("What watching costs", command)
    lines += [
        f"Processor time of one thread, {figures['rounds']} rounds, interleaved; min, median and max of the rounds' "
        "medians.",
        "",
        *table(["figure", "min", "median", "max", "bar"], figure_rows(figures)),
        "- `head_us_n`: all scores of n crops' heads, expectancy included. `head_ratio_n`: classifier with them over "
        "classifier without.",
        f"- `gradcon_ratio`: loss and gradient cosines of {TILES_PER_FRAME} tiles over the plain auto-encoder "
        "with the same weights on the same tiles.",
        f"- `monitor_ms`: a frame of {width} x {height} px without decoding, detectors and the classifier's forward "
        f"pass: cutting the crops, {TILES_PER_FRAME} of 180 tiles (the whole frame every 20 frames), image statistics, "
        "judging with a calibration, overlay, and the bytes of report and overlay.",
        "- `reference_ms`: NanoDet-m as shipped, on a prepared input. `monitor_ratio`: the one over the other "
        "(aim 0.25).",
        *(f"- {name}: {note}" for name, note in figures["notes"].items()),
        "",
    ]
    return "\n".join(lines)


def _cells(values: dict[str, float]) -> list[str]:
    return [f"{values[key]:.4g}" for key in ("min", "median", "max")]
