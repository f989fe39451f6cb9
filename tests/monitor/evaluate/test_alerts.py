"""The evaluation's own arithmetic: a wrong metric would not be noticed otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.monitor.evaluate import alerts, drives, store
from gradwatch.monitor.evaluate.alerts import ChallengedDrive
from gradwatch.monitor.evaluate.expectancy import swapped_drive
from gradwatch.monitor.evaluate.metrics import auroc
from gradwatch.monitor.judging.offline import offline_stamp
from gradwatch.streams.challenges import optics
from gradwatch.streams.wire import pixels
from gradwatch.streams.world import people

SEEDS = (drives.CALIBRATION_SEEDS, drives.CLEAN_SEEDS, drives.CHALLENGE_SEEDS, drives.SWAP_SEEDS)


def test_no_seed_serves_two_purposes():
    together = [seed for seeds in SEEDS for seed in seeds]
    assert len(set(together)) == len(together)
    assert all(2000 <= seed < 3000 for seed in drives.CALIBRATION_SEEDS)
    assert all(3000 <= seed < 4000 for seeds in SEEDS[1:] for seed in seeds)


def test_every_purpose_sees_every_setting():
    for seeds in SEEDS:
        assert {drives.setting_of(seed) for seed in seeds} == {"motorway", "town", "country"}


def test_every_unit_has_a_file_of_its_own():
    units = [unit for units in alerts.units().values() for unit in units]
    assert len({unit.name for unit in units}) == len(units)


def test_pictures_id_covers_the_code_that_draws(monkeypatch):
    hashed = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: hashed.append(path.resolve()) or read(path))
    assert len(drives.pictures_id()) == 8
    assert {Path(module.__file__).resolve() for module in (optics, people, pixels)} <= set(hashed)


values = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@given(values, values)
def test_auroc_is_the_share_of_ordered_pairs(clean, anomalous):
    pairs = [(a > c) + 0.5 * (a == c) for a in anomalous for c in clean]
    assert auroc(np.array(clean, float), np.array(anomalous, float)) == pytest.approx(np.mean(pairs))


def test_auroc_without_values_is_not_a_number():
    assert np.isnan(auroc(np.empty(0), np.ones(3)))


def test_stored_observations_come_back(tmp_path, observations, crops_added):
    made = observations(3, seed=1)
    made[1] = crops_added(made[1], np.eye(14)[:2], np.ones((2, 8)), np.array([[1, 2, 30, 40], [5, 5, 9, 9]]))
    stamps = [offline_stamp("drive", seq, seq * 10) for seq in range(3)]
    store.save(tmp_path / "a.frames", zip(stamps, made, strict=True))
    loaded = store.load(tmp_path / "a.frames", "drive")
    assert [stamp for stamp, _ in loaded] == stamps
    back = [observation for _, observation in loaded]
    np.testing.assert_array_equal(back[2].image_statistics, made[2].image_statistics)
    np.testing.assert_array_equal(back[1].heads["signs"].logits, np.eye(14, dtype=np.float32)[:2])
    np.testing.assert_array_equal(back[0].tiles.grad_cosines, made[0].tiles.grad_cosines)
    assert [path.name for path in tmp_path.iterdir()] == ["a.frames"]


def test_late_and_missing_alerts_are_not_detections():
    delays = [0, 8, 20, 21, None]
    results = [
        ChallengedDrive(seed, challenge, level, delay, False, [])
        for challenge in drives.CHALLENGES
        for level in drives.LEVELS
        for seed, delay in enumerate(delays)
    ]
    cell = alerts.detection(results)["rain"]["5"]
    assert cell == {"share": 0.6, "median": 20.0, "worst": None}


def test_a_swap_gives_another_label_to_a_sign_that_stays_in_view():
    mine = swapped_drive(drives.SWAP_SEEDS[0])
    drive = drives.drive_of(mine.unit.seed, swap=mine.swap)

    def label(seq):
        return next(box.label for box in drive.truth(seq) if (box.kind, box.identity) == ("sign", mine.swap.identity))

    assert label(mine.swap.at_seq - 1) != mine.swap.label == label(mine.swap.at_seq)
    assert mine.unit.first < mine.swap.at_seq < mine.unit.last
