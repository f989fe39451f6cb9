"""The doctor's checks of weights, networks and calibrations."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from gradwatch.models.zoo import MODELS, WEIGHTS
from gradwatch.monitor.alarms.calibration import Calibration
from gradwatch.monitor.config import Configuration
from gradwatch.monitor.doctor import networks
from gradwatch.monitor.doctor.results import Context, Status
from gradwatch.monitor.worker.build import SHIPPED_CALIBRATION, build_judge, build_observer
from gradwatch.monitor.worker.stored_state import dump, load

from .builders import by_subject, context

WELL = Status.OK


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    shutil.copytree(WEIGHTS, folder)
    return folder


def test_hashes_are_those_of_the_shipped_weights() -> None:
    """After training: cd models/weights && sha256sum *.onnx > SHA256SUMS."""
    rows = by_subject(networks.weights(Context(Configuration())))
    assert set(rows) == {model.file for model in MODELS.values()}
    assert {row.status for row in rows.values()} == {WELL}
    assert set(networks.read_hashes(WEIGHTS / networks.HASHES)) == set(rows)


def test_damaged_and_missing_weights_are_found(weights: Path) -> None:
    damaged = weights / "sign_classifier.onnx"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    (weights / "tiles.onnx").unlink()
    (weights / "nanodet_m.md").unlink()
    looked_at = context(models={"weights": str(weights)})
    rows = by_subject(networks.weights(looked_at))
    assert (rows["sign_classifier.onnx"].status, rows["tiles.onnx"].status) == (Status.WRONG, Status.MISSING)
    assert str(weights) in rows["tiles.onnx"].remedy
    assert "no model card" in rows["nanodet_m.onnx"].found
    assert by_subject(networks.networks_and_calibrations(looked_at))["networks"].is_fault
    off = by_subject(networks.weights(context(models={"weights": str(weights), "signs": False})))
    assert not off["sign_classifier.onnx"].is_fault
    (weights / networks.HASHES).unlink()
    assert by_subject(networks.weights(looked_at))["sign_classifier.onnx"].status is Status.UNKNOWN


def test_weights_that_are_not_a_graph_are_wrong(weights: Path) -> None:
    (weights / "tiles.onnx").write_bytes(b"no graph")
    looked_at = context(models={"weights": str(weights)}, streams={"north": {}})
    rows = by_subject(networks.networks_and_calibrations(looked_at))
    assert rows["networks"].status is Status.WRONG
    assert rows["stream north"].status is Status.UNKNOWN


def test_calibrations_are_checked_against_models_and_configuration(tmp_path: Path) -> None:
    observer = build_observer(Configuration())
    judge = build_judge(Configuration(), observer)
    made = load(SHIPPED_CALIBRATION.read_bytes(), Calibration)
    fits = replace(made, origin=judge.origin("north", (960, 540)))
    files = {
        "north": fits,
        "east": fits,
        "south": replace(fits, origin=replace(fits.origin, models_id="old", configuration_id="older")),
    }
    for name, calibration in files.items():
        (tmp_path / name).write_bytes(dump(calibration))
    (tmp_path / "west").write_text("no calibration")
    streams = {name: {"calibration": str(tmp_path / name)} for name in (*files, "west", "nowhere")}
    streams["south"]["source"] = "north"
    looked_at = replace(context(streams=streams | {"start": {}}), path=Path("my.yaml"))
    rows = by_subject(networks.networks_and_calibrations(looked_at))
    assert rows["networks"].status is WELL
    assert (rows["stream north"].status, rows["stream start"].status) == (WELL, WELL)
    assert rows["stream east"].found == "made for another source (made for north, is east)"
    south = rows["stream south"]
    assert south.status is Status.WRONG
    assert "weights or the section models (made for old" in south.found
    assert "the section judge (made for older" in south.found
    assert south.remedy == (f"gradwatch calibrate RECORDING --source north --out {tmp_path / 'south'} --config my.yaml")
    assert rows["stream west"].status is Status.WRONG
    assert "is not a calibration" in rows["stream west"].found
    assert rows["stream nowhere"].status is Status.MISSING
