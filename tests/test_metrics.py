"""`docs/metrics.md` lists every metric that there is; `python -m tests.test_metrics` writes it anew."""

from __future__ import annotations

import ast
import re
from types import ModuleType

import pytest
from prometheus_client.metrics import MetricWrapperBase

from gradwatch.monitor.review import metrics as review
from gradwatch.streams.observability import metrics as telemetry

from .places import DOCS, ROOT

DOCUMENT = DOCS / "metrics.md"
HEAD = """# Metrics

What `/metrics` exposes, beside the Prometheus client's own `process_…` and `python_…`. A metric that a process has no
use for is there without a value. Written by `python -m tests.test_metrics`.

## Sources, workers and services

Of a worker (`worker.metrics_port`), of the evidence service (`evidence.metrics_port`) and of a source
(`--metrics-port`). From `streams/observability/metrics.py`.

`stream_id` comes from producers: the streams named in the configuration and the first others, 1000 together unless
`worker.metrics_streams` says otherwise, have their own label; the rest is counted under `stream_id="other"`, where a
gauge shows the stream that set it last.

"""
REVIEW = """
## The review process

Of `gradwatch review`, at the address of its page; where log-in is demanded, Prometheus sends an API token
(`Authorization: Bearer`). From `monitor/review/metrics.py`.

"""
COLUMNS = "| metric | type | labels | meaning |\n|---|---|---|---|\n"
SUFFIXES = {"counter": "_total", "info": "_info"}
KINDS = re.compile(r"(Stream)?(Counter|Gauge|Histogram|Summary|Info|Enum)")


def metrics_of(module: ModuleType) -> list[MetricWrapperBase]:
    found = (value for value in vars(module).values() if isinstance(value, MetricWrapperBase))
    return sorted(found, key=lambda metric: metric._name)


def table(module: ModuleType) -> str:
    rows = []
    for metric in metrics_of(module):
        name = metric._name + SUFFIXES.get(metric._type, "")
        labels = " ".join(f"`{label}`" for label in metric._labelnames)
        rows.append(f"| `{name}` | {metric._type} | {labels} | {metric._documentation} |\n")
    return COLUMNS + "".join(rows)


def document() -> str:
    return HEAD + table(telemetry) + REVIEW + table(review)


def made_in_sources() -> dict[str, str]:
    """The metrics that any of our modules makes, by name, and where."""
    found = {}
    for path in [path for package in ("streams", "models", "monitor") for path in (ROOT / package).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and KINDS.fullmatch(ast.unparse(node.func).rpartition(".")[2]):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found[first.value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == document(), "run: python -m tests.test_metrics"


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


if __name__ == "__main__":
    DOCUMENT.write_text(document())
