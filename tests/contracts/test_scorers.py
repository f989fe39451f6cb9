"""The contract of every entry of SCORERS, on clean frames and blatant outliers drawn at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradwatch.models.gradients.head import head_scores
from gradwatch.models.outputs import NO_DETECTIONS, Observation, Tiles
from gradwatch.monitor.alarms.calibration import Calibration, Origin
from gradwatch.monitor.scorers import PEDESTRIAN_PREFIX, SCORERS, ClosedForm
from gradwatch.monitor.scorers.crops import SignScore
from gradwatch.monitor.worker.stored_state import dump, load

from ..builders import NO_TILES

CLASSES, FEATURES = 6, 16


def frame(generator, tiles=12, moved=0.0, rows=range(6)):
    """One frame whose statistics and tiles lie `moved` deviations from the clean ones; `rows` are looked at."""
    row = generator.choice(rows, tiles).astype(np.int32)
    position = np.stack([row, np.arange(tiles, dtype=np.int32)], axis=1)
    cosines = 0.3 + 0.1 * row[:, None] + 0.05 * (generator.normal(size=(tiles, 4)) - moved)
    loss = np.exp(-4 + 0.8 * row + 0.3 * (generator.normal(size=tiles) + moved))
    return Observation(
        size=(640, 480),
        detections=NO_DETECTIONS,
        heads={},
        tiles=Tiles(position, loss.astype(np.float32), cosines.astype(np.float32)),
        image_statistics=(generator.normal(size=12) + moved).astype(np.float32),
    )


def crops_of(logits, features, expected):
    """The closed forms under the names of signs and, in turn by the first and the second head, of pedestrians."""
    scores = head_scores(logits.astype(np.float32), features.astype(np.float32), expected.astype(np.float32))
    index = np.arange(len(logits), dtype=np.int32)
    signs = {name: ClosedForm(values, index, np.zeros_like(index)) for name, values in scores.items()}
    return signs | {PEDESTRIAN_PREFIX + name: ClosedForm(values, index, index % 2) for name, values in scores.items()}


def rows_of(crops, rows):
    """The closed forms of some of the crops."""
    return {
        name: ClosedForm(form.values[rows], form.detection_index[rows], form.head[rows]) for name, form in crops.items()
    }


def sure_crops(generator, count=5):
    """Closed forms of crops that the head reads surely, and as their tracks led to expect."""
    label = generator.integers(0, CLASSES, count)
    logits = 0.3 * generator.normal(size=(count, CLASSES))
    logits[np.arange(count), label] += 12
    features = np.abs(generator.normal(size=(count, FEATURES))) + 2
    return crops_of(logits, features, np.eye(CLASSES)[label])


def unsure_crop(name):
    """One crop that the head can't read (no evidence for any class), against a sure expectation.

    Gradient norms, and the feature norm as their matched baseline, rise with the features; the others are
    confidences with their sign turned, and unknown objects have weak features.
    """
    rises = ("head_gradient_predicted", "head_gradient_ones", "expectancy_gradient", "feature_norm")
    features = np.full((1, FEATURES), 4.0 if name.removeprefix(PEDESTRIAN_PREFIX) in rises else 0.3)
    return crops_of(np.full((1, CLASSES), -3.0), features, np.eye(CLASSES)[:1])


@pytest.fixture(scope="module")
def clean():
    generator = np.random.default_rng(3)
    return [frame(generator) for _ in range(120)]


@pytest.fixture(scope="module")
def clean_crops(clean):
    generator = np.random.default_rng(5)
    return [sure_crops(generator) for _ in clean]


@pytest.fixture(params=SCORERS, ids=list(SCORERS))
def name(request):
    return request.param


@pytest.fixture
def scorer(name):
    return SCORERS[name]


@pytest.fixture
def parameters(scorer, clean, clean_crops):
    return scorer.fit(clean, clean_crops)


@pytest.fixture
def seen():
    generator = np.random.default_rng(8)
    return frame(generator), sure_crops(generator)


def test_has_a_family_and_a_unit(scorer):
    assert scorer.family in {"gradient", "baseline"}
    assert scorer.unit in {"crop", "frame"}


def test_one_finite_value_per_unit(scorer, parameters, seen):
    values = scorer.score(*seen, parameters)
    assert values.shape == ((5,) if scorer.unit == "crop" else (1,))
    assert values.dtype == np.float64
    assert np.isfinite(values).all()


def test_finite_on_degenerate_frames(scorer, seen):
    frozen = [seen[0]] * 30, [seen[1]] * 30  # a camera that shows the same picture for ever
    assert np.isfinite(scorer.score(*seen, scorer.fit(*frozen))).all()
    black = replace(
        seen[0], image_statistics=np.zeros(12, np.float32), tiles=replace(seen[0].tiles, loss=np.zeros(12, np.float32))
    )
    assert np.isfinite(scorer.score(black, seen[1], scorer.fit(*frozen))).all()


def test_empty_frames_give_no_values(name, scorer, parameters, seen):
    nothing = replace(seen[0], tiles=NO_TILES)
    values = scorer.score(nothing, {}, parameters)
    expected = (1,) if name == "image_statistics" else (0,)  # every picture has statistics
    assert values.shape == expected
    no_crops = sure_crops(np.random.default_rng(0), count=0)
    assert scorer.score(nothing, no_crops, parameters).shape == expected


def test_a_stream_without_tiles_and_crops_can_be_fitted(name, scorer, clean, seen):
    bare = [replace(observation, tiles=NO_TILES) for observation in clean]
    parameters = scorer.fit(bare, [{}] * len(bare))
    values = scorer.score(*seen, parameters)  # what comes later has nothing to be compared with
    needs_none = isinstance(scorer, SignScore) or name == "image_statistics"
    assert bool(len(values)) == needs_none


def test_crops_without_the_score_are_left_out(scorer, name, parameters, seen):
    if scorer.unit == "frame":
        pytest.skip("not about crops")
    crops = seen[1] | {name: rows_of(seen[1], [0, 2, 3, 4])[name]}
    whole = scorer.score(*seen, parameters)
    np.testing.assert_array_equal(scorer.score(seen[0], crops, parameters), np.delete(whole, 1))


def test_deterministic(scorer, clean, clean_crops, seen):
    first, second = (scorer.score(*seen, scorer.fit(clean, clean_crops)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_order_of_tiles_and_crops_does_not_matter(scorer, parameters, seen):
    observation, crops = seen
    order = np.random.default_rng(1).permutation(12)
    tiles = observation.tiles
    mixed_tiles = Tiles(tiles.position[order], tiles.loss[order], tiles.grad_cosines[order])
    order = np.random.default_rng(2).permutation(5)
    mixed_crops = rows_of(crops, order)
    before = scorer.score(observation, crops, parameters)
    after = scorer.score(replace(observation, tiles=mixed_tiles), mixed_crops, parameters)
    np.testing.assert_allclose(after, before[order] if scorer.unit == "crop" else before, rtol=1e-9)


def test_frames_do_not_depend_on_each_other(scorer, parameters, seen):
    """Neither the frames scored before nor those beside it change a frame's values, nor is any frame changed."""
    before = scorer.score(*seen, parameters)
    generator = np.random.default_rng(4)
    for _ in range(5):
        scorer.score(frame(generator, moved=9), sure_crops(generator, count=3), parameters)
    np.testing.assert_array_equal(scorer.score(*seen, parameters), before)
    alone = rows_of(seen[1], [0])
    np.testing.assert_array_equal(scorer.score(seen[0], alone, parameters), before[:1])


def test_parameters_survive_storing(name, scorer, parameters, seen):
    origin = Origin("camera", "models", "configuration", 640, 480)
    stored = Calibration("id", origin, 120, 0.2, 1.0, 60.0, {name: parameters}, {}, {})
    loaded = load(dump(stored), Calibration).parameters[name]
    np.testing.assert_array_equal(scorer.score(*seen, loaded), scorer.score(*seen, parameters))


def test_higher_on_a_blatant_outlier(name, scorer, parameters):
    generator = np.random.default_rng(9)
    usual = np.concatenate([scorer.score(frame(generator), sure_crops(generator), parameters) for _ in range(60)])
    outlier = scorer.score(frame(generator, moved=8), unsure_crop(name), parameters)
    assert outlier.min() > usual.max()


def test_two_sided_where_the_score_is_a_distance(scorer, parameters):
    """Blur and darkness make pictures plainer and tiles easier to reconstruct: that must stand out as well."""
    if scorer.unit == "crop":
        pytest.skip("closed forms are one-sided")
    generator = np.random.default_rng(10)
    usual = np.concatenate([scorer.score(frame(generator), {}, parameters) for _ in range(60)])
    assert scorer.score(frame(generator, moved=-8), {}, parameters).min() > usual.max()


@pytest.mark.parametrize("rows", [[0], [2, 3], [5]], ids=str)
def test_which_rows_are_looked_at_does_not_matter(scorer, parameters, rows):
    """Sky is easier to reconstruct than trees: tiles are compared with clean ones of their own row."""
    if scorer.unit == "crop":
        pytest.skip("not about tiles")
    generator = np.random.default_rng(11)
    usual, chosen = (
        np.concatenate([scorer.score(frame(generator, rows=r), {}, parameters) for _ in range(60)])
        for r in (range(6), rows)
    )
    assert np.median(chosen) < np.quantile(usual, 0.9)
