"""The selection of tiles, and the outputs of the shipped auto-encoder."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradwatch.models.autoencoder import (
    COLUMNS,
    FRAME_SIZE,
    LEFT_PX,
    ROWS,
    TILE_PX,
    TOP_PX,
    TileAutoencoder,
    cut_tiles,
    select_tiles,
    shrink,
)
from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.zoo import MODELS


def test_grid_covers_the_frame():
    assert (ROWS, COLUMNS) == (10, 18)
    covered = np.zeros(FRAME_SIZE[::-1], bool)
    for top in TOP_PX:
        for left in LEFT_PX:
            assert covered[top : top + TILE_PX, left : left + TILE_PX].shape == (TILE_PX, TILE_PX)
            covered[top : top + TILE_PX, left : left + TILE_PX] = True
    assert covered.all()


@pytest.mark.parametrize("cycle", [0, 1, 7])
def test_twenty_frames_cover_every_tile_once(cycle):
    seen = np.concatenate([select_tiles(seq, seed=3) for seq in range(20 * cycle, 20 * cycle + 20)])
    assert len({tuple(position) for position in seen.tolist()}) == len(seen) == ROWS * COLUMNS


@pytest.mark.parametrize("per_frame", [1, 7, 9, 50, 180])
def test_every_tile_is_seen_in_a_cycle_of_any_budget(per_frame):
    frames = -(-180 // per_frame)
    seen = np.concatenate([select_tiles(seq, 0, per_frame) for seq in range(frames)])
    assert len({tuple(position) for position in seen.tolist()}) == 180


@pytest.mark.parametrize("step", [2, 3, 4, 5, 10, 20, 40])
def test_regular_dropping_starves_no_tile(step):
    """With only every `step`-th frame observed, tiles are selected about equally often in the long run."""
    counts = np.zeros((ROWS, COLUMNS), int)
    frames = 2000
    for seq in range(0, frames * step, step):
        row, column = select_tiles(seq, seed=1).T
        counts[row, column] += 1
    mean = frames * 9 / 180
    assert counts.min() > mean / 2
    assert counts.max() < mean * 2


def test_tiles_follow_from_seq_and_seed_alone():
    first = [select_tiles(seq, 5).tolist() for seq in range(100)]
    assert [select_tiles(seq, 5).tolist() for seq in reversed(range(100))] == first[::-1]
    assert [select_tiles(seq, 6).tolist() for seq in range(100)] != first


def test_impossible_number_of_tiles():
    with pytest.raises(ValueError, match="got 0"):
        select_tiles(0, 0, per_frame=0)


def test_cut_tiles():
    small = np.arange(270 * 480 * 3, dtype=np.uint32).reshape(270, 480, 3).astype(np.uint8)
    tiles = cut_tiles(small, np.array([[0, 0], [9, 17]]))
    np.testing.assert_array_equal(tiles[0], small[:28, :28])
    np.testing.assert_array_equal(tiles[1], small[-28:, -28:])


@pytest.fixture(scope="module")
def session():
    pytest.importorskip("onnxruntime")
    return load_session(MODELS["tiles"].path(), "cpu")


def test_shipped_graph_equals_torch(session):
    """The shipped graph's cosines are those of the gradient: autograd on its weights gives the same."""
    torch, onnx = pytest.importorskip("torch"), pytest.importorskip("onnx")
    from gradwatch.models.gradients.reconstruction import GradConAutoencoder

    graph = onnx.load(MODELS["tiles"].path()).graph
    arrays = {value.name: onnx.numpy_helper.to_array(value).copy() for value in graph.initializer}
    found = {name.split("autoencoder.")[1]: array for name, array in arrays.items() if "autoencoder." in name}
    autoencoder = GradConAutoencoder(3)
    autoencoder.load_state_dict({name: torch.from_numpy(array) for name, array in found.items()})
    tiles = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 3), dtype=np.uint8)
    tiles[3] = cv2.GaussianBlur(tiles[3], (0, 0), 3)
    loss, cosines, latent = session.run(["loss", "cosines", "latent"], {"tiles": tiles})
    unit_0 = next(torch.from_numpy(array) for name, array in arrays.items() if name.endswith("unit_0"))
    for i in range(4):
        x = torch.from_numpy(tiles[i : i + 1]).permute(0, 3, 1, 2) / 255
        wanted = torch.nn.functional.mse_loss(autoencoder(x), x)
        gradient = torch.autograd.grad(wanted, autoencoder.decoder_weights())[0]
        assert loss[i] == pytest.approx(wanted.item(), rel=1e-5)
        assert cosines[i, 0] == pytest.approx(
            torch.cosine_similarity(gradient.flatten(), unit_0.flatten(), 0).item(), abs=1e-5
        )
        np.testing.assert_allclose(latent[i], autoencoder.down(x).detach().numpy().ravel(), rtol=1e-4, atol=1e-5)


def test_tiles_are_independent_of_their_batch(session):
    tiles = np.random.default_rng(1).integers(0, 256, (9, 28, 28, 3), dtype=np.uint8)
    together = session.run(["loss", "cosines"], {"tiles": tiles})
    for i in range(9):
        alone = session.run(["loss", "cosines"], {"tiles": tiles[i : i + 1]})
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a[0], b[i], rtol=1e-4, atol=1e-6)


def test_black_and_white_tiles_are_finite(session):
    tiles = np.stack([np.zeros((28, 28, 3), np.uint8), np.full((28, 28, 3), 255, np.uint8)])
    assert all(np.isfinite(output).all() for output in session.run(None, {"tiles": tiles}))


def test_run_time_shapes(session):
    (tiles,) = TileAutoencoder(session, per_frame=9, seed=2)([shrink(np.zeros((540, 960, 3), np.uint8))], [4])
    assert tiles.position.shape == (9, 2)
    assert (tiles.loss.shape, tiles.grad_cosines.shape) == ((9,), (9, 4))
