"""Topics on a broker, and figures that are kept between runs."""

from __future__ import annotations

import pytest

from gradwatch.streams.wire.topics import Topics

from ..brokers import make_topics
from ..faults.figures import Figures, open_figures
from ..places import RUNS


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Fresh topics, frames with four partitions."""
    return make_topics(kafka, 4)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Skips the test where its figures are kept already."""
    name = request.node.name.removeprefix("test_").replace("[", "_").rstrip("]")
    return open_figures(RUNS / "cameras" / f"{name}.json")
