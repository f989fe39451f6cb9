"""GradCon's forward form against autograd and against the outputs of the authors' own code."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gradwatch.models.gradients.reconstruction import (  # noqa: E402
    LAYERS,
    GradConAutoencoder,
    GradConForward,
    GradientReference,
    gradcon_loss,
    patch_index,
    patches,
)


def golden_network(golden, channels, dtype):
    autoencoder = GradConAutoencoder(channels).to(dtype)
    weights = {name[2:]: torch.from_numpy(golden[name]).to(dtype) for name in golden if name.startswith("w/")}
    autoencoder.load_state_dict(weights)
    return autoencoder, [torch.from_numpy(golden[f"ref/{i}"]).to(dtype) for i in range(LAYERS)]


def random_network(channels=3, seed=0):
    torch.manual_seed(seed)
    autoencoder = GradConAutoencoder(channels).double()
    reference = [torch.randn_like(weight) for weight in autoencoder.decoder_weights()]
    return autoencoder, reference, torch.rand(5, channels, 28, 28, dtype=torch.float64)


def by_autograd(autoencoder, reference, x):
    """Loss and cosines one picture at a time, as the paper computes them."""
    losses, cosines = [], []
    for picture in x:
        loss = torch.nn.functional.mse_loss(autoencoder(picture[None]), picture[None])
        gradients = torch.autograd.grad(loss, autoencoder.decoder_weights())
        losses.append(loss.detach())
        cosines.append(
            torch.stack([torch.cosine_similarity(g.flatten(), r.flatten(), 0, 1e-8)
                         for g, r in zip(gradients, reference, strict=True)])
        )  # fmt: skip
    return torch.stack(losses), torch.stack(cosines)


@pytest.mark.parametrize("channels", [1, 3])
def test_forward_form_equals_autograd(channels):
    autoencoder, reference, x = random_network(channels)
    loss, cosines, latent = GradConForward(autoencoder, reference)(x)
    wanted_loss, wanted_cosines = by_autograd(autoencoder, reference, x)
    torch.testing.assert_close(loss.detach(), wanted_loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(cosines.detach(), wanted_cosines, rtol=1e-9, atol=1e-14)
    assert latent.shape == (5, 576)


def test_pictures_are_independent():
    autoencoder, reference, x = random_network()
    forward = GradConForward(autoencoder, reference)
    together = forward(x)[1]
    alone = torch.cat([forward(picture[None])[1] for picture in x])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "rtol"), [("f64", 1e-10), ("f32", 1e-5)])
def test_golden_scores(shared, channels, kind, rtol):
    golden = np.load(shared / "data" / "golden" / f"gradcon_ch{channels}.npz")
    dtype = torch.float64 if kind == "f64" else torch.float32
    autoencoder, reference = golden_network(golden, channels, dtype)
    x = torch.from_numpy(golden["x"]).to(dtype)
    with torch.no_grad():
        loss, cosines, _ = GradConForward(autoencoder, reference)(x)
        reconstruction = autoencoder(x)
    np.testing.assert_allclose(loss, golden[f"L_{kind}"], rtol=rtol)
    # A cosine is a sum that cancels: in float32 the small ones are right to 1e-5 of the largest possible, 1.
    np.testing.assert_allclose(cosines, golden[f"cos_{kind}"], rtol=rtol, atol=1e-6 if kind == "f32" else 0)
    score = -loss + 0.12 * cosines.mean(1)
    np.testing.assert_allclose(score, golden[f"score_{kind}"], rtol=rtol, atol=1e-6 if kind == "f32" else 0)
    if kind == "f64":
        np.testing.assert_allclose(reconstruction, golden["xhat_f64"], rtol=rtol)


def test_golden_training_step(shared):
    golden = np.load(shared / "data" / "golden" / "gradcon_ch1.npz")
    autoencoder, means = golden_network(golden, 1, torch.float64)
    reference = GradientReference(means, int(golden["ref_count"]))
    losses = gradcon_loss(autoencoder, torch.from_numpy(golden["step_x"]).double(), reference, alpha=0.03)
    losses[0].backward()
    np.testing.assert_allclose([part.item() for part in losses], golden["step_losses_f64"], rtol=1e-10)
    gradients = [weight.grad for weight in autoencoder.decoder_weights()]
    np.testing.assert_allclose([g.norm().item() for g in gradients], golden["step_totalgrad_norm_f64"], rtol=1e-10)
    np.testing.assert_allclose(gradients[3], golden["step_totalgrad3_f64"], rtol=1e-9, atol=1e-14)
    reference.update(gradients)
    np.testing.assert_allclose(
        [mean.norm().item() for mean in reference.means], golden["step_refnew_norm_f64"], rtol=1e-10
    )


@pytest.mark.parametrize("padding", [1, 2])
def test_patches_are_unfold(padding):
    delta = torch.randn(2, 3, 8, 8)
    side = (8 + 2 * padding - 4) // 2 + 1
    got = patches(delta, padding, patch_index(side, side)).reshape(2, side * side, 4, 4, 3)
    wanted = torch.nn.functional.unfold(delta, 4, padding=padding, stride=2).reshape(2, 3, 4, 4, side * side)
    torch.testing.assert_close(got, wanted.permute(0, 4, 2, 3, 1), rtol=0, atol=0)


def test_runtime_leaves_the_network_alone():
    autoencoder, reference, x = random_network()
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    with torch.no_grad():
        GradConForward(autoencoder, reference)(x)
    for name, parameter in autoencoder.named_parameters():
        assert parameter.grad is None
        assert parameter.requires_grad
        torch.testing.assert_close(parameter.detach(), before[name], rtol=0, atol=0)


def test_black_and_white_are_finite():
    autoencoder, reference, _ = random_network()
    x = torch.stack([torch.zeros(3, 28, 28), torch.ones(3, 28, 28)])
    autoencoder = autoencoder.float()
    outputs = GradConForward(autoencoder, [r.float() for r in reference])(x)
    assert all(torch.isfinite(output).all() for output in outputs)


def test_reference_is_a_running_mean():
    reference = GradientReference()
    steps = [[torch.randn(3, 2)] for _ in range(5)]
    for step in steps:
        reference.update(step)
    torch.testing.assert_close(reference.means[0], torch.stack([step[0] for step in steps]).mean(0))


def test_reference_of_another_shape():
    with pytest.raises(ValueError, match="shaped as the decoder"):
        GradConForward(GradConAutoencoder(3), [torch.zeros(1)] * LAYERS)
