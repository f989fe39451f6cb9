"""Metrics are defined in two modules, which `docs/metrics.md` lists, and are named by the rules of Prometheus."""

from __future__ import annotations

import ast
import re

import pytest
from prometheus_client.metrics import MetricWrapperBase

from gradwatch.monitor.review import metrics as review
from gradwatch.streams.observability import metrics as telemetry

from .generated import PACKAGES, metrics_of
from .places import ROOT

KINDS = re.compile(r"(Stream)?(Counter|Gauge|Histogram|Summary|Info|Enum)")


def made_in_sources() -> dict[str, str]:
    """The metrics that any of our modules makes, by name, and where."""
    found = {}
    for path in [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and KINDS.fullmatch(ast.unparse(node.func).rpartition(".")[2]):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found[first.value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


def test_no_metric_is_made_elsewhere() -> None:
    made, listed = made_in_sources(), {metric._name for module in (telemetry, review) for metric in metrics_of(module)}
    assert len(made) > 30
    assert {name: where for name, where in made.items() if name not in listed} == {}


@pytest.mark.parametrize("metric", metrics_of(review), ids=lambda metric: metric._name)
def test_names_and_labels_of_the_review_process_follow_the_rules(metric: MetricWrapperBase) -> None:
    assert re.fullmatch(r"gradwatch_review_[a-z_]+", metric._name)
    assert not re.search(r"_(ms|ns|us|milliseconds|kb|mb)\b", metric._name)
    # people and streams name themselves; what they say is no label
    assert set(metric._labelnames) <= {"action", "cause", "outcome", "route", "status", "topic"}
    assert metric._documentation.endswith(".")
    if metric._type == "histogram":
        assert metric._name.endswith(("_seconds", "_bytes"))
