"""The contract of `observe`: deterministic, independent of order and batch, any picture legal."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from gradwatch.models.image_statistics import STATISTICS
from gradwatch.models.observe import SIGNS, Observer, ObserverSettings
from gradwatch.models.zoo import MODELS


@pytest.fixture(scope="module", params=[False, True])
def observer(request):
    # A low threshold, so that pictures of nothing in particular have signs to classify.
    return Observer(ObserverSettings(signs=request.param, sign_score=0.02), "cpu")


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(7)
    pictures = []
    for height, width in ((540, 960), (360, 640), (576, 768)):
        picture = np.full((height, width, 3), 120, np.uint8)
        for _ in range(30):
            center = int(generator.integers(width)), int(generator.integers(height))
            cv2.circle(picture, center, int(generator.integers(6, 40)), generator.integers(0, 255, 3).tolist(), -1)
            cv2.circle(picture, center, int(generator.integers(6, 40)), (200, 0, 0), 4)
        pictures.append(picture)
    return pictures


def content(observation):
    """Everything but the latencies, as bytes."""
    heads = {name: (head.detection_index.tobytes(), head.logits.tobytes(), head.features.tobytes())
             for name, head in observation.heads.items()}  # fmt: skip
    tiles, found = observation.tiles, observation.detections
    arrays = (tiles.position, tiles.loss, tiles.grad_cosines, found.xyxy, found.score, found.class_id)
    return observation.size, heads, [array.tobytes() for array in arrays], observation.image_statistics.tobytes()


def test_deterministic_and_independent_of_order_and_batch(observer, images):
    seqs = [3, 50, 4]
    together = [content(observation) for observation in observer.observe(images, seqs)]
    backwards = [content(observation) for observation in observer.observe(images[::-1], seqs[::-1])]
    assert backwards[::-1] == together
    alone = [content(observer.observe([image], [seq])[0]) for image, seq in zip(images, seqs, strict=True)]
    assert alone == together


def test_pictures_are_not_changed(observer, images):
    before = [image.copy() for image in images]
    observer.observe(images, [0, 1, 2])
    assert all(map(np.array_equal, images, before))


def test_shapes(observer, images):
    (observation,) = observer.observe(images[:1], [0])
    n = len(observation.detections)
    assert observation.size == (960, 540)
    assert observation.detections.xyxy.shape == (n, 4)
    assert observation.image_statistics.shape == (len(STATISTICS),)
    assert observation.tiles.loss.shape == (observer.settings.tiles_per_frame,)
    assert set(observation.heads) == set(observer.heads)
    assert set(observation.latency_ms) == {"pedestrians", "signs", "classifier", "tiles", "image_statistics"}
    for name, head in observer.heads.items():
        outputs = observation.heads[name]
        k = len(outputs.detection_index)
        assert outputs.logits.shape == (k, len(head.classes))
        assert outputs.features.shape == (k, head.weight.shape[1])
        assert k <= observer.settings.sign_crops
        # What the closed forms rely on: the logits are the head's, of these features.
        np.testing.assert_allclose(outputs.features @ head.weight.T + head.bias, outputs.logits, rtol=1e-3, atol=1e-3)
        assert (observation.detections.class_id[outputs.detection_index] == 0).all()


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("size", [(540, 960), (1, 1), (31, 500)])
def test_any_picture_is_legal(observer, level, size):
    (observation,) = observer.observe([np.full((*size, 3), level, np.uint8)], [0])
    assert np.isfinite(observation.image_statistics).all()
    assert np.isfinite(observation.tiles.loss).all()
    assert np.isfinite(observation.tiles.grad_cosines).all()


def test_no_pictures(observer):
    assert observer.observe([], []) == []


@pytest.mark.parametrize("wrong", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)])
def test_other_arrays_are_refused(observer, wrong):
    with pytest.raises(ValueError, match="picture 9"):
        observer.observe([wrong], [9])


def test_one_seq_for_each_picture(observer, images):
    with pytest.raises(ValueError, match="3 pictures and 1 seqs"):
        observer.observe(images, [0])


def test_models_id_depends_on_settings_and_not_on_paths(tmp_path):
    settings = ObserverSettings(signs=False)
    here = Observer(settings, "cpu").models_id
    for name in ("nanodet_m", "tiles"):
        (tmp_path / MODELS[name].file).write_bytes(MODELS[name].path().read_bytes())
    moved = msgspec.structs.replace(settings, weights=str(tmp_path))
    assert Observer(moved, "cpu").models_id == here
    assert Observer(msgspec.structs.replace(settings, tile_seed=1), "cpu").models_id != here
    assert Observer(msgspec.structs.replace(settings, pedestrians=False), "cpu").models_id != here


def test_missing_weights_are_an_error_unless_switched_off(tmp_path):
    (tmp_path / "tiles.onnx").write_bytes(MODELS["tiles"].path().read_bytes())
    with pytest.raises(FileNotFoundError, match=r"nanodet_m\.onnx"):
        Observer(ObserverSettings(weights=str(tmp_path)), "cpu")
    with pytest.raises(FileNotFoundError, match=r"sign_detector\.onnx"):
        Observer(ObserverSettings(weights=str(tmp_path), pedestrians=False), "cpu")
    observer = Observer(ObserverSettings(weights=str(tmp_path), pedestrians=False, signs=False), "cpu")
    (observation,) = observer.observe([np.zeros((9, 9, 3), np.uint8)], [0])
    assert len(observation.detections) == 0
    assert SIGNS not in observation.heads


def test_unknown_setting_is_an_error():
    with pytest.raises(msgspec.ValidationError, match="tiles_a_frame"):
        msgspec.convert({"tiles_a_frame": 9}, ObserverSettings)


def test_a_batch_equals_single_pictures(observer, images):
    """As on a GPU: classifier and tiles run once for all pictures; only the last bits of the cosines may differ."""
    pictures, seqs = [*images, np.zeros((270, 480, 3), np.uint8)], [3, 50, 4, 9]
    alone = observer.observe(pictures, seqs)
    observer.batched = True
    try:
        together = observer.observe(pictures, seqs)
    finally:
        observer.batched = False
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.tiles.grad_cosines, other.tiles.grad_cosines, atol=1e-6, rtol=0)
        other.tiles.grad_cosines[:] = one.tiles.grad_cosines
        assert content(one) == content(other)
        assert list(one.latency_ms) == list(other.latency_ms)


def test_every_person_has_logits_and_features_of_one_head(images):
    observer = Observer(ObserverSettings(signs=False, pedestrian_score=0.01), "cpu")
    assert [head.kind for head in observer.heads.values()] == ["pedestrian"] * 3
    for observation in observer.observe(images, [0, 1, 2]):
        found = [outputs.detection_index for outputs in observation.heads.values()]
        assert sorted(np.concatenate(found)) == list(range(len(observation.detections)))
        for name, outputs in observation.heads.items():
            head = observer.heads[name]
            again = outputs.features @ head.weight.T + head.bias
            np.testing.assert_allclose(again, outputs.logits, atol=1e-3)


def test_another_detector_can_replace_the_shipped_one(images, tmp_path):
    """One line of configuration; the same file elsewhere is the same model."""
    own = tmp_path / "mine.onnx"
    own.write_bytes(MODELS["nanodet_m"].path().read_bytes())
    shipped = Observer(ObserverSettings(signs=False), "cpu")
    other = Observer(ObserverSettings(signs=False, pedestrian_model=str(own)), "cpu")
    assert other.models_id == shipped.models_id
    assert content(other.observe(images[:1], [0])[0]) == content(shipped.observe(images[:1], [0])[0])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Observer(ObserverSettings(signs=False, pedestrian_model=str(tmp_path / "nowhere.onnx")), "cpu")
