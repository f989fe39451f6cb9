"""The closed forms against autograd and against the outputs of the authors' own code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwatch.models.gradients.head import gradtrust, head_scores, sigmoid, softmax


def random_inputs(seed, n=6, classes=14, width=32, spread=6.0, dtype=np.float64):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, spread, (n, classes)).astype(dtype)
    features = np.maximum(generator.normal(0, 1, (n, width)), 0).astype(dtype)
    expected = softmax(generator.normal(0, 3, (n, classes))).astype(dtype)
    return logits, features, expected


def autograd_norm(loss_of, logits, features, order=2):
    """|dJ/dW| of each crop by torch's autograd, one crop at a time, through z = W h + b."""
    torch = pytest.importorskip("torch")
    norms = []
    for z, h in zip(logits, features, strict=True):
        weight = torch.zeros(len(z), len(h), dtype=torch.float64, requires_grad=True)
        output = weight @ torch.from_numpy(h) + torch.from_numpy(z)  # the bias carries the logits
        loss_of(output, len(norms)).backward()
        norms.append(torch.linalg.vector_norm(weight.grad, ord=order).item())
    return np.array(norms)


@pytest.mark.parametrize("spread", [0.1, 2.0, 8.0])
def test_softmax_gradients_equal_autograd(spread):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    logits, features, expected = random_inputs(1, spread=spread)
    scores = head_scores(logits, features, expected)
    classes = logits.shape[1]
    uniform = torch.full((classes,), 1 / classes, dtype=torch.float64)
    losses = {
        "head_gradient_predicted": (lambda z, i: functional.cross_entropy(z, z.detach().argmax()), 2, 1),
        "head_gradient_uniform": (lambda z, i: functional.cross_entropy(z, uniform), 1, -1),
        "head_gradient_ones": (lambda z, i: functional.binary_cross_entropy_with_logits(z, torch.ones_like(z)), 2, 1),
        "expectancy_gradient": (lambda z, i: functional.cross_entropy(z, torch.from_numpy(expected[i])), 2, 1),
    }
    for name, (loss, order, sign) in losses.items():
        np.testing.assert_allclose(
            scores[name], sign * autograd_norm(loss, logits, features, order), rtol=1e-12, err_msg=name
        )


def test_sigmoid_gradients_equal_autograd():
    torch = pytest.importorskip("torch")
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    logits, features, expected = random_inputs(2)
    scores = head_scores(logits, features, expected, "sigmoid")
    one_hot = torch.eye(logits.shape[1], dtype=torch.float64)
    losses = {
        "head_gradient_predicted": (lambda z, i: bce(z, one_hot[z.detach().argmax()]), 2, 1),
        "head_gradient_uniform": (lambda z, i: bce(z, torch.full_like(z, 0.5)), 1, -1),
        "head_gradient_ones": (lambda z, i: bce(z, torch.ones_like(z)), 2, 1),
        "expectancy_gradient": (lambda z, i: bce(z, torch.from_numpy(expected[i])), 2, 1),
    }
    for name, (loss, order, sign) in losses.items():
        np.testing.assert_allclose(
            scores[name], sign * autograd_norm(loss, logits, features, order), rtol=1e-12, err_msg=name
        )


def test_golden_last_layer(shared):
    golden = np.load(shared / "data" / "golden" / "purview_gradtrust.npz")
    layer = list(golden["param_names"]).index("fc.weight")
    for kind, rtol in (("f64", 1e-10), ("f32", 1e-5)):
        logits, features = golden[f"z_{kind}"], golden[f"h_{kind}"]
        scores = head_scores(logits, features)
        assert gradtrust(logits).dtype == logits.dtype
        np.testing.assert_allclose(gradtrust(logits), golden[f"gradtrust_{kind}"], rtol=rtol)
        np.testing.assert_allclose(
            scores["head_gradient_ones"] ** 2, golden[f"purview_pertensor_{kind}"][:, layer], rtol=rtol
        )
        np.testing.assert_allclose(-scores["head_gradient_uniform"], golden[f"gradnorm_{kind}"], rtol=rtol)
        probabilities = np.sort(softmax(logits), axis=1)
        np.testing.assert_allclose(
            probabilities[:, -1] - probabilities[:, -2], golden[f"margin_{kind}"], rtol=rtol, atol=rtol
        )
    delta = (sigmoid(golden["z_f64"]) - 1) / golden["z_f64"].shape[1]
    gradient = delta[0, :, None] * golden["h_f64"][0, None, :]
    np.testing.assert_allclose(gradient, golden["purview_grad_fc_img0_f64"], rtol=1e-10, atol=1e-18)


def test_baselines_equal_their_definitions():
    logits, features, expected = random_inputs(3, spread=2.0)
    scores = head_scores(logits, features, expected)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(scores["msp"], 1 - probabilities.max(1), rtol=1e-12)
    np.testing.assert_allclose(scores["energy"], -np.log(np.exp(logits).sum(1)), rtol=1e-12)
    np.testing.assert_allclose(scores["feature_norm"], np.linalg.norm(features, axis=1), rtol=1e-12)
    surprisal = -np.log(probabilities[np.arange(6), expected.argmax(1)])
    np.testing.assert_allclose(scores["expectancy_surprisal"], surprisal, rtol=1e-12)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 9), spread=st.sampled_from([0.0, 1.0, 30.0, 1e4]))
def test_contract(activation, seed, n, spread):
    logits, features, expected = random_inputs(seed, n=n, spread=spread, dtype=np.float32)
    before = logits.copy(), features.copy(), expected.copy()
    scores = head_scores(logits, features, expected, activation)
    assert all(map(np.array_equal, (logits, features, expected), before)), "inputs are left as they are"
    order = np.random.default_rng(seed).permutation(n)
    permuted = head_scores(logits[order], features[order], expected[order], activation)
    for name, values in scores.items():
        assert values.shape == (n,), name
        assert values.dtype == np.float32, name
        assert np.isfinite(values).all(), name
        np.testing.assert_array_equal(values[order], permuted[name], err_msg=name)
        alone = [head_scores(logits[i : i + 1], features[i : i + 1], expected[i : i + 1], activation)[name][0]
                 for i in range(n)]  # fmt: skip
        np.testing.assert_allclose(values, alone, rtol=1e-5, atol=1e-12, err_msg=name)


def test_higher_is_more_anomalous():
    sure, unsure = np.zeros((1, 14)), np.zeros((1, 14))
    sure[0, 3] = 9.0
    unsure[0, 3:5] = 1.1, 1.0
    features = np.ones((1, 8))
    expected = softmax(sure)
    calm, odd = head_scores(sure, features, expected), head_scores(unsure, features, expected)
    for name in ("head_gradient_predicted", "msp", "energy", "head_gradient_uniform",
                 "expectancy_gradient", "expectancy_surprisal"):  # fmt: skip
        assert odd[name][0] > calm[name][0], name


def test_ones_norm_rises_as_all_logits_fall():
    logits, features, _ = random_inputs(5, spread=1.0)
    lower = head_scores(logits - 2, features)["head_gradient_ones"]
    assert (lower > head_scores(logits, features)["head_gradient_ones"]).all()


def test_expectancy_only_where_expected():
    logits, features, _ = random_inputs(4)
    assert not [name for name in head_scores(logits, features) if name.startswith("expectancy")]


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 4\)"):
        head_scores(np.zeros((2, 3)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="expected"):
        head_scores(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 4)))
