"""The cost of monitoring beside that of the monitored networks: `gradwatch bench`.

Everything runs on one thread of a CPU, and the processor time of that thread is measured: other programs on the
machine then compete for caches only. Every round measures each figure in turn, as the median of many repetitions, so
that a machine that slows down slows all of them; a ratio is formed within its round. Reported is {min, median, max}
over the rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any

import cv2
import numpy as np

from gradwatch.models.autoencoder import cut_tiles, select_tiles, shrink
from gradwatch.models.crops import crop
from gradwatch.models.onnx_runtime import cut_graph, load_session
from gradwatch.models.outputs import HeadOutputs
from gradwatch.models.preprocess import letterbox
from gradwatch.models.zoo import WEIGHTS
from gradwatch.streams.wire.pixels import decode_picture

from ..alarms.calibration import MIN_FRAMES
from ..evaluate.metrics import spreads
from ..evaluate.reports import SPREAD_HEADER, Figures, render, spread_rows, table
from ..judging.crops import closed_forms
from .monitored_drive import CROPS, PARTS, TILES_PER_FRAME, MonitoredDrive, Networks, standing_signs

SIZES = {"monitor": (960, 540), "monitor_480x270": (480, 270)}  # figure -> (width, height) px of the camera's picture
FRAMES = 120

# figure -> bar on the median
BARS = {
    "head_us_8": "<= 80",
    "head_ratio_1": "<= 1.05",
    "head_ratio_8": "<= 1.05",
    "gradcon_ratio": "<= 4",
    "monitor_ratio": "<= 0.5",
}


def bench(
    weights: Path = WEIGHTS,
    rounds: int = 5,
    frames: int = FRAMES,
    repetitions: int = 60,
    sizes: Mapping[str, tuple[int, int]] = SIZES,
) -> Figures:
    """The figures that `bench_report` explains, each {min, median, max} over the rounds.

    Args:
        weights: folder of the ONNX files.
        rounds: how often everything is measured; at least 1.
        frames: length of the monitored drives, at least `MIN_FRAMES`.
        repetitions: of every network in a round; the head's scores are repeated ten times as often.
        sizes: figure -> (width, height) px of the monitored pictures; must have `monitor`.

    Returns:
        The figures; for each of `sizes` `…_ms`, `…_ratio` and the split `…_parts_ms`. `notes` says why one is None.
    """
    if rounds < 1 or frames < MIN_FRAMES:
        raise ValueError(f"bench: expected rounds >= 1 and frames >= {MIN_FRAMES}, got {rounds} and {frames}")
    cv2.setNumThreads(1)
    networks = Networks(weights)
    monitored = {name: MonitoredDrive(networks, size, frames) for name, size in sizes.items()}
    with plain_autoencoder(networks.tiles_path) as (plain, reason):
        calls = _calls(networks, monitored["monitor"], plain)
        measured = spreads([_round(calls, monitored, repetitions) for _ in range(rounds)])
    figures: Figures = {name: one for name, one in measured.items() if "." not in name}
    for name in sizes:
        figures[f"{name}_parts_ms"] = {part: measured[f"{name}.{part}"] for part in PARTS}
    if reason:
        figures |= {"autoencoder_ms": None, "gradcon_ratio": None}
    crops = [{"crops_per_frame": float(len(outputs.logits))} for _, outputs in monitored["monitor"].boxes]
    notes = {"gradcon_ratio": reason} if reason else {}
    return figures | {"rounds": rounds, **spreads(crops), "notes": notes}


@contextmanager
def plain_autoencoder(path: Path) -> Iterator[tuple[Any, str]]:
    """A session of the auto-encoder without its gradients, cut out of the shipped graph, or None and the reason.

    ONNX Runtime computes every output of a graph, whichever are requested, so a fair comparison needs a shorter
    graph; the weights are the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        try:
            cut_graph(path, plain, ["tiles"], ["loss"])
        except ModuleNotFoundError as error:
            yield None, str(error)
            return
        yield load_session(plain, "cpu", 1), ""


def _calls(networks: Networks, drive: MonitoredDrive, plain: Any) -> dict[str, Callable[[], object]]:
    """Figure -> the call that is timed for it."""
    image = decode_picture(drive.contents[0])
    reference = networks.pedestrians.network
    canvas, _ = letterbox(image, reference.input_size, fill=0)
    reference_input = {networks.reference_session.get_inputs()[0].name: reference.normalize(canvas)}
    tiles = {"tiles": cut_tiles(shrink(image), select_tiles(0, 0, TILES_PER_FRAME))}
    calls: dict[str, Callable[[], object]] = {
        "reference_ms": lambda: networks.reference_session.run(None, reference_input),
        "gradcon_ms": lambda: networks.tiles_session.run(["loss", "cosines"], tiles),
    }
    if plain is not None:
        calls["autoencoder_ms"] = lambda: plain.run(["loss"], tiles)
    boxes = np.array([box for seq in range(CROPS) for box in standing_signs(drive.size, seq)], np.float32)[:CROPS]
    for count in (1, CROPS):
        crops = crop(image, boxes[:count])
        outputs = HeadOutputs(np.arange(count, dtype=np.int32), *networks.classifier(crops))
        classes = outputs.logits.shape[1]
        expected = np.full((count, classes), 1 / classes)  # as if every crop belonged to a track with an expectation
        calls[f"classifier_ms_{count}"] = partial(networks.classifier, crops)
        calls[f"head_us_{count}"] = partial(closed_forms, outputs, expected, networks.classifier.head.activation)
    return calls


def _round(
    calls: dict[str, Callable[[], object]], monitored: dict[str, MonitoredDrive], repetitions: int
) -> dict[str, float]:
    """Figure, or drive and part separated by a dot -> median of this round."""
    one: dict[str, float] = {}
    for name, call in calls.items():
        short = name.startswith("head_us")
        one[name] = _median_s(call, repetitions, at_a_time=10 if short else 1) * (1e6 if short else 1e3)
    for name, drive in monitored.items():
        taken_ms = drive.time()
        one[f"{name}_ms"] = taken_ms["total"]
        one[f"{name}_ratio"] = taken_ms["total"] / one["reference_ms"]
        one |= {f"{name}.{part}": taken_ms[part] for part in PARTS}
    for count in (1, CROPS):
        classifier_ms = one[f"classifier_ms_{count}"]
        one[f"head_ratio_{count}"] = (classifier_ms + one[f"head_us_{count}"] / 1e3) / classifier_ms
    if "autoencoder_ms" in one:
        one["gradcon_ratio"] = one["gradcon_ms"] / one["autoencoder_ms"]
    return one


def _median_s(call: Callable[[], object], repetitions: int, at_a_time: int) -> float:
    """The median time of a call; short calls are timed `at_a_time` together, because reading the clock takes time."""
    call()  # the first after another network finds cold caches
    taken = []
    for _ in range(repetitions):
        started_s = thread_time()
        for _ in range(at_a_time):
            call()
        taken.append((thread_time() - started_s) / at_a_time)
    return float(np.median(taken))


# -- the report --------------------------------------------------------------------------------------------------


def figure_rows(figures: Figures) -> list[list[str]]:
    """Rows under `SPREAD_HEADER`; the parts of a frame stand below the frame."""
    rows: dict[str, Any] = {}
    for name, one in figures.items():
        if name.endswith("_parts_ms"):
            rows |= {f"  {name.removesuffix('_parts_ms')}: {part}, ms": spread for part, spread in one.items()}
        elif one is None or (isinstance(one, dict) and "median" in one):
            rows[name] = one
    return spread_rows(rows, BARS)


def bench_report(figures: Figures, command: str) -> str:
    """The figures as Markdown, with the command that prints them again."""
    width, height = SIZES["monitor"]
    legend = [
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
    ]
    return render(
        "What watching costs",
        command,
        f"Processor time of one thread, {figures['rounds']} rounds, interleaved; min, median and max of the rounds' "
        "medians.",
        table(SPREAD_HEADER, figure_rows(figures)),
        "\n".join(legend),
    )
