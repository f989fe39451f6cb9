"""Observations drawn at random, without any network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradwatch.models.outputs import Observation

from ..builders import add_signs, draw_observations


@pytest.fixture(scope="session")
def observations() -> Callable[..., list[Observation]]:
    return draw_observations


@pytest.fixture(scope="session")
def crops_added() -> Callable[..., Observation]:
    return add_signs
