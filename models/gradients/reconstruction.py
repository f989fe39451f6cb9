"""GradCon: an auto-encoder whose weight gradients measure how much a picture differs from its training pictures.

Kwon, Prabhushankar, Temel, AlRegib: "Backpropagated Gradient Representation for Anomaly Detection", ECCV 2020.
Needs torch, for training and export. At run time `models.autoencoder` runs the exported graph without torch.

Notation: decoder layer i = 1..4 is o_i = ConvT(h_{i-1}; W_i, b_i), h_i = ReLU(o_i), and h_4 = sigmoid(o_4).
g_i = dL/dW_i for one picture, r_i = the mean of that gradient over training, cos_i = <g_i, r_i> / (|g_i| |r_i|).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TILE_PX = 28
# (in, out, padding) of the four ConvTranspose2d with kernel 4, stride 2; the last has the picture's channels.
DECODER = ((64, 64, 2), (64, 32, 1), (32, 32, 2), (32, 0, 1))
LAYERS = len(DECODER)
GRAM_LAYERS = 2  # first layers, with so few positions that |g| is cheaper without g
EPS = 1e-8  # the floor of each norm in a cosine, as in torch


class GradConAutoencoder(nn.Module):
    """The paper's auto-encoder: (B, C, 28, 28) in [0, 1] -> latent (B, 64, 3, 3) -> (B, C, 28, 28) in (0, 1).

    Four convolutions down (28 -> 15 -> 8 -> 5 -> 3) and four transposed ones up (3 -> 4 -> 8 -> 14 -> 28),
    kernel 4, stride 2; 232,771 parameters for three channels.
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        down: list[nn.Module] = []
        for c_in, c_out in ((in_channels, 32), (32, 32), (32, 64), (64, 64)):
            down += [nn.Conv2d(c_in, c_out, 4, stride=2, padding=2), nn.ReLU()]
        up: list[nn.Module] = []
        for c_in, c_out, padding in DECODER:
            up += [nn.ConvTranspose2d(c_in, c_out or in_channels, 4, stride=2, padding=padding), nn.ReLU()]
        up[-1] = nn.Sigmoid()
        self.down = nn.Sequential(*down)
        self.up = nn.Sequential(*up)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction (B, C, 28, 28) of x (B, C, 28, 28)."""
        reconstruction: Tensor = self.up(self.down(x))
        return reconstruction

    def decoder_weights(self) -> list[Tensor]:
        """W_1 … W_4, each (in, out, 4, 4)."""
        return [self.up[2 * i].get_parameter("weight") for i in range(LAYERS)]


class GradientReference:
    """The running mean r_i of the decoder's gradients over all training steps; starts empty.

    As in the authors' code, the mean is that of the gradient of the total loss, including its second-order part.
    """

    def __init__(self, means: Sequence[Tensor] = (), count: int = 0) -> None:
        self.means = [mean.detach().clone() for mean in means]
        self.count = count

    def update(self, gradients: Sequence[Tensor]) -> None:
        """Adds the gradients of one step, shaped as the decoder's weights, to the mean."""
        if not self.means:
            self.means = [torch.zeros_like(gradient) for gradient in gradients]
        self.count += 1
        for mean, gradient in zip(self.means, gradients, strict=True):
            mean.lerp_(gradient.detach(), 1 / self.count)


def gradcon_loss(
    autoencoder: GradConAutoencoder, x: Tensor, reference: GradientReference, alpha: float = 0.03
) -> tuple[Tensor, Tensor, Tensor]:
    """Training loss L - alpha * mean_i cos(g_i, r_i) of a batch x (B, C, 28, 28), equation 5 of the paper.

    Returns (total, L, -mean cos), scalars. `total.backward()` differentiates through g_i; afterwards pass the
    decoder's `weight.grad` to `reference.update`. The cosine part is 0 while the reference is empty.
    """
    loss = F.mse_loss(autoencoder(x), x)
    if not reference.count:
        return loss, loss, torch.zeros_like(loss)
    gradients = torch.autograd.grad(loss, autoencoder.decoder_weights(), create_graph=True)
    cosines = [
        F.cosine_similarity(g.flatten(), r.flatten(), dim=0, eps=EPS)
        for g, r in zip(gradients, reference.means, strict=True)
    ]
    gradient_loss = -torch.stack(cosines).mean()
    return loss + alpha * gradient_loss, loss, gradient_loss


def patch_index(rows: int, columns: int) -> Tensor:
    """Index for `patches`: the pairs of pixels in each 4x4 window at stride 2, numbered through the padded picture.

    (rows * columns * 8,) int64 in the order (row, column, ky, kx // 2).
    """
    pairs_per_row = columns + 1
    top = 2 * torch.arange(rows).reshape(-1, 1, 1, 1) + torch.arange(4).reshape(1, 1, 4, 1)
    pair = torch.arange(columns).reshape(1, -1, 1, 1) + torch.arange(2).reshape(1, 1, 1, 2)
    return (top * pairs_per_row + pair).flatten()


def patches(delta: Tensor, padding: int, index: Tensor) -> Tensor:
    """The 4x4 windows at stride 2 of delta (B, C, 2H, 2W) -> (B, L, 16 C), channel order (ky, kx, C).

    The same as torch's unfold, which ONNX lacks. Every window begins at an even pixel of the padded picture, so a
    gather of pairs of pixels with all their channels is possible, which was the fastest of all measured ways.
    """
    batch, channels = delta.shape[:2]
    padded = F.pad(delta, (padding, padding, padding, padding)).permute(0, 2, 3, 1)
    pairs = padded.reshape(batch, -1, 2 * channels)
    return pairs.index_select(1, index).reshape(batch, len(index) // 8, 16 * channels)


class GradConForward(nn.Module):
    """GradCon's loss and cosines of every picture of a batch, by convolutions and products alone.

    Exact: the gradient of a transposed convolution's weight is a product of its input with the patches of the error
    behind it,
        delta_4 = (2/n)(h_4 - x) h_4 (1 - h_4),      delta_{i-1} = conv(delta_i, W_i) 1[h_{i-1} > 0],
        g_i = h_{i-1} patches(delta_i)^T,            <g_i, r_i> = sum h_{i-1} * conv(delta_i, r_i),
    so it needs no autograd, keeps pictures independent, and exports to ONNX. With few positions (layers 1 and 2)
    |g|^2 = sum (h^T h) * (patches^T patches) is cheaper than g itself.
    """

    def __init__(self, autoencoder: GradConAutoencoder, reference: Sequence[Tensor]) -> None:
        super().__init__()
        if [tuple(r.shape) for r in reference] != [tuple(w.shape) for w in autoencoder.decoder_weights()]:
            raise ValueError(f"expected a reference shaped as the decoder, got {[tuple(r.shape) for r in reference]}")
        self.autoencoder = autoencoder
        for i, (r, side) in enumerate(zip(reference, (3, 4, 8, 14), strict=True)):
            unit = r.detach() / r.detach().norm().clamp_min(EPS)
            if i >= GRAM_LAYERS:  # in the memory order of products with `patches`: (in, ky, kx, out)
                unit = unit.permute(0, 2, 3, 1).reshape(1, -1, 1).contiguous()
            self.register_buffer(f"unit_{i}", unit)
            self.register_buffer(f"index_{i}", patch_index(side, side))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, C, 28, 28) in [0, 1] -> loss (B,), cosines (B, 4), latent (B, 576)."""
        autoencoder = self.autoencoder
        hidden: list[Tensor] = [autoencoder.down(x)]
        for i in range(LAYERS):
            hidden.append(autoencoder.up[2 * i + 1](autoencoder.up[2 * i](hidden[-1])))
        output = hidden.pop()
        error = output - x
        loss = (error * error).flatten(1).mean(1)
        delta = error * output * (1 - output) * (2.0 / x[0].numel())
        cosines: list[Tensor] = []
        for i in reversed(range(LAYERS)):
            dot, norm, below = self.layer(i, hidden[i], delta)
            cosines.append(dot / norm.clamp_min(EPS))
            if i:
                delta = torch.where(hidden[i] > 0, below, 0.0)
        return loss, torch.stack(cosines[::-1], 1), hidden[0].flatten(1)

    def layer(self, i: int, h: Tensor, delta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """<g, r / |r|> (B,), |g| (B,) and conv(delta, W) of decoder layer i + 1 with input h (B, in, H, W)."""
        weight, unit = self.autoencoder.decoder_weights()[i], getattr(self, f"unit_{i}")
        padding, channels = DECODER[i][2], h.shape[1]
        u, flat = patches(delta, padding, getattr(self, f"index_{i}")), h.flatten(2)
        if i >= GRAM_LAYERS:
            below = F.conv2d(delta, weight, stride=2, padding=padding)
            gradient = (flat @ u).flatten(1)
            return (gradient.unsqueeze(1) @ unit).flatten(), gradient.norm(dim=1), below
        # One convolution computes the error below and the numerator; layer 1 needs no error below.
        kernel = torch.cat([weight, unit]) if i else unit
        below = F.conv2d(delta, kernel, stride=2, padding=padding)
        dot = (below[:, -channels:] * h).sum((1, 2, 3))
        square = ((flat.mT @ flat) * (u @ u.mT)).sum((1, 2))
        return dot, square.clamp_min(0).sqrt(), below[:, :channels]
