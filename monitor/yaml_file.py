"""Reads a YAML file into plain values within bounds, so that no file hangs the program, fills its memory, or ends it.

Beside what YAML itself forbids, a key that is given twice is refused, since one of the two would be lost in silence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 20_000  # with every alias counted as what it stands for


class YamlFileError(ValueError):
    """The file can't be read as YAML; the message says what, in which line, and quotes no value: it may be secret."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as dicts, lists and scalars; None for an empty one. Raises OSError, YamlFileError."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise YamlFileError(f"{path}: expected at most {MAX_BYTES} bytes of YAML, got more")
    try:
        return yaml.load(content, _BoundedLoader)
    except yaml.YAMLError as error:
        # neither the error's own text nor its trace: they quote lines of the file, and passwords may be in it
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", "it contains characters that YAML does not allow")
        raise YamlFileError(f"{path} is not YAML{where}: {problem}") from None


class _BoundedLoader(yaml.SafeLoader):
    """Counts depth and values while nodes are composed, before any value is made of them."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._depth = self._values = 0
        self._sizes: dict[yaml.Node, int] = {}  # values below each node that is complete, and the node itself

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        self._values += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _fault(event.start_mark, f"expected at most {MAX_DEPTH} levels")
        node: Any = super().compose_node(parent, index)
        if not isinstance(event, yaml.AliasEvent):
            self._sizes[node] = self._values - before
        elif node in self._sizes:
            self._values += self._sizes[node]
        else:
            raise _fault(event.start_mark, "an alias refers to a value that contains it")
        if self._values > MAX_VALUES:
            raise _fault(event.start_mark, f"expected at most {MAX_VALUES} values, those behind aliases included")
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _fault(key.start_mark, f"the key {key.value[:40]!r} is given twice")
                seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception:  # PyYAML lets pass what int(), datetime() and its own tables raise
            kind = node.tag.rpartition(":")[2]
            raise _fault(node.start_mark, f"a value is not of its type, {kind}") from None


def _fault(mark: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
