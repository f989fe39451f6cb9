"""Checks the networks' files, that they load, and that the streams' calibrations were made for them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from gradwatch.models.onnx_runtime import file_hash
from gradwatch.models.zoo import MODELS, WEIGHTS

from ..alarms.calibration import CalibrationMismatchError, Origin
from ..config import Configuration
from ..judging.judge import Judge
from ..worker.build import build_judge, build_observer, load_calibrations, read_calibrations
from ..worker.stored_state import StateFormatError
from .results import Context, Result, Status

HASHES = "SHA256SUMS"  # beside the weights, in the format of `sha256sum`
REINSTALL = "pip install --force-reinstall --no-deps gradwatch"
MEANING = {  # of the fields of Origin
    "models_id": "weights or the section models",
    "configuration_id": "the section judge",
}


def weights(context: Context) -> list[Result]:
    """Every weights file that the configuration needs: present, unchanged, and with its model card."""
    settings = context.configuration.models
    folder = Path(settings.weights) if settings.weights else WEIGHTS
    needed = {"pedestrians": settings.pedestrians, "signs": settings.signs, "classifier": settings.signs, "tiles": True}
    hashes = read_hashes(folder / HASHES)
    remedy = REINSTALL if folder == WEIGHTS else f"put the files back into {folder}"
    return [
        _weights_file(folder / model.file, hashes, remedy)
        if needed[model.kind]
        else Result(model.file, Status.OK, "not needed", needed=False)
        for model in MODELS.values()
    ]


def _weights_file(path: Path, hashes: Mapping[str, str], remedy: str) -> Result:
    if not path.is_file():
        return Result(path.name, Status.MISSING, f"no such file in {path.parent}", remedy)
    got, expected = file_hash(path), hashes.get(path.name)
    card = "model card" if path.with_suffix(".md").is_file() else "no model card"
    found = f"{path.stat().st_size / 1e6:.1f} MB, {card}, {got[:12]}"
    if expected is None:
        return Result(path.name, Status.UNKNOWN, f"{found}: no {HASHES} to compare with")
    if got != expected:
        return Result(path.name, Status.WRONG, f"{found} instead of {expected[:12]}", remedy)
    return Result(path.name, Status.OK, f"{found} as shipped")


def read_hashes(path: Path) -> dict[str, str]:
    """SHA-256 by file name, from a file in the format of `sha256sum`; empty if there is none."""
    if not path.is_file():
        return {}
    rows = (line.split(maxsplit=1) for line in path.read_text().splitlines() if line.strip())
    return {name.lstrip("*"): value for value, name in rows}


def networks_and_calibrations(context: Context) -> list[Result]:
    """Loads every network as a worker does, then checks each stream's calibration file against them."""
    configuration = context.configuration
    try:
        observer = build_observer(configuration)
    except Exception as error:
        remedy = "mend the weights or the device, see their rows"
        skipped = [Result(f"stream {name}", Status.UNKNOWN, "needs the networks") for name in configuration.streams]
        return [Result("networks", Status.WRONG, f"can't be loaded: {error}", remedy), *skipped]
    judge = build_judge(configuration, observer)
    heads = ", ".join(observer.heads) or "none"
    found = f"loaded on {observer.device}; heads: {heads}; id {observer.models_id}"
    networks = Result("networks", Status.OK, found)
    if not configuration.streams:
        found = f"none configured: each calibrates on its own first {configuration.judge.calibration_frames} frames"
        return [networks, Result("calibrations", Status.OK, found)]
    return [networks, *(_calibration(context, judge, name) for name in configuration.streams)]


def _calibration(context: Context, judge: Judge, stream_id: str) -> Result:
    settings, subject = context.configuration.streams[stream_id], f"stream {stream_id}"
    if settings.calibration is None:
        start = context.configuration.judge.calibration_frames
        return Result(subject, Status.OK, f"no file: calibrates on its own first {start} frames")
    alone = replace(context.configuration, streams={stream_id: settings})
    out = f"{stream_id}.calibration" if settings.calibration == "shipped" else settings.calibration
    remedy = f"gradwatch calibrate RECORDING --source {settings.source or stream_id} --out {shlex.quote(out)}"
    remedy += f" --config {context.path}" if context.path else ""
    try:
        calibration = load_calibrations(alone, judge)[stream_id]
    except FileNotFoundError:
        return Result(subject, Status.MISSING, f"no file at {settings.calibration}", remedy)
    except StateFormatError as error:
        return Result(subject, Status.WRONG, f"{settings.calibration} is not a calibration: {error}", remedy)
    except CalibrationMismatchError:
        return Result(subject, Status.WRONG, _mismatch(alone, judge, stream_id), remedy)
    found = f"fits; {calibration.frames} frames, {calibration.frames * calibration.interval_s:.0f} s"
    return Result(subject, Status.OK, found + (", provisional" if calibration.provisional else ""))


def _mismatch(alone: Configuration, judge: Judge, stream_id: str) -> str:
    """All differences between what the calibration of the only stream was made for and what is configured."""
    made_for = read_calibrations(alone)[stream_id].origin
    source = alone.streams[stream_id].source or stream_id
    now = judge.origin(source, (made_for.width, made_for.height))
    differences = [
        f"{MEANING.get(name, name)} (made for {getattr(made_for, name)}, is {getattr(now, name)})"
        for name in Origin.__struct_fields__
        if getattr(made_for, name) != getattr(now, name)
    ]
    return f"made for another {' and '.join(differences)}"
