"""Scores of pedestrians: each stride is standardized by its own clean crops."""

from __future__ import annotations

import numpy as np
import pytest

from gradwatch.monitor.alarms.p_values import p_value, reference
from gradwatch.monitor.scorers import SCORERS
from gradwatch.monitor.scorers.crops import MIN_HEAD_CROPS, PedestrianScore

from ...builders import closed_form

NAME = "pedestrian_head_gradient_predicted"
SCORER = SCORERS[NAME]
SCALE, OFFSET = np.array([1.0, 1.0, 4.0, 0.2]), np.array([0.0, 5.0, 30.0, -2.0])


def crops(values, heads, name=NAME):
    return {name: closed_form(values, heads)}


def people(generator, count, heads=(1, 2, 3), surprise=0.0):
    """`count` crops; at every head the same Gaussian, `surprise` deviations up, in that head's own unit."""
    head = generator.choice(heads, count)
    return crops(OFFSET[head] + SCALE[head] * (generator.normal(size=count) + surprise), head)


@pytest.fixture(scope="module")
def parameters():
    generator = np.random.default_rng(0)
    return SCORER.fit([], [people(generator, 5) for _ in range(300)])


def score(seen, parameters):
    return SCORER.score(None, seen, parameters)


def test_the_scale_of_a_head_does_not_matter(parameters):
    deviations = np.array([-1.0, 0.0, 3.0])
    same = [score(crops(OFFSET[h] + SCALE[h] * deviations, [h] * 3), parameters) for h in (1, 2, 3)]
    for values in same:
        np.testing.assert_allclose(values, deviations, atol=0.25)


def test_by_hand():
    values = np.concatenate([np.arange(21.0), 100 + 2 * np.arange(21.0)])
    heads = np.repeat([1, 2], 21)
    parameters = SCORER.fit([], [crops(values, heads)])
    np.testing.assert_allclose(parameters["centre"][1:3], [10, 120])
    np.testing.assert_allclose(parameters["spread"][1:3], [5 * 1.4826, 10 * 1.4826])
    assert score(crops([10.0], [1]), parameters) == pytest.approx([0.0])
    assert score(crops([120.0 + parameters["spread"][2]], [2]), parameters) == pytest.approx([1.0])


def test_p_values_of_clean_people_are_even_at_every_stride(parameters):
    """Pooled as they come, the stride with the small unit could never be unusual."""
    generator = np.random.default_rng(1)
    clean = [people(generator, 5) for _ in range(400)]
    standard = reference(np.concatenate([score(seen, parameters) for seen in clean]))
    raw = reference(np.concatenate([seen[NAME].values for seen in clean]).astype(np.float64))
    for head in (1, 2, 3):
        odd = people(generator, 400, heads=[head], surprise=4.0)
        usual = people(generator, 400, heads=[head])
        assert np.mean(p_value(score(usual, parameters), standard) <= 0.1) == pytest.approx(0.1, abs=0.05)
        assert np.mean(p_value(score(odd, parameters), standard) <= 0.01) > 0.9
    assert np.mean(p_value(odd[NAME].values.astype(np.float64), raw) <= 0.5) == 0.0


def test_a_stride_with_few_crops_is_standardized_by_all(parameters):
    generator = np.random.default_rng(2)
    few = MIN_HEAD_CROPS - 1
    clean = [people(generator, 60, heads=(1, 2)), crops(OFFSET[3] + np.zeros(few), [3] * few)]
    fitted = SCORER.fit([], clean)
    for number in (3, 7):  # hardly seen, and never
        np.testing.assert_array_equal(
            score(crops([1.0, 2.0], [number] * 2), fitted),
            (np.array([1.0, 2.0]) - fitted["centre"][-1]) / fitted["spread"][-1],
        )


def test_false_boxes_among_the_clean_ones_hardly_change_the_fit(parameters):
    generator = np.random.default_rng(0)
    tainted = [people(generator, 5) for _ in range(300)]
    tainted += [people(generator, 5, surprise=30.0) for _ in range(30)]
    fitted = SCORER.fit([], tainted)
    np.testing.assert_allclose(fitted["centre"][1:4], parameters["centre"][1:4], atol=1.0)
    np.testing.assert_allclose(fitted["spread"][1:4], parameters["spread"][1:4], rtol=0.35)


@pytest.mark.parametrize("clean", [[], [{}] * 50, [crops([], [])]], ids=str)
def test_too_few_clean_people_give_no_score(clean):
    assert SCORER.fit([], clean) == {}
    assert score(crops([1.0], [1]), {}).shape == (0,)


def test_no_pedestrian_is_legal(parameters):
    assert score({}, parameters).shape == (0,)
    assert score(crops([], []), parameters).shape == (0,)


def test_every_closed_form_exists_for_signs_and_pedestrians():
    signs = {name for name, scorer in SCORERS.items() if scorer.unit == "crop" and not name.startswith("pedestrian_")}
    twins = {name: scorer for name, scorer in SCORERS.items() if isinstance(scorer, PedestrianScore)}
    assert {f"pedestrian_{name}" for name in signs} == set(twins)
    for name in signs:
        assert twins[f"pedestrian_{name}"].family == SCORERS[name].family
