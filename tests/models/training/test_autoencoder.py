"""The training command of the tile auto-encoder: its pictures, that the loss falls, and that it can be resumed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gradwatch.models.onnx_runtime import load_session  # noqa: E402
from gradwatch.models.training.autoencoder import (  # noqa: E402
    TileNetwork,
    Training,
    export,
    list_pictures,
    random_tiles,
    read_frame,
)


@pytest.fixture
def frames():
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (3, 9, 16, 3), dtype=np.uint8)
    return np.stack([cv2.resize(picture, (480, 270), interpolation=cv2.INTER_CUBIC) for picture in coarse])


def test_pictures_of_folders_and_lists(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "list").write_text(f"{tmp_path / 'elsewhere.jpg'}\n\n")
    assert [path.name for path in list_pictures([tmp_path, tmp_path / "list"])] == ["a.JPG", "b.png", "elsewhere.jpg"]
    with pytest.raises(FileNotFoundError, match="absent"):
        list_pictures([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no PNG or JPEG"):
        list_pictures([tmp_path / "empty"])


@pytest.mark.parametrize("size", [(540, 960), (480, 1024), (768, 768), (270, 480)])
def test_frame_is_cut_to_its_middle(tmp_path, size):
    picture = np.full((*size, 3), (10, 120, 240), np.uint8)  # BGR
    cv2.imwrite(str(tmp_path / "picture.png"), picture)
    frame = read_frame(tmp_path / "picture.png")
    assert frame.shape == (270, 480, 3)
    assert np.abs(frame.astype(int) - (240, 120, 10)).max() <= 4  # JPEG's rounding


def test_unreadable_picture(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"bad\.png"):
        read_frame(tmp_path / "bad.png")


def test_tiles_are_parts_of_frames(frames):
    tiles = random_tiles(frames, 40, np.random.default_rng(1))
    assert tiles.shape == (40, 3, 28, 28)
    assert tiles.min() >= 0
    assert tiles.max() <= 1
    assert torch.equal(tiles, random_tiles(frames, 40, np.random.default_rng(1)))
    assert not torch.equal(tiles, random_tiles(frames, 40, np.random.default_rng(2)))


def test_training_learns_and_resumes_at_its_checkpoint(frames, tmp_path):
    def advance(training, steps):
        return [training.advance(random_tiles(frames, 16, training.generator), 0.03)[0] for _ in range(steps)]

    whole = Training(1, 12, 1e-3)
    losses = advance(whole, 12)
    assert losses[-1] < losses[0]
    assert whole.reference.count == 12
    part = Training(1, 12, 1e-3)
    advance(part, 7)
    part.save(tmp_path / "tiles.pt")
    resumed = Training(99, 12, 1e-3)
    resumed.load(tmp_path / "tiles.pt")
    assert advance(resumed, 5) == pytest.approx(losses[7:], rel=1e-4)


def test_exported_graph_equals_the_network(frames, tmp_path):
    pytest.importorskip("onnxscript")
    training = Training(3, 2, 1e-3)
    training.advance(random_tiles(frames, 8, training.generator), 0.03)
    export(training.autoencoder, training.reference.means, tmp_path / "tiles.onnx")
    content = (tmp_path / "tiles.onnx").read_bytes()
    assert len(content) < 1.5e6
    assert b"site-packages" not in content
    session = load_session(tmp_path / "tiles.onnx", "cpu")
    network = TileNetwork(training.autoencoder, training.reference.means).eval()
    for n in (1, 5):
        tiles = np.random.default_rng(n).integers(0, 256, (n, 28, 28, 3), dtype=np.uint8)
        with torch.no_grad():
            wanted = network(torch.from_numpy(tiles))
        for got, want in zip(session.run(["loss", "cosines", "latent"], {"tiles": tiles}), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
