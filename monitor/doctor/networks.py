"""The networks' files, whether they load, and whether the streams' calibrations were made for them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from gradwatch.models.onnx_runtime import file_hash
from gradwatch.models.zoo import MODELS, WEIGHTS

from ..alarms.calibration import Calibration, CalibrationMismatchError, Origin
from ..config import Configuration
from ..judging.judge import Judge
from ..worker.build import build_judge, build_observer, load_calibrations, read_calibrations
from ..worker.stored_state import StateFormatError
from .findings import Finding, Scope, Status

HASHES = "SHA256SUMS"  # beside the weights, as `sha256sum` writes and reads it
REINSTALL = "pip install --force-reinstall --no-deps gradwatch"
MEANING = {
    "models_id": "weights or the section models",
    "configuration_id": "the section judge",
    "source": "source",
    "width": "width",
    "height": "height",
}


def weights(scope: Scope) -> list[Finding]:
    """Every file that the configuration needs: there, unchanged, and with its model card."""
    asked = scope.configuration.models
    folder = Path(asked.weights) if asked.weights else WEIGHTS
    wanted = {"pedestrians": asked.pedestrians, "signs": asked.signs, "classifier": asked.signs, "tiles": True}
    hashes = read_hashes(folder / HASHES)
    remedy = REINSTALL if folder == WEIGHTS else f"put the files back into {folder}"
    return [
        _weight(folder / model.file, hashes, remedy)
        if wanted[model.kind]
        else Finding(model.file, Status.OK, "not asked for", needed=False)
        for model in MODELS.values()
    ]


def _weight(path: Path, hashes: Mapping[str, str], remedy: str) -> Finding:
    if not path.is_file():
        return Finding(path.name, Status.MISSING, f"no such file in {path.parent}", remedy)
    got, expected = file_hash(path), hashes.get(path.name)
    card = "model card" if path.with_suffix(".md").is_file() else "no model card"
    size = f"{path.stat().st_size / 1e6:.1f} MB, {card}, {got[:12]}"
    if expected is None:
        return Finding(path.name, Status.UNKNOWN, f"{size}: no {HASHES} to compare with")
    if got != expected:
        return Finding(path.name, Status.WRONG, f"{size} instead of {expected[:12]}", remedy)
    return Finding(path.name, Status.OK, f"{size} as shipped")


def read_hashes(path: Path) -> dict[str, str]:
    """File name -> SHA-256 of a file as `sha256sum` writes it; empty where there is none."""
    if not path.is_file():
        return {}
    rows = (line.split(maxsplit=1) for line in path.read_text().splitlines() if line.strip())
    return {name.lstrip("*"): value for value, name in rows}


def networks_and_calibrations(scope: Scope) -> list[Finding]:
    """Loads every network as a worker would, then holds each stream's calibration file against them."""
    configuration = scope.configuration
    try:
        observer = build_observer(configuration)
    except Exception as error:
        told = f"can't be loaded: {error}"
        streams = [Finding(f"stream {name}", Status.UNKNOWN, "needs the networks") for name in configuration.streams]
        return [Finding("networks", Status.WRONG, told, "mend the weights or the device, see their rows"), *streams]
    judge = build_judge(configuration, observer)
    heads = ", ".join(observer.heads) or "none"
    networks = Finding("networks", Status.OK, f"load on {observer.device}; heads: {heads}; id {observer.models_id}")
    if not configuration.streams:
        start = configuration.judge.calibration_frames
        found = f"none is named: each calibrates on its own first {start} frames"
        return [networks, Finding("calibrations", Status.OK, found)]
    return [networks, *(_calibration(scope, judge, name) for name in configuration.streams)]


def _calibration(scope: Scope, judge: Judge, stream_id: str) -> Finding:
    settings = scope.configuration.streams[stream_id]
    subject = f"stream {stream_id}"
    if settings.calibration is None:
        start = scope.configuration.judge.calibration_frames
        return Finding(subject, Status.OK, f"no file: calibrates on its own first {start} frames")
    alone = replace(scope.configuration, streams={stream_id: settings})
    out = f"{stream_id}.calibration" if settings.calibration == "shipped" else settings.calibration
    made = f"--source {settings.source or stream_id} --out {shlex.quote(out)}"
    again = f"gradwatch calibrate RECORDING {made}{scope.options}"
    try:
        calibration = load_calibrations(alone, judge)[stream_id]
    except FileNotFoundError:
        return Finding(subject, Status.MISSING, f"no file at {settings.calibration}", again)
    except StateFormatError as error:
        return Finding(subject, Status.WRONG, f"{settings.calibration} is no calibration: {error}", again)
    except CalibrationMismatchError:
        return Finding(subject, Status.WRONG, _difference(alone, judge, stream_id), again)
    return Finding(subject, Status.OK, f"fits; {_described(calibration)}")


def _difference(alone: Configuration, judge: Judge, stream_id: str) -> str:
    """All that a calibration was made for and that is otherwise now."""
    made_for = read_calibrations(alone)[stream_id].origin
    source = alone.streams[stream_id].source or stream_id
    now = judge.origin(source, (made_for.width, made_for.height))
    fields = [field.name for field in msgspec.structs.fields(Origin)]
    differences = [
        f"{MEANING[name]} (made for {getattr(made_for, name)}, is {getattr(now, name)})"
        for name in fields
        if getattr(made_for, name) != getattr(now, name)
    ]
    return f"made for another {' and '.join(differences)}"


def _described(calibration: Calibration) -> str:
    length_s = calibration.frames * calibration.interval_s
    return f"{calibration.frames} frames, {length_s:.0f} s" + (", provisional" if calibration.provisional else "")
