"""The training commands of the sign networks: a few steps write a graph that runs, and training can be resumed."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from gradwatch.models.onnx_runtime import load_session  # noqa: E402
from gradwatch.models.training import sign_classifier, sign_detector  # noqa: E402
from gradwatch.models.training.sign_training import train  # noqa: E402
from gradwatch.models.training.training_pictures import export_crops, export_scenes, export_sign_crops  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sign of each type, one road picture, and frames and crops of one drive."""
    folder = tmp_path_factory.mktemp("pictures")
    export_sign_crops(folder, range(1))
    export_scenes(folder, [1001], frames_per_drive=2)
    export_crops(folder, [1001], frames_per_drive=4)
    road = np.random.default_rng(0).integers(0, 256, (288, 512, 3), np.uint8)
    cv2.imwrite(str(folder / "road.png"), road)
    (folder / "backgrounds.csv").write_text("file\nroad.png\n")
    return folder


def test_classifier_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    out = tmp_path / "classifier.onnx"
    options = ["--crops", folder, "--held-out", folder, "--out", out, "--steps", 1]
    monkeypatch.setattr(sys, "argv", ["sign_classifier", *map(str, options)])
    sign_classifier.main()
    assert '"drawn_8_12px_accuracy"' in capsys.readouterr().out
    session = load_session(out, "cpu")
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    logits, features, weight, bias = session.run(["logits", "features", "weight", "bias"], {"crops": crops})
    np.testing.assert_allclose(features @ weight.T + bias, logits, atol=1e-5)
    assert b"site-packages" not in out.read_bytes()


def test_detector_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    out, checkpoint = tmp_path / "detector.onnx", tmp_path / "detector.pt"
    options = ["--crops", folder, "--scenes", folder, "--held-out", folder, "--checkpoint", checkpoint, "--out", out]
    monkeypatch.setattr(sys, "argv", ["sign_detector", *map(str, options), "--steps", "1"])
    sign_detector.main()
    assert '"recall"' in capsys.readouterr().out
    assert torch.load(checkpoint, weights_only=True)["done"] == 1
    boxes, scores = load_session(out, "cpu").run(["boxes", "scores"], {"image": np.zeros((1, 288, 512, 3), np.uint8)})
    assert (boxes.shape, scores.shape) == ((1, 32, 4), (1, 32))


def trained(steps: int, monkeypatch: pytest.MonkeyPatch, checkpoint: Path | None = None, stop: int = 99) -> list[float]:
    """The weights of a small network after `steps`, or after an interruption at step `stop`."""
    monkeypatch.setattr("gradwatch.models.training.sign_training.REPORT_EVERY", 2)
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 1)

    def loss_at(step: int) -> torch.Tensor:
        if step == stop:
            raise InterruptedError
        return network(torch.from_numpy(np.random.default_rng(step).random((4, 3), np.float32))).square().mean()

    train(network, loss_at, steps=steps, peak_rate=0.1, warm_up=0.2, gradient_limit=1.0, checkpoint=checkpoint)
    return network.weight.flatten().tolist()


def test_training_resumes_at_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = trained(9, monkeypatch)
    with pytest.raises(InterruptedError):
        trained(9, monkeypatch, tmp_path / "network.pt", stop=5)
    assert torch.load(tmp_path / "network.pt", weights_only=True)["done"] == 4
    assert trained(9, monkeypatch, tmp_path / "network.pt") == unbroken
