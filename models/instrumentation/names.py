"""The names of the classes that an exporter wrote into a file."""

from __future__ import annotations

import ast
from typing import Any

import msgspec

from ..coco import COCO_CLASSES
from ..manifest import InstrumentationError


def class_names(model: Any, count: int) -> tuple[str, ...]:
    """The names in the file, else COCO's if there are 80, else numbers. Raises InstrumentationError."""
    names = _stored_names(model)
    if names is None:
        return COCO_CLASSES if count == len(COCO_CLASSES) else tuple(str(number) for number in range(count))
    if set(names) != {str(number) for number in range(count)}:
        raise InstrumentationError(
            f"the file contains names of {len(names)} classes, but its head has rows for {count}: "
            "it may be recognized as the wrong family; specify the decoder (--decoder), or the names (--names)"
        )
    return tuple(names[str(number)] for number in range(count))


def describe_names(model: Any, count: int) -> str:
    """Where the names come from, for people, and the first of them."""
    names = _stored_names(model)
    if names is None:
        assumed = "COCO's are assumed" if count == len(COCO_CLASSES) else "numbers are used"
        return f"class names: none in the file that can be read, {assumed}; to give them: --names FILE"
    first = ", ".join(list(names.values())[:5])
    return f"class names in the file: {first}" + (", …" if len(names) > 5 else "")


def _stored_names(model: Any) -> dict[str, str] | None:
    """Class id -> name from the metadata `names`, a dict or list as Python or JSON writes it; None without."""
    stored = {entry.key: entry.value for entry in model.metadata_props}.get("names", "")
    for read in (msgspec.json.decode, ast.literal_eval):
        try:
            names = read(stored)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(names, list | tuple):
            names = dict(enumerate(names))
        if isinstance(names, dict):
            return {str(number): str(name) for number, name in names.items()}
    return None
