"""An embedded broker; and observations drawn at random, correlated in time like those of a drive."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gradwatch.models.outputs import Detections, HeadOutputs, Observation, Tiles
from gradwatch.streams.transport.embedded import EmbeddedBroker

ROWS, COLUMNS, PER_FRAME = 10, 18, 9


def draw(frames: int, seed: int, shift: float = 0.0, shifted_from: int | None = None) -> list[Observation]:
    """`frames` observations whose statistics are AR(1); `shift` deviations are added from `shifted_from` on."""
    generator = np.random.default_rng(seed)
    level = np.zeros(12)
    result = []
    for t in range(frames):
        level = 0.9 * level + np.sqrt(1 - 0.81) * generator.normal(size=12)
        moved = shift if shifted_from is not None and t >= shifted_from else 0.0
        position = generator.permutation(ROWS * COLUMNS)[:PER_FRAME]
        row = position // COLUMNS
        cosines = 0.5 + 0.02 * row[:, None] + 0.05 * generator.normal(size=(PER_FRAME, 4)) - 0.05 * moved
        loss = np.exp(-5 + 0.2 * row + 0.3 * generator.normal(size=PER_FRAME) + 0.3 * moved)
        result.append(
            Observation(
                size=(960, 540),
                detections=Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32)),
                heads={},
                tiles=Tiles(
                    np.stack([row, position % COLUMNS], axis=1).astype(np.int32),
                    loss.astype(np.float32),
                    cosines.astype(np.float32),
                ),
                image_statistics=(level + moved).astype(np.float32),
            )
        )
    return result


def with_crops(observation: Observation, logits: np.ndarray, features: np.ndarray, xyxy: np.ndarray) -> Observation:
    """`observation` with sign boxes `xyxy` (k, 4) that head `signs` read as `logits` (k, C)."""
    count = len(xyxy)
    read = HeadOutputs(np.arange(count, dtype=np.int32), logits.astype(np.float32), features.astype(np.float32))
    return Observation(
        observation.size,
        Detections(xyxy.astype(np.float32), np.full(count, 0.9, np.float32), np.zeros(count, np.int32)),
        {"signs": read},
        observation.tiles,
        observation.image_statistics,
    )


@pytest.fixture(scope="session")
def tansu() -> Iterator[str]:
    """Address of the embedded broker."""
    with EmbeddedBroker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def observations() -> Callable[..., list[Observation]]:
    return draw


@pytest.fixture(scope="session")
def crops_added() -> Callable[..., Observation]:
    return with_crops
