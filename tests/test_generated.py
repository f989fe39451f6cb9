"""The checked-in files that are made from the code are up to date."""

from __future__ import annotations

import pytest

from .generated import GENERATED
from .places import DOCS, ROOT


@pytest.mark.parametrize("name", GENERATED)
def test_file_is_as_the_code_makes_it(name: str) -> None:
    assert (ROOT / name).read_text() == GENERATED[name](), f"{name} is out of date: make generated"


def test_every_schema_is_generated() -> None:
    schemas = {path.relative_to(ROOT).as_posix() for path in (DOCS / "schemas").iterdir()}
    assert schemas <= GENERATED.keys()
