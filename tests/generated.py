"""Writes the checked-in files that are made from the code: `make generated`, or `python -m tests.generated`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase

from gradwatch.models.outputs import SIGN_CLASSES
from gradwatch.monitor.config import schema as configuration_schema
from gradwatch.monitor.review import metrics as review_metrics
from gradwatch.streams.observability import metrics as stream_metrics
from gradwatch.streams.wire.outputs import schemas as wire_schemas

from .places import ROOT

PACKAGES = ("streams", "models", "monitor")
METRICS = """# Metrics

What `/metrics` exposes, beside the Prometheus client's own `process_…` and `python_…`. A metric that a process does not
use is listed without a value. Written by `make generated`.

## Sources, workers and services

Of a worker (`worker.metrics_port`), of the evidence service (`evidence.metrics_port`) and of a source
(`--metrics-port`). From `streams/observability/metrics.py`.

`stream_id` comes from producers: the streams named in the configuration and the first others, 1000 together unless
`worker.metrics_streams` says otherwise, have their own label; the rest is counted under `stream_id="other"`, where a
gauge shows the stream that set it last.

"""
REVIEW_METRICS = """
## The review process

Of `gradwatch review` (`review.metrics_port`). From `monitor/review/metrics.py`.

"""
METRIC_COLUMNS = "| metric | type | labels | meaning |\n|---|---|---|---|\n"
METRIC_SUFFIXES = {"counter": "_total", "info": "_info"}


def metrics_of(module: ModuleType) -> list[MetricWrapperBase]:
    """The metrics that a module defines, by name."""
    found = (value for value in vars(module).values() if isinstance(value, MetricWrapperBase))
    return sorted(found, key=lambda metric: metric._name)


def metrics_page() -> str:
    """`docs/metrics.md`: every metric with its type, labels and help text."""
    return METRICS + _metrics_table(stream_metrics) + REVIEW_METRICS + _metrics_table(review_metrics)


def _metrics_table(module: ModuleType) -> str:
    rows = []
    for metric in metrics_of(module):
        name = metric._name + METRIC_SUFFIXES.get(metric._type, "")
        labels = " ".join(f"`{label}`" for label in metric._labelnames)
        rows.append(f"| `{name}` | {metric._type} | {labels} | {metric._documentation} |\n")
    return METRIC_COLUMNS + "".join(rows)


def json_text(value: object) -> str:
    """JSON as it is checked in."""
    return json.dumps(value, indent=2) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "docs/metrics.md": metrics_page,
    "docs/schemas/configuration.json": lambda: json_text(configuration_schema()),
    **{f"docs/schemas/{name}": partial(json_text, schema) for name, schema in wire_schemas().items()},
    "monitor/review/page/assets/sign_names.json": partial(json_text, SIGN_CLASSES),
}


if __name__ == "__main__":
    for name, text in GENERATED.items():
        (ROOT / name).write_text(text())
