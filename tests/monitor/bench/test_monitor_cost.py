from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from gradwatch.models.autoencoder import select_tiles
from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.zoo import MODELS
from gradwatch.monitor.bench.monitor_cost import BARS, bench, bench_report, figure_rows, plain_autoencoder
from gradwatch.monitor.bench.monitored_drive import CROPS, PARTS, TILES_PER_FRAME
from gradwatch.monitor.evaluate.reports import Figures


@pytest.fixture(scope="module")
def figures() -> Figures:
    """One short run; every figure is measured, none of them precisely."""
    return bench(rounds=2, frames=100, repetitions=2, sizes={"monitor": (480, 270)})


def test_every_figure_is_a_spread(figures: Figures) -> None:
    pytest.importorskip("onnx")
    wanted = [*BARS, "head_us_1", "classifier_ms_1", "classifier_ms_8", "monitor_ms", "reference_ms"]
    for name in wanted:
        assert 0 < figures[name]["min"] <= figures[name]["median"] <= figures[name]["max"], name
    assert figures["notes"] == {}
    msgspec.json.encode(figures)


def test_ratios_are_of_the_figures_that_they_name(figures: Figures) -> None:
    slowest, fastest = figures["monitor_ms"]["max"], figures["reference_ms"]["min"]
    assert figures["monitor_ratio"]["max"] <= slowest / fastest
    assert figures["head_ratio_8"]["min"] > 1


def test_parts_make_up_the_frame(figures: Figures) -> None:
    parts = figures["monitor_parts_ms"]
    assert tuple(parts) == PARTS
    assert sum(part["median"] for part in parts.values()) == pytest.approx(figures["monitor_ms"]["median"], rel=0.5)


def test_every_frame_has_at_least_two_crops(figures: Figures) -> None:
    assert figures["crops_per_frame"]["min"] >= 2
    assert figures["crops_per_frame"]["max"] <= CROPS


def test_tiles_cover_the_frame_every_twenty_frames() -> None:
    seen = {tuple(place) for seq in range(20) for place in select_tiles(seq, 0, TILES_PER_FRAME)}
    assert len(seen) == 180


def test_plain_autoencoder_has_the_weights_of_the_shipped_one(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path = MODELS["tiles"].path()
    tiles = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
    with plain_autoencoder(path) as (plain, reason):
        assert reason == ""
        assert [output.name for output in plain.get_outputs()] == ["loss"]
        (loss,) = plain.run(None, {"tiles": tiles})
    (whole,) = load_session(path, "cpu", 1).run(["loss"], {"tiles": tiles})
    np.testing.assert_allclose(loss, whole, rtol=1e-5)


def test_missing_figure_is_reported_with_its_reason() -> None:
    spread = {"min": 1.0, "median": 2.0, "max": 3.0}
    figures = {
        "head_us_8": spread,
        "gradcon_ratio": None,
        "monitor_parts_ms": {"judge": spread},
        "rounds": 5,
        "notes": {"gradcon_ratio": "no onnx here"},
    }
    assert figure_rows(figures) == [
        ["head_us_8", "1", "2", "3", "<= 80"],
        ["gradcon_ratio", "-", "-", "-", "<= 4"],
        ["  monitor: judge, ms", "1", "2", "3", ""],
    ]
    report = bench_report(figures, "gradwatch bench --rounds 5")
    assert "no onnx here" in report
    assert "gradwatch bench --rounds 5" in report


def test_too_few_rounds_or_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and 120"):
        bench(rounds=0)
    with pytest.raises(ValueError, match="got 5 and 10"):
        bench(frames=10)
